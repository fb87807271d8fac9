"""Newsletters and what they say at sign-up."""
