"""Accepted messages: checks, the log, search."""
