"""Events of an issue as the service stores them, and the figures that were rolled up from them."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from broadsheet_delivery.reports.roll_up_reports import roll_up_reports
from harness.delivering import Delivering
from harness.seeding import Seed

from .naive_report import LEFT_BY_LINK, Told

NOON = datetime.now(UTC).replace(microsecond=0)
"""A moment about now: issues are published now."""
ROUNDS_MAX = 100


def store_events(seed: Seed, issue_id: int, people: Sequence[int], *told: Told) -> None:
    """`people` by their delivery's number, from 1. A copy of an event changes nothing, as in the service."""
    for one in told:
        if one.record_type == LEFT_BY_LINK:
            seed.execute("SELECT delivery.enqueue_departure(%s, %s)", (issue_id, people[one.seq - 1]))
            continue
        key = hashlib.sha256(msgspec.json.encode((issue_id, one))).hexdigest()
        seed.execute(
            "INSERT INTO delivery.provider_event (record_type, issue_id, seq, source, occurred_at, received_at, "
            "dedupe_key, detail) VALUES (%s, %s, %s, 'webhook', %s, now(), %s, %s) ON CONFLICT DO NOTHING",
            (one.record_type, issue_id, one.seq, one.at, key, msgspec.json.encode(_detail(one)).decode()),
        )


def _detail(one: Told) -> dict[str, Any]:
    detail: dict[str, Any] = {"machine": "known_agent"} if one.by_agent else {}
    match one.record_type:
        case "Bounce":
            detail["type"] = one.bounce_type
        case "Click":
            detail["link"] = one.link
        case "SubscriptionChange":
            detail |= {"suppress_sending": True, "origin": "Recipient", "reason": "ManualSuppression"}
        case _:
            pass
    return detail


async def roll_up(delivery: Delivering, seed: Seed) -> None:
    """Until nothing is left, without the rest that sending is given."""
    for _ in range(ROUNDS_MAX):
        seed.execute("UPDATE delivery.report_pace SET next_at = now()")
        if await roll_up_reports(delivery.context) == 0:
            return
    raise AssertionError("it does not come to an end")


def figures(seed: Seed, issue_id: int) -> Counter[tuple[str, str, str]]:
    """(part, key, figure): how many, in the form of `count_naively`."""
    counts: Counter[tuple[str, str, str]] = Counter()
    rows = seed.execute(
        """
        SELECT one.part, one.figure, one.count, coalesce(domain.name, link.url, one.key)
          FROM delivery.report_figure AS one
          LEFT JOIN delivery.report_domain AS domain
            ON one.part = 'domain' AND domain.issue_id = one.issue_id AND domain.number::text = one.key
          LEFT JOIN delivery.report_link AS link
            ON one.part = 'link' AND link.issue_id = one.issue_id AND link.number::text = one.key
         WHERE one.issue_id = %s
        """,
        (issue_id,),
    )
    for part, figure, count, key in rows:
        assert int(str(count)) >= 0, (part, figure, key)
        if part == "variant":
            counts["all", "", str(figure)] += int(str(count))
        counts[str(part), str(key), str(figure)] += int(str(count))
    return +counts
