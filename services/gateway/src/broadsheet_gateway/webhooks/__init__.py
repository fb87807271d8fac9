"""Postmark's webhooks: received and stored."""
