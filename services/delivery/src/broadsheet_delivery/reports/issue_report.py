"""The report of an issue, as the API answers it, made of rolled-up figures. Pure.

A rate is a number of people divided by the people whom the mail was delivered to: between 0 and 1, or null where it was
not measured or nobody got the mail yet.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from broadsheet_delivery.reports.time_buckets import bucket_end

LINKS_SHOWN_MAX: Final = 100
DOMAINS_SHOWN_MAX: Final = 20
OTHER: Final = "other"
GROUP_FIGURES: Final = {
    "recipients": "recipients",
    "accepted": "accepted",
    "delivered": "delivered",
    "bounced": "bounced",
    "complained": "complained",
    "unsubscribed": "unsubscribed",
    "opened": "opened",
    "opened_without_machines": "opened_by_reader",
    "clicked": "clicked",
    "clicked_without_machines": "clicked_by_reader",
}
"""The figure that each field of `Group` shows."""
LINK_FIGURES: Final = ("clicked", "clicked_by_reader", "clicks", "machine_clicks")
TIME_ZONE: Final = "UTC"


class Counts(msgspec.Struct, frozen=True):
    """What became of each recipient; the last eight add up to `audience`."""

    audience: int
    pending: int
    in_flight: int
    accepted: int
    failed: int
    suppressed: int
    excluded: int
    uncertain: int
    cancelled: int


class Engagement(msgspec.Struct, frozen=True):
    """Opens, or clicks. `measured` false: they were not tracked, so the figures say nothing, and are null.

    `unique` counts people, `total` all of them. `unique_without_machines` are people of whom at least one open or click
    was probably their own; `machine` counts the opens or clicks that probably were not (see the rules in the
    description of the route).
    """

    measured: bool
    unique: int | None
    total: int | None
    unique_without_machines: int | None
    machine: int | None


class BounceType(msgspec.Struct, frozen=True):
    """People of whom Postmark reported this type of bounce; somebody may be in several."""

    type: str
    recipients: int


class Bounces(msgspec.Struct, frozen=True):
    """Each person once, under the gravest kind: `hard`, then `soft`, then `other`."""

    total: int
    hard: int
    soft: int
    other: int
    by_type: list[BounceType]


class Rates(msgspec.Struct, frozen=True):
    """People divided by `of`: the people whom the mail was delivered to. `of` is `accepted` where Postmark reported no
    delivery at all.
    """

    of: Literal["delivered", "accepted"]
    opened: float | None
    opened_without_machines: float | None
    clicked: float | None
    clicked_without_machines: float | None
    unsubscribed: float | None
    complained: float | None
    bounced: float | None


class Stretch(msgspec.Struct, frozen=True):
    """Figures of an hour or a day, from `begins_at` to before `ends_at`. `delivered`, `bounced`, `opened` and `clicked`
    count people, each once, in the stretch of their first; the rest count all.
    """

    begins_at: datetime
    ends_at: datetime
    delivered: int
    bounced: int
    opened: int
    opened_without_machines: int
    opens: int
    machine_opens: int
    clicked: int
    clicked_without_machines: int
    clicks: int
    machine_clicks: int


class Link(msgspec.Struct, frozen=True):
    """Clicks on one link. `url` is null for all further links together."""

    url: str | None
    unique: int
    unique_without_machines: int
    total: int
    machine: int


class Group(msgspec.Struct, frozen=True):
    """Figures of a part of the recipients, in people. `delivered` includes those who opened or clicked."""

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


class Variant(Group, frozen=True, kw_only=True):
    """Of an A/B test; without one all is variant 1. `variant` 0: those who wait for the winner."""

    variant: int


class Domain(Group, frozen=True, kw_only=True):
    """`domain` is null for all further mail domains together."""

    domain: str | None


class IssueReport(msgspec.Struct, frozen=True, kw_only=True):
    """`winner`: the variant that an A/B test chose for those who were not in it; null: no test, or not chosen yet.

    `as_of`: the figures below `counts` are of this moment; null: nothing is rolled up yet. `waiting` events have
    been stored since and are not in them; at most 100,000 are counted. `older_events_wait`: events from before this
    version are being added. Moments are in `time_zone`; a day begins at midnight there.
    """

    issue_id: int
    newsletter_id: int
    published_at: datetime
    as_of: datetime | None
    waiting: int
    older_events_wait: bool
    time_zone: str
    counts: Counts
    delivered: int
    delivery_reported: bool
    bounces: Bounces
    complaints: int
    unsubscribes: int
    opens: Engagement
    clicks: Engagement
    rates: Rates
    over_time: list[Stretch]
    links: list[Link]
    winner: int | None
    variants: list[Variant]
    domains: list[Domain]


class Figure(msgspec.Struct, frozen=True):
    """A row of the figures; `name` is the domain's or the link's."""

    part: str
    figure: str
    key: str
    count: int
    name: str | None = None


class IssueState(msgspec.Struct, frozen=True):
    """What is known of an issue besides its figures."""

    issue_id: int
    newsletter_id: int
    published_at: datetime
    rolled_at: datetime | None
    tracks_opens: bool
    tracks_links: bool
    winner: int | None
    waiting: int
    older_events_wait: bool
    counts: Counts


def make_report(state: IssueState, figures: Sequence[Figure]) -> IssueReport:
    """`figures`: all variants, stretches of time and types of bounce, and those domains and links that are shown."""
    parts: dict[str, dict[str, Counter[str]]] = {}
    names: dict[tuple[str, str], str | None] = {}
    for one in figures:
        parts.setdefault(one.part, {}).setdefault(one.key, Counter())[one.figure] = one.count
        names[one.part, one.key] = one.name
    total: Counter[str] = Counter()
    for figures_of_variant in parts.get("variant", {}).values():
        total.update(figures_of_variant)
    opens = _engagement(total, "opened", "opens", measured=state.tracks_opens)
    clicks = _engagement(total, "clicked", "clicks", measured=state.tracks_links)
    return IssueReport(
        issue_id=state.issue_id,
        newsletter_id=state.newsletter_id,
        published_at=state.published_at,
        as_of=state.rolled_at,
        waiting=state.waiting,
        older_events_wait=state.older_events_wait,
        time_zone=TIME_ZONE,
        counts=state.counts,
        delivered=total["delivered"],
        delivery_reported=total["delivery_reported"] > 0,
        bounces=Bounces(
            total["bounced"],
            total["bounced_hard"],
            total["bounced_soft"],
            total["bounced_other"],
            [
                BounceType(key, count["bounced"])
                for key, count in sorted(parts.get("bounce_type", {}).items(), key=_largest("bounced"))
            ],
        ),
        complaints=total["complained"],
        unsubscribes=total["unsubscribed"],
        opens=opens,
        clicks=clicks,
        rates=make_rates(total, state.counts.accepted, opens=opens, clicks=clicks),
        over_time=[
            _stretch(state.published_at, datetime.fromisoformat(key), count)
            for key, count in sorted(parts.get("time", {}).items())
        ],
        links=_links(parts.get("link", {}), names),
        winner=state.winner,
        variants=_variants(parts.get("variant", {}), state.winner),
        domains=_domains(parts.get("domain", {}), names, total),
    )


def _variants(variants: Mapping[str, Counter[str]], winner: int | None) -> list[Variant]:
    """Those who waited for the winner were counted under 0 until it was known."""
    by_number: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for key, count in variants.items():
        number = int(key)
        by_number[winner if number == 0 and winner is not None else number].update(count)
    return [Variant(**_group(count), variant=number) for number, count in sorted(by_number.items())]


def make_rates(total: Mapping[str, int], accepted: int, *, opens: Engagement, clicks: Engagement) -> Rates:
    """Everybody who opened or clicked is among the delivered, so no rate of them can be over 1."""
    reported = total["delivery_reported"] > 0
    whole = total["delivered"] if reported else max(accepted, total["delivered"])
    # Some mails bounce that were accepted and not delivered.
    sent = max(accepted, whole)
    return Rates(
        "delivered" if reported else "accepted",
        opened=rate(opens.unique, whole),
        opened_without_machines=rate(opens.unique_without_machines, whole),
        clicked=rate(clicks.unique, whole),
        clicked_without_machines=rate(clicks.unique_without_machines, whole),
        unsubscribed=rate(total["unsubscribed"], whole),
        complained=rate(total["complained"], whole),
        bounced=rate(total["bounced"], sent),
    )


def rate(part: int | None, whole: int) -> float | None:
    """None where there is nothing to divide. Somebody may leave or complain although no delivery was reported of them:
    the rate is 1 then, not more.
    """
    return None if part is None or whole <= 0 else min(1.0, part / whole)


def engagement_of(total: Mapping[str, int], *, tracks_opens: bool, tracks_links: bool) -> tuple[Engagement, Engagement]:
    """Opens and clicks."""
    return (
        _engagement(total, "opened", "opens", measured=tracks_opens),
        _engagement(total, "clicked", "clicks", measured=tracks_links),
    )


def _engagement(total: Mapping[str, int], people: str, all_of_them: str, *, measured: bool) -> Engagement:
    """What came was measured, whatever the mails asked for: Postmark's server may track on its own."""
    if not measured and total.get(all_of_them, 0) == 0:
        return Engagement(measured=False, unique=None, total=None, unique_without_machines=None, machine=None)
    return Engagement(
        measured=True,
        unique=total.get(people, 0),
        total=total.get(all_of_them, 0),
        unique_without_machines=total.get(f"{people}_by_reader", 0),
        machine=total.get(f"machine_{all_of_them}", 0),
    )


