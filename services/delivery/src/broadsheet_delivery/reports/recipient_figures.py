"""What the events of one recipient add to an issue's figures. Pure.

The figures of an issue are the sum over its recipients. A roll-up adds what a recipient's events add with the new ones,
and takes away what they add without them. So the order of events does not matter, and an event may change what an
earlier one counted as.

This runs for every event, beside sending: it goes through a recipient's events once, and adds into plain dictionaries.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

import msgspec

from broadsheet_delivery.reports.machine_rules import ClickAt, machine_clicks
from broadsheet_delivery.reports.time_buckets import bucket_of

Part = Literal["variant", "domain", "link", "time", "bounce_type"]
BounceKind = Literal["hard", "soft", "other"]

_HARD_TYPES: Final = frozenset({"HardBounce", "BadEmailAddress", "ManuallyDeactivated"})
_SOFT_TYPES: Final = frozenset({"SoftBounce", "DnsError", "Transient"})
_HOUR_S: Final = 3600
_GRAVEST_FIRST: Final[tuple[BounceKind, ...]] = ("hard", "soft", "other")


class Cell(NamedTuple):
    """One figure: `key` says of which variant, domain, link, stretch of time or type of bounce."""

    part: Part
    figure: str
    key: str


class RecipientEvent(msgspec.Struct, frozen=True):
    """One event of Postmark's about one recipient. `bounce_type`: of bounces; `link`: the number of a click's link;
    `by_agent`: the user agent of an open or a click was a machine's; `leaves`: a change of subscription that ended it.
    """

    record_type: str
    occurred_at: datetime
    bounce_type: str | None = None
    link: int = 0
    by_agent: bool = False
    leaves: bool = False


def bounce_kind(bounce_type: str) -> BounceKind:
    """`hard`: no mailbox; `soft`: not this time; `other`: refused for the mail's content or sender, and all else."""
    if bounce_type in _HARD_TYPES:
        return "hard"
    return "soft" if bounce_type in _SOFT_TYPES else "other"


class _Told:
    """The events of one recipient by what they tell. `delivered`: the first delivery."""

    __slots__ = ("bounces", "clicks", "complained", "delivered", "leaves", "opens")

    def __init__(self) -> None:
        self.delivered: datetime | None = None
        self.opens: list[RecipientEvent] = []
        self.clicks: list[RecipientEvent] = []
        self.bounces: list[RecipientEvent] = []
        self.complained = False
        self.leaves = False


def _sort(events: Sequence[RecipientEvent]) -> _Told:
    told = _Told()
    for one in events:
        match one.record_type:
            case "Delivery":
                told.delivered = one.occurred_at if told.delivered is None else min(told.delivered, one.occurred_at)
            case "Open":
                told.opens.append(one)
            case "Click":
                told.clicks.append(one)
            case "Bounce" if one.bounce_type == "Unsubscribe":
                told.leaves = True
            case "Bounce" if one.bounce_type != "SpamComplaint":
                told.bounces.append(one)
            case "SpamComplaint" | "Bounce":
                told.complained = True
            case _:
                told.leaves = told.leaves or one.leaves
    return told


