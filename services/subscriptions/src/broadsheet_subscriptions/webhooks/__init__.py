"""Outgoing webhooks: endpoints, sending, the log."""
