"""Sending at the same local time everywhere: one wave for each time zone offset."""