class FigureSums:
    """Sums over recipients of one issue, each added with a weight: 1, or -1 to take it away again."""

    def __init__(self, published_at: datetime) -> None:
        self._published_at = published_at
        self._groups: defaultdict[tuple[int, int], defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._hours: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._links: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._bounce_types: defaultdict[str, int] = defaultdict(int)

    def add(self, events: Sequence[RecipientEvent], *, variant: int, domain: int, left: bool, weight: int) -> None:
        """What these events of one recipient add. `left`: by the link in the mail."""
        if not events and not left:
            return
        group = self._groups[variant, domain]
        told = _sort(events)
        if told.delivered is not None:
            group["delivery_reported"] += weight
        # Who opened or clicked got the mail, whether or not its delivery was reported: so no rate is over 1.
        got_it = [one.occurred_at for one in (*told.opens, *told.clicks)]
        self._add_person(group, "delivered", got_it if told.delivered is None else [*got_it, told.delivered], weight)
        if told.opens:
            self._add_opens(group, told.opens, weight)
        if told.clicks:
            self._add_clicks(group, told.clicks, told.delivered, weight)
        if told.bounces:
            self._add_bounces(group, told.bounces, weight)
        if told.complained:
            group["complained"] += weight
        if told.complained or told.leaves or left:
            group["unsubscribed"] += weight

    def cells(self) -> Counter[Cell]:
        cells: Counter[Cell] = Counter()
        for (variant, domain), figures in self._groups.items():
            for figure, count in figures.items():
                cells[Cell("variant", figure, str(variant))] += count
                cells[Cell("domain", figure, str(domain))] += count
        for (figure, hour), count in self._hours.items():
            begins_at = bucket_of(self._published_at, datetime.fromtimestamp(hour * _HOUR_S, UTC))
            cells[Cell("time", figure, begins_at.isoformat())] += count
        for (figure, link), count in self._links.items():
            cells[Cell("link", figure, str(link))] += count
        for bounce_type, count in self._bounce_types.items():
            cells[Cell("bounce_type", "bounced", bounce_type)] += count
        return cells

    def _add_person(self, group: defaultdict[str, int], figure: str, moments: Sequence[datetime], weight: int) -> None:
        """The person once, in the hour of the first."""
        if moments:
            group[figure] += weight
            self._hours[figure, _hour(min(moments))] += weight

    def _add_opens(self, group: defaultdict[str, int], opens: Sequence[RecipientEvent], weight: int) -> None:
        self._add_person(group, "opened", [one.occurred_at for one in opens], weight)
        self._add_person(group, "opened_by_reader", [one.occurred_at for one in opens if not one.by_agent], weight)
        group["opens"] += weight * len(opens)
        for one in opens:
            hour = _hour(one.occurred_at)
            self._hours["opens", hour] += weight
            if one.by_agent:
                group["machine_opens"] += weight
                self._hours["machine_opens", hour] += weight

    def _add_clicks(
        self, group: defaultdict[str, int], clicks: Sequence[RecipientEvent], delivered: datetime | None, weight: int
    ) -> None:
        by_machine = machine_clicks(
            [ClickAt(one.link, one.occurred_at, one.by_agent) for one in clicks], delivered_at=delivered
        )
        by_reader = [one for one, machine in zip(clicks, by_machine, strict=True) if not machine]
        self._add_person(group, "clicked", [one.occurred_at for one in clicks], weight)
        self._add_person(group, "clicked_by_reader", [one.occurred_at for one in by_reader], weight)
        group["clicks"] += weight * len(clicks)
        for one, machine in zip(clicks, by_machine, strict=True):
            hour = _hour(one.occurred_at)
            self._hours["clicks", hour] += weight
            self._links["clicks", one.link] += weight
            if machine:
                group["machine_clicks"] += weight
                self._hours["machine_clicks", hour] += weight
                self._links["machine_clicks", one.link] += weight
        for link in {one.link for one in clicks}:
            self._links["clicked", link] += weight
        for link in {one.link for one in by_reader}:
            self._links["clicked_by_reader", link] += weight

    def _add_bounces(self, group: defaultdict[str, int], bounces: Sequence[RecipientEvent], weight: int) -> None:
        """A recipient counts once, under the gravest kind; under each type of Postmark's once."""
        types = {one.bounce_type or "unknown" for one in bounces}
        kinds = {bounce_kind(one) for one in types}
        group["bounced_" + next(kind for kind in _GRAVEST_FIRST if kind in kinds)] += weight
        self._add_person(group, "bounced", [one.occurred_at for one in bounces], weight)
        for one in types:
            self._bounce_types[one] += weight


def _hour(moment: datetime) -> int:
    """Hours since 1970. Stretches of time in reports begin at full hours."""
    return int(moment.timestamp() // _HOUR_S)
