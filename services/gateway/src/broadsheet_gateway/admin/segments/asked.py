"""What the pages on segments ask of the services."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from broadsheet_common.http.pagination import Page
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.newsletter_facts import NewsletterFacts, ask_newsletters
from broadsheet_gateway.admin.segments.condition_words import AttributeType
from broadsheet_gateway.admin.segments.filter_rows import Group, names_issue
from broadsheet_gateway.admin.segments.views import Segment
from broadsheet_gateway.admin.service_calls import ServiceCalls, or_none
from broadsheet_gateway.forwarding.upstreams import TaggedAnswer

SEGMENTS_SHOWN: Final = 50
ISSUES_SHOWN: Final = 50
PATH: Final = "/api/v1/segments"


class KnownAttribute(msgspec.Struct, frozen=True):
    name: str
    type: AttributeType
    label: str


class KnownIssue(msgspec.Struct, frozen=True):
    id: int
    title: str
    status: Literal["draft", "scheduled", "publishing", "sending", "paused", "sent", "cancelled"] = "sent"


class Known(msgspec.Struct, frozen=True):
    """What conditions can be about. `attributes` None: they could not be asked, so no condition on one can be read."""

    attributes: tuple[KnownAttribute, ...] | None
    newsletters: tuple[NewsletterFacts, ...] = ()
    issues: tuple[KnownIssue, ...] = ()

    @property
    def types(self) -> Mapping[str, AttributeType]:
        return {one.name: one.type for one in self.attributes or ()}


class _Count(msgspec.Struct, frozen=True):
    matching: int


async def ask_segments(calls: ServiceCalls, *, cursor: str | None) -> Page[Segment]:
    return await calls.get("subscriptions", PATH, Page[Segment], {"limit": SEGMENTS_SHOWN, "cursor": cursor})


async def ask_segment(calls: ServiceCalls, segment_id: int) -> TaggedAnswer[Segment]:
    """Raises `NotFoundError`."""
    return await calls.get_tagged("subscriptions", f"{PATH}/{segment_id}", Segment)


async def ask_count(calls: ServiceCalls, tree: Mapping[str, Any]) -> int:
    """How many people the filter matches now. Raises `UpstreamRefusalError` for a filter that is none."""
    return (await calls.send("subscriptions", "POST", f"{PATH}/count", _Count, body={"filter": tree})).matching


async def ask_known(calls: ServiceCalls) -> Known:
    """Without the issues, which cost more (`with_issues`)."""
    attributes, newsletters = await asyncio.gather(
        or_none(ask_attributes(calls)), or_none(ask_newsletters(calls, with_archived=True))
    )
    return Known(attributes, newsletters or ())


async def with_issues(known: Known, calls: ServiceCalls, session: Session, rows: Group | None) -> Known:
    """With the newest issues that were sent, if a row is about one."""
    if rows is None or "issues:read" not in session.rights.anywhere or not names_issue(rows, known.types):
        return known
    asked = calls.get("publishing", "/api/v1/issues", Page[KnownIssue], {"limit": ISSUES_SHOWN})
    found = await or_none(asked)
    sent = () if found is None else tuple(one for one in found.items if one.status not in {"draft", "scheduled"})
    return msgspec.structs.replace(known, issues=sent)


async def ask_attributes(calls: ServiceCalls) -> tuple[KnownAttribute, ...]:
    """All of them: the service bounds how many there are."""
    return tuple((await calls.get("subscriptions", "/api/v1/attributes", Page[KnownAttribute])).items)
