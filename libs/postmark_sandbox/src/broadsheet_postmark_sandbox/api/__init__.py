"""Postmark's API: routes, bodies, answers, errors."""
