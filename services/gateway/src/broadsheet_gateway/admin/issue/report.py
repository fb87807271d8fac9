"""The report of an issue as the API answers it (`getIssueReport`), and what the page says of it. Pure.

Where opens or clicks were not tracked they are None, which is shown as "not measured" and never as 0.
"""

from datetime import datetime
from typing import Final, Literal

import msgspec

from broadsheet_gateway.admin.charts import Bar, BarChart, Point, TimeChart, percent, share_of
from broadsheet_gateway.admin.issue.issue_views import IssueCounts

STRETCHES_SHOWN_MAX: Final = 72 + 400
LINKS_SHOWN_MAX: Final = 25
DOMAINS_SHOWN_MAX: Final = 20
_HOUR_S: Final = 3600


class Bounces(msgspec.Struct, frozen=True):
    total: int = 0
    hard: int = 0
    soft: int = 0
    other: int = 0


class Engagement(msgspec.Struct, frozen=True):
    """Opens or clicks. `unique` counts people, `machine` the opens or clicks that probably no person made."""

    measured: bool
    unique: int | None
    total: int | None
    unique_without_machines: int | None
    machine: int | None


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of 0 to 1 of those that `of` names."""

    of: Literal["delivered", "accepted"]
    opened: float | None
    opened_without_machines: float | None
    clicked: float | None
    clicked_without_machines: float | None
    unsubscribed: float | None
    complained: float | None
    bounced: float | None


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    begins_at: datetime
    ends_at: datetime
    delivered: int
    opened: int
    clicked: int


class LinkClicks(msgspec.Struct, frozen=True, kw_only=True):
    url: str | None
    unique: int
    unique_without_machines: int
    total: int


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of some of the recipients: of a variant, or of a mail domain."""

    recipients: int
    accepted: int
    delivered: int
    bounced: int
    complained: int
    unsubscribed: int
    opened: int
    opened_without_machines: int
    clicked: int
    clicked_without_machines: int

    @property
    def reached(self) -> int:
        """What shares are of: those delivered to, or where Postmark reports no deliveries, those accepted."""
        return self.delivered or self.accepted


class VariantFigures(Part, frozen=True, kw_only=True):
    """`variant` 0: those who wait for the winner."""

    variant: int

    @property
    def name(self) -> str:
        return f"Version {self.variant}" if self.variant else "Waiting for the winner"

    @property
    def opened_share(self) -> str:
        return share_of(self.opened_without_machines, self.reached)

    @property
    def clicked_share(self) -> str:
        return share_of(self.clicked_without_machines, self.reached)


class DomainFigures(Part, frozen=True, kw_only=True):
    domain: str | None


