"""Postmark's API: requests, answers, and what each answer proves."""
