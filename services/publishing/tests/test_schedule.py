"""When a chosen time is, on every clock: pure."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_common.http.problems import InvalidInputError
from broadsheet_publishing.schedule.schedule import AHEAD_MAX, Occurrence, ScheduledTime, parse_schedule

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PARIS = "Europe/Paris"


def chosen(at: str, time_zone: str | None = None, occurrence: Occurrence | None = None) -> ScheduledTime:
    return parse_schedule(at=at, time_zone=time_zone, occurrence=occurrence, now=NOW)


def fault(at: str, time_zone: str | None = None, occurrence: Occurrence | None = None) -> tuple[str, str]:
    with pytest.raises(InvalidInputError) as raised:
        chosen(at, time_zone, occurrence)
    (problem,) = raised.value.errors
    return problem.pointer, problem.detail


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("local", "instant"),
    [
        ("2026-03-28T08:00", "2026-03-28T07:00"),  # the day before the clocks are put forward
        ("2026-03-29T01:59:59", "2026-03-29T00:59:59"),
        ("2026-03-29T03:00", "2026-03-29T01:00"),
        ("2026-03-29T08:00", "2026-03-29T06:00"),
        ("2026-10-24T08:00", "2026-10-24T06:00"),  # the day before they are put back
        ("2026-10-25T01:59:59", "2026-10-24T23:59:59"),
        ("2026-10-25T03:00", "2026-10-25T02:00"),
        ("2026-10-25T08:00", "2026-10-25T07:00"),
    ],
)
def test_around_daylight_saving_the_chosen_local_time_counts(local: str, instant: str) -> None:
    found = chosen(local, PARIS)
    assert found.instant == utc(instant)
    assert (found.local, found.time_zone) == (datetime.fromisoformat(local).isoformat(), PARIS)


@pytest.mark.parametrize("local", ["2026-03-29T02:00", "2026-03-29T02:30", "2026-03-29T02:59:59"])
@pytest.mark.parametrize("occurrence", [None, "first", "second"])
def test_a_time_in_the_skipped_hour_is_refused_and_names_times_that_exist(
    local: str, occurrence: Occurrence | None
) -> None:
    pointer, detail = fault(local, PARIS, occurrence)
    assert pointer == "/at"
    assert "does not exist" in detail
    minutes = datetime.fromisoformat(local).strftime("%M:%S")
    assert f"Choose 01:{minutes} or 03:{minutes}, for example." in detail


def test_a_time_in_the_repeated_hour_wants_to_be_told_which_is_meant() -> None:
    pointer, detail = fault("2026-10-25T02:30", PARIS)
    assert pointer == "/occurrence"
    assert "`first` (00:30:00 UTC) or `second` (01:30:00 UTC)" in detail
    assert chosen("2026-10-25T02:30", PARIS, "first").instant == utc("2026-10-25T00:30")
    assert chosen("2026-10-25T02:30", PARIS, "second").instant == utc("2026-10-25T01:30")


def test_an_occurrence_of_a_time_that_comes_once_changes_nothing() -> None:
    assert chosen("2026-10-25T08:00", PARIS, "second") == chosen("2026-10-25T08:00", PARIS)


def test_an_instant_needs_no_zone() -> None:
    assert chosen("2026-10-25T02:30:00+02:00") == ScheduledTime(utc("2026-10-25T00:30"), None, None)
    assert chosen("2026-10-25T02:30Z").instant == utc("2026-10-25T02:30")


@pytest.mark.parametrize(
    ("at", "time_zone", "pointer"),
    [
        ("2026-10-25T08:00", None, "/time_zone"),
        ("2026-10-25T08:00Z", PARIS, "/time_zone"),
        ("2026-10-25T08:00", "Europe/Atlantis", "/time_zone"),
        ("2026-10-25T08:00", "../../etc/passwd", "/time_zone"),
        ("2026-10-25T08:00", "Europe", "/time_zone"),
        ("2026-10-25T08:00", "\0", "/time_zone"),
        ("2026-10-25", PARIS, "/at"),
        ("20261025T080000Z", None, "/at"),
        ("2026-02-30T08:00", PARIS, "/at"),
        ("2026-10-25T25:00Z", None, "/at"),
        ("2026-10-25T08:00+99:00", None, "/at"),
        ("٢٠٢٦-10-25T08:00Z", None, "/at"),
        ("9999-12-31T23:59-23:00", None, "/at"),
        ("0001-01-01T00:00+23:00", None, "/at"),
        ("0001-01-01T00:00", "Asia/Tokyo", "/at"),
        ("9999-12-31T23:59", "America/New_York", "/at"),
        ("2026-03-01T12:00Z", None, "/at"),
        ("2026-03-01T11:59:59Z", None, "/at"),
        ("2026-03-01T13:00", PARIS, "/at"),
        ("", PARIS, "/at"),
    ],
)
def test_what_is_no_time_to_come_is_refused_at_its_field(at: str, time_zone: str | None, pointer: str) -> None:
    assert fault(at, time_zone)[0] == pointer


def test_two_years_ahead_is_the_furthest() -> None:
    assert chosen((NOW + AHEAD_MAX).isoformat()).instant == NOW + AHEAD_MAX
    assert fault((NOW + AHEAD_MAX + timedelta(seconds=1)).isoformat())[0] == "/at"


@given(
    st.datetimes(datetime(2026, 3, 2), datetime(2028, 2, 27)),  # noqa: DTZ001  # local times
    st.sampled_from([PARIS, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "UTC"]),
)
def test_what_is_accepted_shows_the_chosen_time_on_the_chosen_wall(local: datetime, time_zone: str) -> None:
    text = local.replace(microsecond=0).isoformat()
    try:
        found = chosen(text, time_zone)
    except InvalidInputError as error:
        (problem,) = error.errors
        # Only what the clocks do twice or never is not taken as it is.
        assert "clocks are put" in problem.detail
        return
    assert found.instant.astimezone(ZoneInfo(time_zone)).replace(tzinfo=None).isoformat() == text
