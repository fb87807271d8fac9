"""The rate at which deliveries are settled, and the time that is left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_delivery.watching.send_rate import WINDOW_S, SendRate, seconds_left


def test_no_rate_is_told_from_one_count_or_from_two_that_are_close() -> None:
    rate = SendRate()
    assert rate.per_s is None
    rate.add(1000.0, 500)
    assert rate.per_s is None
    rate.add(1001.0, 900)
    assert rate.per_s is None


def test_the_rate_is_that_of_the_last_thirty_seconds() -> None:
    rate = SendRate()
    for second in range(61):
        rate.add(float(second), 10 * second if second <= 30 else 300 + 50 * (second - 30))
    assert rate.per_s == 50.0


def test_a_standstill_shows_as_no_progress_and_no_time_left_is_told() -> None:
    rate = SendRate()
    for second in range(40):
        rate.add(float(second), 100)
    assert rate.per_s == 0.0
    assert seconds_left(20, rate.per_s) is None
    assert seconds_left(0, None) == 0


def test_a_count_that_falls_starts_the_rate_anew() -> None:
    rate = SendRate()
    rate.add(0.0, 1000)
    rate.add(10.0, 2000)
    rate.add(11.0, 1500)  # failed ones are tried again
    assert rate.per_s is None
    rate.add(13.0, 1600)
    assert rate.per_s == 50.0
    assert seconds_left(501, rate.per_s) == 10


@given(st.lists(st.tuples(st.floats(0.0, 20.0), st.integers(0, 1000)), min_size=2, max_size=200))
def test_the_rate_never_exceeds_what_any_stretch_of_the_window_allows(steps: list[tuple[float, int]]) -> None:
    rate, at_s, settled = SendRate(), 0.0, 0
    counts = []
    for more_s, more in steps:
        at_s, settled = at_s + more_s, settled + more
        rate.add(at_s, settled)
        counts.append((at_s, settled))
    if rate.per_s is not None:
        # The first count that is kept is the last one at or before the window's start.
        older = [one for one in counts if one[0] <= at_s - WINDOW_S] or counts[:1]
        first_s, first = older[-1]
        assert rate.per_s == pytest.approx((settled - first) / (at_s - first_s), abs=0.051)
