"""The growth of a newsletter over some days, as the API answers it. Pure."""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final

import msgspec

from broadsheet_subscriptions.subscribers.spreadsheet_cell import neutralise

DAYS_MAX: Final = 400
DAYS_DEFAULT: Final = 30
TIME_ZONE: Final = "UTC"


class DayOfGrowth(msgspec.Struct, frozen=True):
    """`joined` people became subscribers on this day, and `left` ceased to be; each is the sum of the counts below it.
    `bounced` people stay subscribed, but their mailbox refuses mail for good; `complained` are among those who left.
    `subscribers`: at the end of the day.
    """

    day: date
    joined: int
    joined_by_source: dict[str, int]
    left: int
    left_by_cause: dict[str, int]
    bounced: int
    complained: int
    subscribers: int


class GrowthReport(msgspec.Struct, frozen=True, kw_only=True):
    """Days from `first_day` to `last_day`, both included, in `time_zone`. `subscribers_at_start` + `joined` - `left` is
    `subscribers_at_end`, in whole and for each day.
    """

    newsletter_id: int
    first_day: date
    last_day: date
    time_zone: str
    subscribers_at_start: int
    subscribers_at_end: int
    joined: int
    left: int
    bounced: int
    complained: int
    days: list[DayOfGrowth]


class Counted(msgspec.Struct, frozen=True):
    """How many people changed on a day: `change` is joined, left or bounced."""

    day: date
    change: str
    cause: str
    count: int


def make_report(
    newsletter_id: int, *, first_day: date, last_day: date, subscribers_at_start: int, counted: Iterable[Counted]
) -> GrowthReport:
    """Every day is in it, also one on which nothing happened."""
    by_day: defaultdict[date, defaultdict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for one in counted:
        by_day[one.day][one.change][one.cause] += one.count
    days: list[DayOfGrowth] = []
    subscribers = subscribers_at_start
    for number in range((last_day - first_day).days + 1):
        day = first_day + timedelta(days=number)
        joined, left, bounced = (by_day[day][change] for change in ("joined", "left", "bounced"))
        subscribers += joined.total() - left.total()
        days.append(
            DayOfGrowth(
                day,
                joined=joined.total(),
                joined_by_source=dict(sorted(joined.items())),
                left=left.total(),
                left_by_cause=dict(sorted(left.items())),
                bounced=bounced.total(),
                complained=left["complaint"],
                subscribers=subscribers,
            )
        )
    return GrowthReport(
        newsletter_id=newsletter_id,
        first_day=first_day,
        last_day=last_day,
        time_zone=TIME_ZONE,
        subscribers_at_start=subscribers_at_start,
        subscribers_at_end=subscribers,
        joined=sum(day.joined for day in days),
        left=sum(day.left for day in days),
        bounced=sum(day.bounced for day in days),
        complained=sum(day.complained for day in days),
        days=days,
    )


def growth_csv(report: GrowthReport) -> str:
    """One day a line; a column for each source and each cause that there was."""
    sources = sorted({source for day in report.days for source in day.joined_by_source})
    causes = sorted({cause for day in report.days for cause in day.left_by_cause})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    columns = ["day", "joined", *(f"joined_{one}" for one in sources), "left", *(f"left_{one}" for one in causes)]
    writer.writerow([neutralise(column) for column in (*columns, "bounced", "complained", "subscribers")])
    for day in report.days:
        writer.writerow(
            [
                day.day.isoformat(),
                day.joined,
                *(day.joined_by_source.get(one, 0) for one in sources),
                day.left,
                *(day.left_by_cause.get(one, 0) for one in causes),
                day.bounced,
                day.complained,
                day.subscribers,
            ]
        )
    return text.getvalue()
