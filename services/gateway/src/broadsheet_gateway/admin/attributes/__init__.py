"""Attributes: what may be noted about every subscriber."""
