"""What the author's pages show of issues, requested from the services."""

import asyncio
from collections.abc import Awaitable
from typing import Literal, TypeVar
from urllib.parse import urlencode

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.http.pagination import Page
from broadsheet_common.http.problems import NotFoundError, ProblemError
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.accounts.interface import find_user
from broadsheet_gateway.api_keys.interface import find_api_key_name
from broadsheet_gateway.author.issue_views import IssueCounts, IssueDetail, IssueRow
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError, Upstreams
from broadsheet_gateway.pages.views import Senders, UnsentRow

ISSUES_SHOWN = 20
UNSENT_SHOWN = 20
_ID_DIGITS_MAX = 18

_UnsentStatus = Literal["failed", "suppressed", "excluded", "cancelled"]
_UNSENT_STATUSES: tuple[_UnsentStatus, ...] = ("failed", "suppressed", "excluded", "cancelled")

T = TypeVar("T")


async def or_none(asked: Awaitable[T]) -> T | None:
    """A part of a page that may be missing: the page says so and shows the rest."""
    try:
        return await asked
    except (ProblemError, UpstreamRefusalError):
        return None  # logged where it was raised


def parse_issue_id(text: str) -> int:
    """Raises `NotFoundError` for what is not an id, as for an unknown one."""
    if not (text.isascii() and text.isdigit() and len(text) <= _ID_DIGITS_MAX):
        raise NotFoundError
    return int(text)


async def ask_senders(upstreams: Upstreams, session: Session) -> Senders:
    return await upstreams.call("delivery", "GET", "/api/v1/senders", identity=session.identity, answer=Senders)


async def ask_issues(upstreams: Upstreams, session: Session, *, cursor: str | None) -> Page[IssueRow]:
    query = urlencode({"limit": str(ISSUES_SHOWN), **({"cursor": cursor} if cursor else {})})
    return await upstreams.call(
        "publishing", "GET", f"/api/v1/issues?{query}", identity=session.identity, answer=Page[IssueRow]
    )


async def ask_issue(upstreams: Upstreams, session: Session, issue_id: int) -> IssueDetail:
    """Raises `NotFoundError` when there is no such issue."""
    try:
        return await upstreams.call(
            "publishing", "GET", f"/api/v1/issues/{issue_id}", identity=session.identity, answer=IssueDetail
        )
    except UpstreamRefusalError as refusal:
        raise NotFoundError from refusal


async def ask_unsent(
    upstreams: Upstreams, session: Session, issue_id: int, counts: IssueCounts
) -> tuple[UnsentRow, ...]:
    """The first recipients who will not get the issue, failures first. Only outcomes that occur are requested."""
    occurring = [status for status in _UNSENT_STATUSES if getattr(counts, status) > 0]
    pages = await asyncio.gather(
        *(
            upstreams.call(
                "delivery",
                "GET",
                f"/api/v1/issues/{issue_id}/deliveries?{urlencode({'status': status, 'limit': UNSENT_SHOWN})}",
                identity=session.identity,
                answer=Page[UnsentRow],
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
