"""What a benchmark sends: issues, files, subscribers."""
