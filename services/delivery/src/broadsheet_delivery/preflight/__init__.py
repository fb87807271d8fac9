"""Checks at Postmark before the first mail of an issue is sent."""