def _stretch(published_at: datetime, begins_at: datetime, count: Counter[str]) -> Stretch:
    return Stretch(
        begins_at,
        bucket_end(published_at, begins_at),
        delivered=count["delivered"],
        bounced=count["bounced"],
        opened=count["opened"],
        opened_without_machines=count["opened_by_reader"],
        opens=count["opens"],
        machine_opens=count["machine_opens"],
        clicked=count["clicked"],
        clicked_without_machines=count["clicked_by_reader"],
        clicks=count["clicks"],
        machine_clicks=count["machine_clicks"],
    )


def _links(links: Mapping[str, Counter[str]], names: Mapping[tuple[str, str], str | None]) -> list[Link]:
    """Those with a name first, the others together last."""
    named = [(names["link", key], count) for key, count in links.items() if names["link", key] is not None]
    named.sort(key=lambda one: (-one[1]["clicked"], one[0] or ""))
    unnamed = [(None, count) for key, count in links.items() if names["link", key] is None]
    return [
        Link(name, count["clicked"], count["clicked_by_reader"], count["clicks"], count["machine_clicks"])
        for name, count in (*named, *unnamed)
    ]


def _domains(
    domains: Mapping[str, Counter[str]], names: Mapping[tuple[str, str], str | None], total: Counter[str]
) -> list[Domain]:
    shown = [(names["domain", key], count) for key, count in domains.items() if names["domain", key] is not None]
    shown.sort(key=lambda one: (-one[1]["recipients"], one[0] or ""))
    rest = Counter(total)
    for _, count in shown:
        rest.subtract(count)
    answer = [_domain(name, count) for name, count in shown]
    return [*answer, _domain(None, rest)] if rest["recipients"] > 0 else answer


def _domain(name: str | None, count: Counter[str]) -> Domain:
    return Domain(**_group(count), domain=name)


def _group(count: Counter[str]) -> dict[str, Any]:
    return {name: count[figure] for name, figure in GROUP_FIGURES.items()}


def _largest(figure: str) -> Callable[[tuple[str, Counter[str]]], tuple[int, str]]:
    return lambda one: (-one[1][figure], one[0])
