"""What is going on: the first page after the log-in."""
