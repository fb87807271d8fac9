"""What the author's pages show of issues, requested from the services."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Literal, TypeVar

from msgspec import UNSET, UnsetType

from broadsheet_common.contracts.permissions import Permission
from broadsheet_common.http.pagination import Page
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.issue.issue_views import IssueCounts, IssueDetail, IssueRow
from broadsheet_gateway.admin.issue.views import Senders, UnsentRow
from broadsheet_gateway.admin.service_calls import ServiceCalls, or_none
from broadsheet_gateway.forwarding.upstreams import TaggedAnswer

ISSUES_SHOWN: Final = 20
UNSENT_SHOWN: Final = 20

_UnsentStatus = Literal["failed", "suppressed", "excluded", "cancelled"]
_UNSENT_STATUSES: tuple[_UnsentStatus, ...] = ("failed", "suppressed", "excluded", "cancelled")

T = TypeVar("T")


async def asked(ask: Callable[[], Awaitable[T]], *, wanted: bool) -> T | UnsetType | None:
    """A part of a page. None: it was asked for and not answered. UNSET: it was not asked for."""
    return await or_none(ask()) if wanted else UNSET


def may(session: Session, permission: Permission, newsletter_id: int) -> bool:
    """Whether the user holds it for that newsletter."""
    rights = session.rights
    return permission in rights.everywhere or (newsletter_id, permission) in rights.limited


async def ask_senders(calls: ServiceCalls) -> Senders:
    return (await ask_tagged_senders(calls)).value


async def ask_tagged_senders(calls: ServiceCalls) -> TaggedAnswer[Senders]:
    """With the entity tag that a change of the limits needs."""
    return await calls.get_tagged("delivery", "/api/v1/senders", Senders)


async def ask_issues(calls: ServiceCalls) -> Page[IssueRow]:
    """The newest of all newsletters."""
    return await calls.get("publishing", "/api/v1/issues", Page[IssueRow], {"limit": ISSUES_SHOWN})


async def ask_issue(calls: ServiceCalls, issue_id: int) -> IssueDetail:
    """Raises `NotFoundError` when there is no such issue."""
    return await calls.get("publishing", f"/api/v1/issues/{issue_id}", IssueDetail)


async def ask_unsent(calls: ServiceCalls, issue_id: int, counts: IssueCounts) -> tuple[UnsentRow, ...]:
    """The first recipients who will not get the issue, failures first. Only outcomes that occur are requested."""
    occurring = [status for status in _UNSENT_STATUSES if getattr(counts, status) > 0]
    pages = await asyncio.gather(
        *(
            calls.get(
                "delivery",
                f"/api/v1/issues/{issue_id}/deliveries",
                Page[UnsentRow],
                {"status": status, "limit": UNSENT_SHOWN},
            )
            for status in occurring
        )
    )
    return tuple(row for page in pages for row in page.items)[:UNSENT_SHOWN]
