"""What the author's pages show of issues, requested from the services."""

import asyncio
from typing import Literal

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.http.pagination import Page
from broadsheet_gateway.accounts.interface import find_user
from broadsheet_gateway.admin.issue.issue_views import IssueCounts, IssueDetail, IssueRow
from broadsheet_gateway.admin.issue.views import Senders, UnsentRow
from broadsheet_gateway.admin.service_calls import ServiceCalls
from broadsheet_gateway.api_keys.interface import find_api_key_name

ISSUES_SHOWN = 20
UNSENT_SHOWN = 20

_UnsentStatus = Literal["failed", "suppressed", "excluded", "cancelled"]
_UNSENT_STATUSES: tuple[_UnsentStatus, ...] = ("failed", "suppressed", "excluded", "cancelled")


async def ask_senders(calls: ServiceCalls) -> Senders:
    return await calls.get("delivery", "/api/v1/senders", Senders)


async def ask_issues(calls: ServiceCalls, *, cursor: str | None) -> Page[IssueRow]:
    return await calls.get("publishing", "/api/v1/issues", Page[IssueRow], {"limit": ISSUES_SHOWN, "cursor": cursor})


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


async def with_author_name(issue: IssueDetail, engine: AsyncEngine) -> IssueDetail:
    """The issue with its author by name, where the API has the subject of an identity (`user:1`, `key:1`)."""
    kind, _, number = issue.created_by.partition(":")
    if not number.isdecimal():
        return issue
    async with engine.connect() as connection:
        name: str | None = None
        if kind == "user":
            user = await find_user(connection, int(number))
            name = user.username if user is not None else None
        elif kind == "key":
            key_name = await find_api_key_name(connection, int(number))
            name = f"API key {key_name}" if key_name is not None else None
    return issue if name is None else msgspec.structs.replace(issue, created_by=name)
