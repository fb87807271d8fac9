"""The shapes of charts, and the words for rates and times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_gateway.admin.charts import (
    Bar,
    BarChart,
    Point,
    TimeChart,
    pace,
    percent,
    round_up,
    share_of,
    time_left,
)


def _chart(*values: tuple[int, ...], is_line: bool = False) -> TimeChart:
    points = tuple(Point(f"day {number}", one) for number, one in enumerate(values))
    return TimeChart(title="A chart", series=("Joined", "Left"), points=points, is_line=is_line)


@pytest.mark.parametrize(
    ("value", "rounded"), [(-3, 1), (0, 1), (1, 1), (2, 2), (3, 5), (6, 10), (10, 10), (11, 20), (501, 1000)]
)
def test_the_upper_edge_is_a_round_number(value: int, rounded: int) -> None:
    assert round_up(value) == rounded


def test_columns_of_a_point_stand_side_by_side_and_are_as_high_as_their_values() -> None:
    chart = _chart((10, 5), (0, 2))
    assert [(one.series, one.y, one.height) for one in chart.columns] == [(1, 0, 100), (2, 50, 50), (2, 80, 20)]
    first, second, third = chart.columns
    assert first.x + first.width == pytest.approx(second.x)
    assert second.x + second.width < 50 < third.x


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)), min_size=1, max_size=400))
def test_no_column_leaves_the_frame(values: list[tuple[int, int]]) -> None:
    for one in _chart(*values).columns:
        assert one.x >= 0
        assert one.x + one.width <= 100.01
        assert one.y >= 0
        assert one.y + one.height == pytest.approx(100, abs=0.01)


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=400))
def test_a_line_uses_its_frame_and_stays_inside(values: list[int]) -> None:
    chart = _chart(*((value,) for value in values), is_line=True)
    assert chart.base <= min(values)
    assert max(values) <= chart.top
    heights = [float(step.split()[1]) for step in chart.line.replace("M", "L").split("L")[1:]]
    assert len(heights) == len(values)
    assert all(0 <= height <= 100 for height in heights)


def test_a_line_of_great_numbers_shows_what_changes() -> None:
    chart = _chart((19_541,), (19_931,), is_line=True)
    assert (chart.base, chart.top) == (19_500, 20_000)
    assert chart.line == "M25.0 91.8L75.0 13.8"


def test_marks_are_the_first_the_middle_and_the_last() -> None:
    assert _chart(*[(1, 1)] * 30).marks == ("day 0", "day 15", "day 29")
    assert _chart((1, 1)).marks == ("day 0",)


def test_a_chart_without_any_value_is_empty() -> None:
    assert _chart((0, 0), (0, 0)).is_empty
    assert not _chart((0, 0), (0, 1)).is_empty


def test_the_longest_bar_fills_the_frame() -> None:
    chart = BarChart(title="Links", label_name="Link", value_name="People", bars=(Bar("a", 40), Bar("b", 10)))
    assert [chart.width(bar.value) for bar in chart.bars] == [100, 25]
    empty = BarChart(title="Links", label_name="Link", value_name="People", bars=(Bar("a", 0),))
    assert empty.width(0) == 0


def test_what_was_not_measured_is_not_said_to_be_nothing() -> None:
    assert percent(None) == "not measured"
    assert percent(0) == "0.0%"
    assert (share_of(1, 3), share_of(0, 0)) == ("33.3%", "none")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (5, "less than a minute left"),
        (61, "about 2 minutes left"),
        (7_140, "about 119 minutes left"),
        (7_200, "about 2 hours left"),
        (7_201, "about 3 hours left"),
    ],
)
def test_the_time_left_is_said_in_round_words(seconds: int | None, words: str) -> None:
    assert time_left(seconds) == words


@pytest.mark.parametrize(("rate", "words"), [(None, ""), (1_234.4, "1,234 a second"), (0.5, "30 a minute")])
def test_a_slow_rate_is_by_the_minute(rate: float | None, words: str) -> None:
    assert pace(rate) == words
