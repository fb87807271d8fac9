"""People from a file: what was uploaded, how it was read, what became of it."""
