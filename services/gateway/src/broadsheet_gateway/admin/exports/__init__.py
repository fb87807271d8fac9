"""Subscribers as a file to download."""
