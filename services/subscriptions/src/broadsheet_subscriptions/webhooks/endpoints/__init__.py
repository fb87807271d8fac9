"""Webhook endpoints and their secrets."""
