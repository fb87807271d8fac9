"""The shapes of charts, in per cent of their frame; `_charts.html` draws them as SVG. Pure."""

import math
from collections.abc import Sequence
from typing import Final

import msgspec

_STEPS = (1, 2, 5, 10)
_GAP_SHARE = 0.25
"""Of a point's width: the room between it and the next."""


class Point(msgspec.Struct, frozen=True):
    """One stretch of time, with a value for each series."""

    label: str
    values: tuple[int, ...]


class Column(msgspec.Struct, frozen=True):
    """`series` counts from 1. All lengths are per cent of the frame, from its left and its top."""

    series: int
    x: float
    y: float
    width: float
    height: float


class TimeChart(msgspec.Struct, frozen=True, kw_only=True):
    """Values over time. `series` names them in the order of each point's values; at most three.

    `points` are in the order of time, and have the same stretch each.
    """

    title: str
    series: tuple[str, ...]
    points: tuple[Point, ...]
    first_column: str = "Day"
    is_line: bool = False

    @property
    def top(self) -> int:
        """The value at the upper edge. Of columns 1, 2 or 5 times a power of ten; of a line the next round one."""
        if self.is_line:
            return self.base + round_up(self._greatest - self.base)
        return round_up(self._greatest)

    @property
    def base(self) -> int:
        """The value at the lower edge: 0 for columns, whose length counts; of a line one below its least value."""
        if not self.is_line:
            return 0
        least = min((value for point in self.points for value in point.values), default=0)
        step = round_up(self._greatest - least)
        return least // step * step

    @property
    def _greatest(self) -> int:
        return max((value for point in self.points for value in point.values), default=0)

    @property
    def is_empty(self) -> bool:
        return not any(value for point in self.points for value in point.values)

    @property
    def columns(self) -> tuple[Column, ...]:
        """Those of each point stand side by side; one of value 0 is left out."""
        room = 100 / max(len(self.points), 1)
        width = room * (1 - _GAP_SHARE) / max(len(self.series), 1)
        return tuple(
            Column(
                series=number + 1,
                x=round(at * room + room * _GAP_SHARE / 2 + number * width, 3),
                y=round(100 - value * 100 / self.top, 3),
                width=round(width, 3),
                height=round(value * 100 / self.top, 3),
            )
            for at, point in enumerate(self.points)
            for number, value in enumerate(point.values)
            if value > 0
        )

    @property
    def line(self) -> str:
        """The path of the first series in a frame of 100 by 100, each point in the middle of its stretch."""
        room = 100 / max(len(self.points), 1)
        steps = [
            f"{'L' if at else 'M'}{round((at + 0.5) * room, 2)} {self._height(point.values[0])}"
            for at, point in enumerate(self.points)
        ]
        return "".join(steps)

    def _height(self, value: int) -> float:
        return round(100 - (value - self.base) * 100 / (self.top - self.base), 2)

    @property
    def marks(self) -> tuple[str, ...]:
        """What stands below the frame: the first point's label, that in the middle, and the last one's."""
        labels = [point.label for point in self.points]
        if len(labels) < len(("first", "middle", "last")):
            return tuple(labels)
        return (labels[0], labels[len(labels) // 2], labels[-1])


class Bar(msgspec.Struct, frozen=True):
    """A row of a bar chart. `part` is shown darker inside `value`; None: there is no such part."""

    label: str
    value: int
    part: int | None = None
    text: str = ""


class BarChart(msgspec.Struct, frozen=True, kw_only=True):
    """Bars with their numbers beside them: a table that is also a chart. `value_name`: what the bars count."""

    title: str
    label_name: str
    value_name: str
    part_name: str = ""
    text_name: str = ""
    bars: tuple[Bar, ...]

    @property
    def longest(self) -> int:
        return max((bar.value for bar in self.bars), default=0) or 1

    def width(self, value: int) -> float:
        """Per cent of the frame, to three places."""
        return round(value * 100 / self.longest, 3)


def round_up(value: int) -> int:
    """The next 1, 2 or 5 times a power of ten that is not below the value; 1 for what is not above 0."""
    if value <= 1:
        return 1
    power = int(10 ** math.floor(math.log10(value)))
    return next(step * power for step in _STEPS if step * power >= value)


def percent(share: float | None) -> str:
    """A share of 0 to 1 in words; None was not measured, which is another thing than 0."""
    return "not measured" if share is None else f"{share * 100:.1f}%"


def share_of(part: int, whole: int) -> str:
    """As `percent`; of nothing there is none."""
    return percent(part / whole) if whole else "none"


def time_left(seconds: int | None) -> str:
    """Words for how long it will take, rounded up; empty if it is not known."""
    if seconds is None:
        return ""
    minutes = -(-seconds // 60)
    if minutes <= 1:
        return "less than a minute left"
    if minutes < 2 * 60:
        return f"about {minutes} minutes left"
    return f"about {-(-minutes // 60)} hours left"


PACE_OF_PAUSED: Final = "Nothing is sent while it is paused"
"""In the place of a rate, which stays filled: what follows it must not move when an issue is paused."""


def pace(settled_per_s: float | None) -> str:
    """Words for a rate; empty if it is not known."""
    if settled_per_s is None:
        return ""
    if settled_per_s >= 1:
        return f"{round(settled_per_s):,} a second"
    return f"{round(settled_per_s * 60):,} a minute"


def joined_words(words: Sequence[str]) -> str:
    """Those that are not empty, with a dot between them."""
    return " · ".join(word for word in words if word)
