"""The newsletters by name, for lists and for the forms that choose one."""

from datetime import datetime
from typing import Final

import msgspec

from broadsheet_common.http.pagination import Page
from broadsheet_gateway.admin.service_calls import ServiceCalls, or_none

NEWSLETTERS_MAX: Final = 200


class NamedNewsletter(msgspec.Struct, frozen=True):
    """The names of members are those of the API's Newsletter."""

    id: int
    name: str
    message_stream: str = ""
    archived_at: datetime | None = None

    @property
    def label(self) -> str:
        return f"{self.name} (archived)" if self.archived_at is not None else self.name


async def ask_newsletter_names(calls: ServiceCalls) -> tuple[NamedNewsletter, ...]:
    """The first 200. None while publishing does not answer: pages work with numbers instead."""
    found = await or_none(
        calls.get("publishing", "/api/v1/newsletters", Page[NamedNewsletter], {"limit": NEWSLETTERS_MAX})
    )
    return tuple(found.items) if found is not None else ()
