"""Segments: a saved filter (a typed tree), its count, and the audiences that are frozen from it."""
