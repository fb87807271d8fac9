"""Which status an issue has."""

import pytest

from broadsheet_publishing.issues.issue import Progress, RunState, StoredStatus, status_of


@pytest.mark.parametrize(
    ("stored", "run", "fan_out_is_finished", "status"),
    [
        ("draft", None, False, "draft"),
        ("scheduled", None, False, "scheduled"),
        ("cancelled", None, False, "cancelled"),
        ("published", None, False, "publishing"),
        ("published", "open", False, "publishing"),
        ("published", "open", True, "sending"),
        ("published", "paused", False, "paused"),
        ("published", "paused", True, "paused"),
        ("published", "cancelled", True, "cancelled"),
        ("published", "finished", True, "sent"),
    ],
)
def test_the_status(stored: StoredStatus, run: RunState | None, fan_out_is_finished: bool, status: str) -> None:
    progress = None if run is None else Progress(run, None, fan_out_is_finished)
    assert status_of(stored, progress) == status
