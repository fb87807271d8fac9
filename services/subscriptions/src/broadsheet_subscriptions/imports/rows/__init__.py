"""Rows of an import's file as people look at them: the first ones, and those that were rejected."""
