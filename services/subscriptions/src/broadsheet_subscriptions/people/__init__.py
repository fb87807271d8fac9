"""Subscribers and their subscriptions, and the API on them."""
