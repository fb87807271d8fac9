"""The figures of an issue counted the plain way, event by event and recipient by recipient, for comparison."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec

HARD = {"HardBounce", "BadEmailAddress", "ManuallyDeactivated"}
SOFT = {"SoftBounce", "DnsError", "Transient"}
LEFT_BY_LINK = "left by the link"


class Told(msgspec.Struct, frozen=True):
    """`record_type` is Postmark's, or `LEFT_BY_LINK`."""

    record_type: str
    seq: int
    at: datetime
    bounce_type: str = "HardBounce"
    link: str = ""
    by_agent: bool = False


def count_naively(events: Iterable[Told], domains: Mapping[int, str]) -> Counter[tuple[str, str, str]]:
    """(part, key, figure): how many. `domains` by recipient."""
    counts: Counter[tuple[str, str, str]] = Counter()
    theirs: defaultdict[int, list[Told]] = defaultdict(list)
    for one in set(events):
        theirs[one.seq].append(one)
    for seq, told in theirs.items():
        counts += _links(told)
        for figure, count in (_all_of_them(told) + Counter(_once(told))).items():
            counts["all", "", figure] += count
            counts["domain", domains[seq], figure] += count
    return +counts


def _once(told: list[Told]) -> set[str]:
    """The figures that count the person."""
    there = {one.record_type for one in told}
    tests = {
        "delivery_reported": "Delivery" in there,
        "delivered": bool(there & {"Delivery", "Open", "Click"}),
        "opened": "Open" in there,
        "opened_by_reader": any(one.record_type == "Open" and not one.by_agent for one in told),
        "clicked": "Click" in there,
        "clicked_by_reader": any(one.record_type == "Click" and not _is_machine(one, told) for one in told),
        "complained": "SpamComplaint" in there,
        "unsubscribed": bool(there & {"SpamComplaint", "SubscriptionChange", LEFT_BY_LINK}),
        "bounced": "Bounce" in there,
    }
    types = {one.bounce_type for one in told if one.record_type == "Bounce"}
    kind = "hard" if types & HARD else "soft" if types & SOFT else "other"
    return {figure for figure, holds in tests.items() if holds} | ({f"bounced_{kind}"} if types else set())


def _all_of_them(told: list[Told]) -> Counter[str]:
    opens = [one for one in told if one.record_type == "Open"]
    clicks = [one for one in told if one.record_type == "Click"]
    return Counter(
        opens=len(opens),
        machine_opens=sum(one.by_agent for one in opens),
        clicks=len(clicks),
        machine_clicks=sum(_is_machine(one, told) for one in clicks),
    )


def _links(told: list[Told]) -> Counter[tuple[str, str, str]]:
    clicks = [one for one in told if one.record_type == "Click"]
    counts: Counter[tuple[str, str, str]] = Counter()
    for link in {one.link for one in clicks}:
        on_it = [_is_machine(one, told) for one in clicks if one.link == link]
        counts["link", link, "clicked"] = 1
        counts["link", link, "clicked_by_reader"] = int(not all(on_it))
        counts["link", link, "clicks"] = len(on_it)
        counts["link", link, "machine_clicks"] = sum(on_it)
    return counts


def _is_machine(click: Told, told: list[Told]) -> bool:
    delivered_at = min((one.at for one in told if one.record_type == "Delivery"), default=None)
    at_delivery = delivered_at is not None and click.at < delivered_at + timedelta(seconds=5)
    return click.by_agent or at_delivery or _is_in_burst(click, [one for one in told if one.record_type == "Click"])


def _is_in_burst(click: Told, clicks: list[Told]) -> bool:
    """Whether some stretch of 10 seconds that holds the click has clicks on three different links."""
    for first in clicks:
        stretch = [one for one in clicks if timedelta(0) <= one.at - first.at <= timedelta(seconds=10)]
        if len({one.link for one in stretch}) >= 3 and first.at <= click.at <= first.at + timedelta(seconds=10):
            return True
    return False
