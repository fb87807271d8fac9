"""The engagement of a newsletter's last issues, as the API answers it. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from broadsheet_delivery.reports.issue_report import Engagement, IssueState, Rates, engagement_of, make_rates

ISSUES_SHOWN: Final = 10


class IssueEngagement(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one issue, as its own report has them."""

    issue_id: int
    published_at: datetime
    as_of: datetime | None
    waiting: int
    accepted: int
    delivered: int
    bounced: int
    complaints: int
    unsubscribes: int
    opens: Engagement
    clicks: Engagement
    rates: Rates


class NewsletterEngagement(msgspec.Struct, frozen=True):
    """The last ten published issues, the newest first."""

    newsletter_id: int
    issues: list[IssueEngagement]


def make_engagement(newsletter_id: int, issues: Sequence[tuple[IssueState, Mapping[str, int]]]) -> NewsletterEngagement:
    return NewsletterEngagement(newsletter_id, [_issue(state, total) for state, total in issues])


def _issue(state: IssueState, total: Mapping[str, int]) -> IssueEngagement:
    opens, clicks = engagement_of(total, tracks_opens=state.tracks_opens, tracks_links=state.tracks_links)
    return IssueEngagement(
        issue_id=state.issue_id,
        published_at=state.published_at,
        as_of=state.rolled_at,
        waiting=state.waiting,
        accepted=state.counts.accepted,
        delivered=total["delivered"],
        bounced=total["bounced"],
        complaints=total["complained"],
        unsubscribes=total["unsubscribed"],
        opens=opens,
        clicks=clicks,
        rates=make_rates(total, state.counts.accepted, opens=opens, clicks=clicks),
    )
