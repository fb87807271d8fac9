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
        people: set[str] = set()
        totals: Counter[str] = Counter()
        by_reader: set[str] = set()
        delivered_at = min((one.at for one in told if one.record_type == "Delivery"), default=None)
        clicks = [one for one in told if one.record_type == "Click"]
        for one in told:
            match one.record_type:
                case "Delivery":
                    people |= {"delivered", "delivery_reported"}
                case "Open":
                    people |= {"delivered", "opened"} | (set() if one.by_agent else {"opened_by_reader"})
                    totals["opens"] += 1
                    totals["machine_opens"] += one.by_agent
                case "Click":
                    machine = (
                        one.by_agent
                        or (delivered_at is not None and one.at < delivered_at + timedelta(seconds=5))
                        or _is_in_burst(one, clicks)
                    )
                    people |= {"delivered", "clicked"} | (set() if machine else {"clicked_by_reader"})
                    totals["clicks"] += 1
                    totals["machine_clicks"] += machine
                    counts["link", one.link, "clicks"] += 1
                    counts["link", one.link, "machine_clicks"] += machine
                    if not machine:
                        by_reader.add(one.link)
                case "SpamComplaint":
                    people |= {"complained", "unsubscribed"}
                case "SubscriptionChange" | "left by the link":
                    people |= {"unsubscribed"}
                case _:
                    pass
        types = {one.bounce_type for one in told if one.record_type == "Bounce"}
        if types:
            kind = "hard" if types & HARD else "soft" if types & SOFT else "other"
            people |= {"bounced", f"bounced_{kind}"}
        for link in {one.link for one in clicks}:
            counts["link", link, "clicked"] += 1
        for link in by_reader:
            counts["link", link, "clicked_by_reader"] += 1
        for figure, count in (totals + Counter(people)).items():
            counts["all", "", figure] += count
            counts["domain", domains[seq], figure] += count
    return +counts


def _is_in_burst(click: Told, clicks: list[Told]) -> bool:
    """Whether some stretch of 10 seconds that holds the click has clicks on three different links."""
    for first in clicks:
        stretch = [one for one in clicks if timedelta(0) <= one.at - first.at <= timedelta(seconds=10)]
        if len({one.link for one in stretch}) >= 3 and first.at <= click.at <= first.at + timedelta(seconds=10):
            return True
    return False
