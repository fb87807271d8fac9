"""A step of an issue's life, pure."""

from typing import Literal

StepName = Literal[
    "created", "duplicated", "restored", "published", "scheduled", "unscheduled", "withdrawn", "cancelled",
    "test_sent", "approval_requested", "approved", "refused", "archive_changed",
    "winner_chosen",
]  # fmt: skip
"""Saves are revisions, not steps."""
