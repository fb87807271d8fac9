"""Arriving: sign-up, the confirmation mail, confirming."""
