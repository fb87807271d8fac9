"""Erasing a person from mails, events and reasons."""
