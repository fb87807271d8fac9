"""What the pages show of newsletters, asked of publishing."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

import msgspec

from broadsheet_common.http.pagination import Page
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.service_calls import ServiceCalls, or_none

NEWSLETTERS_MAX: Final = 200
"""Further ones are shown by their numbers."""


class NewsletterFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the API's Newsletter. `missing`: what must be set before an issue can be sent."""

    id: int
    name: str
    slug: str = ""
    is_default: bool = False
    time_zone: str = "UTC"
    language: str = "en"
    from_name: str | None = None
    from_email: str | None = None
    message_stream: str = ""
    layout_id: int | None = None
    is_ready: bool = True
    missing: tuple[str, ...] = ()
    has_archive: bool = False
    requires_approval: bool = False
    archived_at: datetime | None = None

    @property
    def label(self) -> str:
        return self.name if self.archived_at is None else f"{self.name} (archived)"


async def ask_newsletters(calls: ServiceCalls, *, with_archived: bool = False) -> tuple[NewsletterFacts, ...]:
    """The first 200 that the user may know of. Raises as `ServiceCalls.get`."""
    query = {"archived": "true" if with_archived else None, "limit": NEWSLETTERS_MAX}
    return tuple((await calls.get("publishing", "/api/v1/newsletters", Page[NewsletterFacts], query)).items)


async def ask_known_newsletters(calls: ServiceCalls) -> tuple[NewsletterFacts, ...]:
    """None while publishing does not answer: pages work with numbers instead."""
    return await or_none(ask_newsletters(calls)) or ()


async def ask_newsletter(calls: ServiceCalls, newsletter_id: int) -> NewsletterFacts:
    """Raises as `ServiceCalls.get`."""
    return await calls.get("publishing", f"/api/v1/newsletters/{newsletter_id}", NewsletterFacts)


def name_of(newsletter_id: int, newsletters: Collection[NewsletterFacts] | None) -> str:
    found = next((one.label for one in newsletters or () if one.id == newsletter_id), None)
    return f"Newsletter {newsletter_id}" if found is None else found


def workable(
    newsletters: Collection[NewsletterFacts], session: Session, permission: str
) -> tuple[NewsletterFacts, ...]:
    """Those for which the user has the permission."""
    if permission in session.rights.everywhere:
        return tuple(newsletters)
    ids = {newsletter_id for newsletter_id, held in session.rights.limited if held == permission}
    return tuple(one for one in newsletters if one.id in ids)
