"""What many pages show of newsletters, asked of publishing."""

from datetime import datetime
from typing import Final

import msgspec

from broadsheet_common.http.pagination import Page
from broadsheet_gateway.admin.service_calls import ServiceCalls

NEWSLETTERS_MAX: Final = 200


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
    is_ready: bool = True
    missing: tuple[str, ...] = ()
    requires_approval: bool = False
    archived_at: datetime | None = None


async def ask_newsletters(calls: ServiceCalls) -> tuple[NewsletterFacts, ...]:
    """Those that are not archived, the first 200. Raises as `ServiceCalls.get`."""
    page = await calls.get("publishing", "/api/v1/newsletters", Page[NewsletterFacts], {"limit": NEWSLETTERS_MAX})
    return tuple(page.items)


async def ask_newsletter(calls: ServiceCalls, newsletter_id: int) -> NewsletterFacts:
    """Raises as `ServiceCalls.get`."""
    return await calls.get("publishing", f"/api/v1/newsletters/{newsletter_id}", NewsletterFacts)
