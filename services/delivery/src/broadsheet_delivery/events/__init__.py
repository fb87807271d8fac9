"""Postmark's webhooks and the records that are fetched when webhooks were lost."""
