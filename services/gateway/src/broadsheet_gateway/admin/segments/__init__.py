"""Segments: saved filters, and the form that builds one."""
