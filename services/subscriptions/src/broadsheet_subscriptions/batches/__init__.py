"""Creations and changes of many subscribers in one request."""
