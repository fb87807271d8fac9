"""Addresses that must not be sent to on a stream: who says so, and telling Postmark."""
