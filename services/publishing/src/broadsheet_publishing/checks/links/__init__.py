"""The links of an issue: what is wrong with them as they stand (pure), and whether they can be reached (I/O)."""
