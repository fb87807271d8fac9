"""Attributes and tags of subscribers: their types and values."""
