"""Signing up: the form's request, the confirmation mail, confirming."""
