"""When an issue shall go out, pure: from what its author chose to the instant on every clock.

An author chooses a local time in a time zone, or an instant. Where the clocks are put forward, an hour of local times
does not exist; where they are put back, an hour happens twice. Neither is guessed: the first is refused with the two
times beside it, the second wants to be told which of the two is meant.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from broadsheet_common.http.problems import FieldProblem, InvalidInputError
from broadsheet_publishing.newsletters.time_zone import find_zone
from broadsheet_publishing.waves.wave import plan_waves

AHEAD_MAX = timedelta(days=731)
"""Two years; further away it is a typing error, and time zones' rules are not known."""
RAW_CHARS_MAX = 100

Occurrence = Literal["first", "second"]

_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?P<offset>Z|[+-]\d{2}:\d{2})?", re.ASCII)
_SHOWN = "%Y-%m-%dT%H:%M:%S"


class ScheduledTime(msgspec.Struct, frozen=True):
    """`instant` is UTC. `local` (`YYYY-MM-DDTHH:MM:SS`) and `time_zone` are what the author chose, if it was that.

    `in_reader_time_zone`: at that local time of each reader. `instant` is then when the first of them get it, and
    `time_zone` that of readers whose own is not known.
    """

    instant: datetime
    local: str | None
    time_zone: str | None
    in_reader_time_zone: bool = False


def parse_schedule(
    *, at: str, time_zone: str | None, occurrence: Occurrence | None, in_reader_time_zone: bool = False, now: datetime
) -> ScheduledTime:
    """`at` is RFC 3339 with an offset, or local time without one, which needs `time_zone` (an IANA name). In the
    readers' time zones it is always local time, and `time_zone` is that of readers whose own is not known.

    Raises:
        InvalidInputError: it is not a time, or not one that occurs once and within two years after `now`.
    """
    match = _TIME.fullmatch(at)
    if match is None:
        raise _fault("/at", "Expected is YYYY-MM-DDTHH:MM, and then :SS, Z or an offset if wanted.")
    try:
        typed = datetime.fromisoformat(at)
    except ValueError as error:
        raise _fault("/at", "There is no such day or time.") from error
    if match["offset"] is None:
        if time_zone is None:
            raise _fault("/time_zone", "A time without an offset needs a time zone, for example Europe/Paris.")
        chosen = ScheduledTime(_instant_of(typed, zone_named(time_zone), occurrence), typed.strftime(_SHOWN), time_zone)
    else:
        if time_zone is not None:
            raise _fault("/time_zone", "The time has an offset already: leave out the one or the other.")
        chosen = ScheduledTime(_in_utc(typed), None, None)
    if chosen.instant <= now:
        raise _fault("/at", "This time has passed. To send the issue now, publish it.")
    if chosen.instant > now + AHEAD_MAX:
        raise _fault("/at", f"This time is more than {AHEAD_MAX.days} days away.")
    if not in_reader_time_zone:
        return chosen
    if chosen.local is None:
        raise _fault("/at", "In the readers' time zones it is a local time: leave out the offset.")
    first = plan_waves(datetime.fromisoformat(chosen.local))[0].due_at
    return msgspec.structs.replace(chosen, instant=max(first, now), in_reader_time_zone=True)


def zone_named(name: str) -> ZoneInfo:
    """Raises `InvalidInputError` for a name that is none of the IANA time zones'."""
    zone = find_zone(name)
    if zone is None:
        raise _fault("/time_zone", "There is no such time zone. Expected is an IANA name, for example Europe/Paris.")
    return zone


def _instant_of(local: datetime, zone: ZoneInfo, occurrence: Occurrence | None) -> datetime:
    first, second = (_in_utc(local.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    if first == second:
        return first
    # Before a gap, `fold` 0 uses the offset from before it and so ends up after it; and the other way round.
    if first > second:
        before, after = (at.astimezone(zone).strftime("%H:%M:%S") for at in (second, first))
        raise _fault(
            "/at",
            f"This time does not exist on that day in {zone.key}, where the clocks are put forward. "
            f"Choose {before} or {after}, for example.",
        )
    if occurrence is None:
        raise _fault(
            "/occurrence",
            f"This time comes twice on that day in {zone.key}, where the clocks are put back: say `first` "
            f"({first:%H:%M:%S} UTC) or `second` ({second:%H:%M:%S} UTC).",
        )
    return first if occurrence == "first" else second


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise _fault("/at", "There is no such day or time.") from error


def _fault(pointer: str, detail: str) -> InvalidInputError:
    return InvalidInputError(errors=(FieldProblem(pointer=pointer, detail=detail),))
