"""Who gets an issue, in numbers, and whether they changed more than its author allows. Pure."""

from datetime import datetime

import msgspec

from broadsheet_common.http.problems import ConflictError


class AudienceChangedError(ConflictError):
    """`facts`: `shown` and `found`, if it is the number that changed."""

    slug, title = "audience-changed", "The audience is another one than its author was shown"


class Excluded(msgspec.Struct, frozen=True):
    """Why the newsletter's other subscriptions would get nothing; each counts once, under the first that holds.

    `pending` never confirmed, `unsubscribed` left, `outside_segment` are confirmed and not in the issue's segment,
    `suppressed` may not be mailed on the newsletter's stream. `erased` people have no subscription any more and are in
    no sum: how many were confirmed on the newsletter when they were erased is all that is kept of them.
    """

    pending: int
    unsubscribed: int
    outside_segment: int
    suppressed: int
    erased: int


class AudienceCount(msgspec.Struct, frozen=True):
    """`count` people would get the issue at the moment `as_of`."""

    count: int
    excluded: Excluded
    as_of: datetime


class Person(msgspec.Struct, frozen=True):
    id: int
    email: str
    name: str


class Trial(msgspec.Struct, frozen=True):
    """A segment's members at `as_of`, found as those of an issue are. They stand in the audience's blocks under the
    trial's number, which is negative.
    """

    trial_id: int
    filter_digest: str
    as_of: datetime


class Limits(msgspec.Struct, frozen=True):
    """How many people more or fewer there may be. None: any number."""

    growth_max: int | None
    shrinkage_max: int | None


class AudienceChange(msgspec.Struct, frozen=True):
    """From what the author was shown to what was found. One of `grown_by` and `shrunk_by` is 0."""

    shown: int
    shown_at: datetime
    found: int
    grown_by: int
    shrunk_by: int


def change_between(*, shown: int, shown_at: datetime, found: int) -> AudienceChange:
    return AudienceChange(shown, shown_at, found, grown_by=max(0, found - shown), shrunk_by=max(0, shown - found))


def require_within(change: AudienceChange, limits: Limits) -> None:
    """Raises `AudienceChangedError`."""
    for by, most, word in (
        (change.grown_by, limits.growth_max, "more"),
        (change.shrunk_by, limits.shrinkage_max, "fewer"),
    ):
        if most is not None and by > most:
            raise AudienceChangedError(
                f"{change.shown} people were shown, and {change.found} would get it: {by} {word}, and at most {most} "
                "are allowed.",
                facts={"shown": change.shown, "found": change.found},
            )


def why_another_segment(
    *, shown_id: int | None, shown_digest: str | None, now_id: int | None, now_digest: str | None
) -> str | None:
    """A sentence; None: it is the same one. `…_digest`: of the segment's filter."""
    if shown_id != now_id:
        return f"The issue was to go {_to(shown_id)} when it was looked at, and goes {_to(now_id)} now."
    if shown_digest != now_digest:
        return "The segment's filter was changed since the audience was shown."
    return None


def require_same_segment(
    *, shown_id: int | None, shown_digest: str | None, now_id: int | None, now_digest: str | None
) -> None:
    """Raises `AudienceChangedError`."""
    why = why_another_segment(shown_id=shown_id, shown_digest=shown_digest, now_id=now_id, now_digest=now_digest)
    if why is not None:
        raise AudienceChangedError(why)


def _to(segment_id: int | None) -> str:
    return "to everybody" if segment_id is None else f"to segment {segment_id}"
