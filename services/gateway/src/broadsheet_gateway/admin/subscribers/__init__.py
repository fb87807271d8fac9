"""Subscribers: the list, one person's story, and what may be changed about them."""
