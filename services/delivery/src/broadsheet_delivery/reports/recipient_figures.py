"""What the events of one recipient add to an issue's figures. Pure.

The figures of an issue are the sum over its recipients. A roll-up adds the difference between what a recipient's
events add with the new ones and without them. So the order of events does not matter, and an event may change what
an earlier one counted as.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple

import msgspec

from broadsheet_delivery.reports.machine_rules import ClickAt, machine_clicks
from broadsheet_delivery.reports.time_buckets import bucket_of

Part = Literal["variant", "domain", "link", "time", "bounce_type"]
BounceKind = Literal["hard", "soft", "other"]

_HARD_TYPES: Final = frozenset({"HardBounce", "BadEmailAddress", "ManuallyDeactivated"})
_SOFT_TYPES: Final = frozenset({"SoftBounce", "DnsError", "Transient"})
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


class Recipient(msgspec.Struct, frozen=True):
    """What all figures of one recipient are counted under."""

    variant: int
    domain: int
    published_at: datetime


def bounce_kind(bounce_type: str) -> BounceKind:
    """`hard`: no mailbox; `soft`: not this time; `other`: refused for the mail's content or sender, and all else."""
    if bounce_type in _HARD_TYPES:
        return "hard"
    return "soft" if bounce_type in _SOFT_TYPES else "other"


def figures_of(recipient: Recipient, events: Sequence[RecipientEvent], *, left: bool) -> Counter[Cell]:
    """`left`: by the link in the mail."""
    if not events and not left:
        return Counter()
    cells: Counter[Cell] = Counter()
    delivered = [one.occurred_at for one in events if one.record_type == "Delivery"]
    opens = [one for one in events if one.record_type == "Open"]
    clicks = [one for one in events if one.record_type == "Click"]
    bounces = [
        one for one in events if one.record_type == "Bounce" and one.bounce_type not in {"SpamComplaint", "Unsubscribe"}
    ]
    complained = any(
        one.record_type == "SpamComplaint" or (one.record_type == "Bounce" and one.bounce_type == "SpamComplaint")
        for one in events
    )
    by_machine = machine_clicks(
        [ClickAt(one.link, one.occurred_at, one.by_agent) for one in clicks],
        delivered_at=min(delivered, default=None),
    )
    _count_people(cells, recipient, delivered, opens, clicks, by_machine)
    if bounces:
        _count_bounces(cells, recipient, bounces)
    if complained:
        _add(cells, recipient, "complained")
    if left or complained or any(one.leaves or one.bounce_type == "Unsubscribe" for one in events):
        _add(cells, recipient, "unsubscribed")
    _count_opens(cells, recipient, opens)
    _count_clicks(cells, recipient, clicks, by_machine)
    return cells


def _count_people(
    cells: Counter[Cell],
    recipient: Recipient,
    delivered: Sequence[datetime],
    opens: Sequence[RecipientEvent],
    clicks: Sequence[RecipientEvent],
    by_machine: Sequence[bool],
) -> None:
    """Each figure is 1 for a recipient. Who opened or clicked got the mail, whether or not its delivery was reported:
    so no rate of the delivered is over 1.
    """
    if delivered:
        _add(cells, recipient, "delivery_reported")
    if delivered or opens or clicks:
        _add(cells, recipient, "delivered")
        first = min([*delivered, *(one.occurred_at for one in (*opens, *clicks))])
        _add_at(cells, recipient, "delivered", first)
    if opens:
        _add(cells, recipient, "opened")
        _add_at(cells, recipient, "opened", min(one.occurred_at for one in opens))
    by_reader = [one.occurred_at for one in opens if not one.by_agent]
    if by_reader:
        _add(cells, recipient, "opened_by_reader")
        _add_at(cells, recipient, "opened_by_reader", min(by_reader))
    if clicks:
        _add(cells, recipient, "clicked")
        _add_at(cells, recipient, "clicked", min(one.occurred_at for one in clicks))
    by_reader = [one.occurred_at for one, machine in zip(clicks, by_machine, strict=True) if not machine]
    if by_reader:
        _add(cells, recipient, "clicked_by_reader")
        _add_at(cells, recipient, "clicked_by_reader", min(by_reader))


def _count_bounces(cells: Counter[Cell], recipient: Recipient, bounces: Sequence[RecipientEvent]) -> None:
    """A recipient counts once, under the gravest kind; under each type of Postmark's once."""
    types = {one.bounce_type or "unknown" for one in bounces}
    kinds = {bounce_kind(one) for one in types}
    _add(cells, recipient, "bounced")
    _add(cells, recipient, "bounced_" + next(kind for kind in _GRAVEST_FIRST if kind in kinds))
    _add_at(cells, recipient, "bounced", min(one.occurred_at for one in bounces))
    for one in types:
        cells[Cell("bounce_type", "bounced", one)] += 1


def _count_opens(cells: Counter[Cell], recipient: Recipient, opens: Sequence[RecipientEvent]) -> None:
    for one in opens:
        _add(cells, recipient, "opens")
        _add_at(cells, recipient, "opens", one.occurred_at)
        if one.by_agent:
            _add(cells, recipient, "machine_opens")
            _add_at(cells, recipient, "machine_opens", one.occurred_at)


def _count_clicks(
    cells: Counter[Cell], recipient: Recipient, clicks: Sequence[RecipientEvent], by_machine: Sequence[bool]
) -> None:
    clicked: set[int] = set()
    by_reader: set[int] = set()
    for one, machine in zip(clicks, by_machine, strict=True):
        _add(cells, recipient, "clicks")
        _add_at(cells, recipient, "clicks", one.occurred_at)
        cells[Cell("link", "clicks", str(one.link))] += 1
        clicked.add(one.link)
        if machine:
            _add(cells, recipient, "machine_clicks")
            _add_at(cells, recipient, "machine_clicks", one.occurred_at)
            cells[Cell("link", "machine_clicks", str(one.link))] += 1
        else:
            by_reader.add(one.link)
    for link in clicked:
        cells[Cell("link", "clicked", str(link))] += 1
    for link in by_reader:
        cells[Cell("link", "clicked_by_reader", str(link))] += 1


def _add(cells: Counter[Cell], recipient: Recipient, figure: str) -> None:
    cells[Cell("variant", figure, str(recipient.variant))] += 1
    cells[Cell("domain", figure, str(recipient.domain))] += 1


def _add_at(cells: Counter[Cell], recipient: Recipient, figure: str, moment: datetime) -> None:
    cells[Cell("time", figure, bucket_of(recipient.published_at, moment).isoformat())] += 1
