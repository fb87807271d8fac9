"""When each time zone reaches a local time."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_publishing.newsletters.time_zone import zone_names
from broadsheet_publishing.waves.wave import plan_waves


def due_in(local: str, zone: str) -> datetime:
    [due_at] = [wave.due_at for wave in plan_waves(datetime.fromisoformat(local)) if zone in wave.time_zones]
    return due_at


def test_the_sun_comes_up_in_the_east() -> None:
    assert due_in("2026-12-01T09:00", "Asia/Tokyo") == datetime(2026, 12, 1, 0, 0, tzinfo=UTC)
    assert due_in("2026-12-01T09:00", "Europe/Paris") == datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
    assert due_in("2026-12-01T09:00", "America/New_York") == datetime(2026, 12, 1, 14, 0, tzinfo=UTC)
    assert due_in("2026-12-01T09:00", "Asia/Kathmandu") == datetime(2026, 12, 1, 3, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        # 02:30 does not exist on this day in Paris; 03:30 does, at 01:30 UTC.
        ("2026-03-29T02:30", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        # 02:30 comes twice, at 00:30 and at 01:30 UTC.
        ("2026-10-25T02:30", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
    ],
)
def test_where_the_clocks_are_changed_it_is_after_the_gap_or_the_first_of_two(local: str, utc: datetime) -> None:
    assert due_in(local, "Europe/Paris") == utc


@given(st.datetimes(datetime.fromisoformat("2026-01-01"), datetime.fromisoformat("2028-01-01")))
def test_every_zone_is_in_one_wave_and_the_waves_are_in_order_within_26_hours(local: datetime) -> None:
    waves = plan_waves(local)
    names = [name for wave in waves for name in wave.time_zones]
    assert sorted(names) == sorted(zone_names())
    moments = [wave.due_at for wave in waves]
    assert moments == sorted(set(moments))
    assert moments[-1] - moments[0] <= timedelta(hours=27)


def test_the_local_time_is_that_time_everywhere() -> None:
    local = datetime.fromisoformat("2026-12-01T09:00")
    for wave in plan_waves(local):
        for name in wave.time_zones:
            assert wave.due_at.astimezone(ZoneInfo(name)).replace(tzinfo=None) == local
