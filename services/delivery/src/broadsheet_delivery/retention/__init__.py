"""Removing what is old."""
