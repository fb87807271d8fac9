"""Segments: a typed tree that says whom, its count, and the audiences that are frozen from it."""
