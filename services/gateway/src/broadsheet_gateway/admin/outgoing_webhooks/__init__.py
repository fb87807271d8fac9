"""Webhooks that we send: where to, what about, and what became of each."""
