"""Subscribers and their subscriptions: lists, changes, names."""
