"""What is asked of Amplitude, or read from files that it exported."""
