"""The command `doctor`: what is right and what is wrong with a set-up, each question for itself."""