class IssueReport(msgspec.Struct, frozen=True, kw_only=True):
    """`as_of` None: nothing is rolled up yet. `waiting` stored events are not in it yet."""

    issue_id: int
    as_of: datetime | None
    waiting: int
    older_events_wait: bool
    time_zone: str
    counts: IssueCounts
    delivered: int
    delivery_reported: bool
    bounces: Bounces
    complaints: int
    unsubscribes: int
    opens: Engagement
    clicks: Engagement
    rates: Rates
    over_time: tuple[Stretch, ...] = ()
    links: tuple[LinkClicks, ...] = ()
    winner: int | None = None
    variants: tuple[VariantFigures, ...] = ()
    domains: tuple[DomainFigures, ...] = ()

    @property
    def has_test(self) -> bool:
        """Without an A/B test all is variant 1."""
        return any(one.variant != 1 for one in self.variants)

    @property
    def figures(self) -> tuple["Figure", ...]:
        accepted = self.counts.accepted
        return (
            Figure(
                "Delivered", f"{self.delivered:,}" if self.delivery_reported else "not reported", f"of {accepted:,}"
            ),
            _engaged("Opened", self.opens, self.rates.opened_without_machines, self.rates.opened),
            _engaged("Clicked", self.clicks, self.rates.clicked_without_machines, self.rates.clicked),
            Figure("Unsubscribed", f"{self.unsubscribes:,}", percent(self.rates.unsubscribed)),
            Figure("Bounced", f"{self.bounces.total:,}", percent(self.rates.bounced), self.bounce_kinds),
            Figure("Complained", f"{self.complaints:,}", percent(self.rates.complained)),
        )

    @property
    def bounce_kinds(self) -> str:
        kinds = ((self.bounces.hard, "for good"), (self.bounces.soft, "for now"), (self.bounces.other, "otherwise"))
        return ", ".join(f"{count:,} {word}" for count, word in kinds if count)

    @property
    def over_time_chart(self) -> TimeChart | None:
        """People by the hour of their first open or click, machines included; by delivery if neither is measured. None
        as long as there is none.

        Days stand beside hours after the third day, so the longer stretches have a chart of their own.
        """
        return self._chart([one for one in self.over_time if _is_hour(one)], "The first 72 hours", "%-d %b, %H:%M")

    @property
    def later_chart(self) -> TimeChart | None:
        return self._chart([one for one in self.over_time if not _is_hour(one)], "By day after that", "%-d %b %Y")

    def _chart(self, stretches: list[Stretch], title: str, label: str) -> TimeChart | None:
        measured = [
            name for name, is_shown in (("Opened", self.opens.measured), ("Clicked", self.clicks.measured)) if is_shown
        ] or ["Delivered"]  # beside it the others could not be seen
        points = tuple(
            Point(f"{one.begins_at:{label}}", tuple(getattr(one, name.lower()) for name in measured))
            for one in stretches[:STRETCHES_SHOWN_MAX]
        )
        chart = TimeChart(
            title=f"{title} ({self.time_zone})", series=tuple(measured), points=points, first_column="From"
        )
        return None if chart.is_empty else chart

    @property
    def links_chart(self) -> BarChart | None:
        if not self.clicks.measured or not self.links:
            return None
        return BarChart(
            title="Links, by people who clicked",
            label_name="Link",
            value_name="People",
            part_name="without machines",
            text_name="Clicks",
            bars=tuple(
                Bar(one.url or "All further links", one.unique, one.unique_without_machines, f"{one.total:,}")
                for one in self.links[:LINKS_SHOWN_MAX]
            ),
        )

    @property
    def domains_chart(self) -> BarChart | None:
        if not self.domains:
            return None
        return BarChart(
            title="Mail domains, by recipients",
            label_name="Domain",
            value_name="Recipients",
            part_name="delivered" if self.delivery_reported else "accepted",
            text_name="Opened",
            bars=tuple(
                Bar(
                    one.domain or "All further domains",
                    one.recipients,
                    one.delivered if self.delivery_reported else one.accepted,
                    share_of(one.opened_without_machines, one.reached) if self.opens.measured else "not measured",
                )
                for one in self.domains[:DOMAINS_SHOWN_MAX]
            ),
        )


class Figure(msgspec.Struct, frozen=True):
    """One number of a report: the number or its share large, and below its name the other one and a remark."""

    name: str
    value: str
    small: str = ""
    remark: str = ""


def _engaged(name: str, engagement: Engagement, rate: float | None, with_machines: float | None) -> Figure:
    if not engagement.measured:
        return Figure(name, "not measured", "", "the mails did not ask for it")
    people = engagement.unique_without_machines or 0
    return Figure(
        name,
        percent(rate),
        "1 person" if people == 1 else f"{people:,} people",
        f"with machines {percent(with_machines)}, {engagement.unique or 0:,}",
    )


def _is_hour(stretch: Stretch) -> bool:
    return (stretch.ends_at - stretch.begins_at).total_seconds() <= _HOUR_S


class AbTestState(msgspec.Struct, frozen=True, kw_only=True):
    """How far an A/B test is (`getAbTest`). `look_at`: when the figures decide next."""

    variant_count: int
    share_percent: int
    decide_by: Literal["clicks", "opens", "hand"]
    sample_min: int
    look_at: datetime | None = None
    winner: int | None = None
    reason: Literal["rate", "tie", "too_few", "by_hand", "cancelled"] | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None

    @property
    def is_open(self) -> bool:
        return self.winner is None and self.reason is None

    @property
    def sentence(self) -> str:
        why = {
            "rate": f"its rate of {self.decide_by} was the highest",
            "tie": "it was the first of several with the highest rate",
            "too_few": "too few people got each version, so the first was taken",
            "by_hand": "somebody chose it",
        }
        if self.winner is not None and self.reason in why:
            return f"Version {self.winner} won: {why[self.reason]}."
        if self.reason == "cancelled":
            return "The issue was cancelled before a version won."
        share = f"{self.share_percent}% of the audience are in the test; the rest waits for the winner."
        if self.decide_by == "hand":
            return f"{share} Somebody has to choose it."
        return f"{share} The version with the highest rate of {self.decide_by} wins."
