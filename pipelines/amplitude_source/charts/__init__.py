"""Charts as code: the words that they may use, the files that users write, and the SQL that answers them."""
