"""The status of an issue, pure.

An issue is content until it is published, by hand or at its time; from then on delivery says how far it is:

    draft ──publish──▶ publishing ──fan-out done──▶ sending ──all settled──▶ sent
     ▲│schedule    ▲        │                        │  ▲                     │
     │▼            │        │                        │  │                     │
    scheduled ──its time    │                        │  │                     │
      │                     │                        │  │                     │
      │                     ├──▶ paused and back ◀───┤  └────retry failed─────┘
      └──cancel─────────────┴──────▶ cancelled ◀─────┘
"""

from typing import Literal, assert_never

import msgspec

StoredStatus = Literal["draft", "scheduled", "published", "cancelled"]
RunState = Literal["open", "paused", "cancelled", "finished"]
Status = Literal["draft", "scheduled", "publishing", "sending", "paused", "sent", "cancelled"]


class Progress(msgspec.Struct, frozen=True):
    """How far delivery is with a published issue."""

    state: RunState
    pause_reason: str | None
    fan_out_is_finished: bool


def status_of(stored: StoredStatus, progress: Progress | None) -> Status:
    """`progress` is None for an issue that delivery knows nothing of."""
    match stored:
        case "draft" | "scheduled" | "cancelled":
            return stored
        case "published":
            return "publishing" if progress is None else _status_of_run(progress)
        case _:
            assert_never(stored)


def status_reason(progress: Progress | None, parked: int) -> str | None:
    """What the author should know about a published issue: why it is paused, or that deliveries wait for a decision."""
    if progress is None:
        return None
    if progress.pause_reason is not None or parked == 0:
        return progress.pause_reason
    return f"{parked} deliveries may have been sent, which could not be found out in time: they wait for a decision."


def _status_of_run(progress: Progress) -> Status:
    match progress.state:
        case "open":
            return "sending" if progress.fan_out_is_finished else "publishing"
        case "finished":
            return "sent"
        case "paused" | "cancelled":
            return progress.state
        case _:
            assert_never(progress.state)
