"""The newsletters by name, for lists to choose from and for what is shown of a person."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

import msgspec

from broadsheet_common.http.pagination import Page
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.service_calls import ServiceCalls

NEWSLETTERS_MAX: Final = 200
"""More are shown by their numbers."""


class NewsletterName(msgspec.Struct, frozen=True):
    id: int
    name: str
    archived_at: datetime | None = None

    @property
    def text(self) -> str:
        return self.name if self.archived_at is None else f"{self.name} (archived)"


async def ask_newsletter_names(calls: ServiceCalls) -> tuple[NewsletterName, ...]:
    """The first ones that the user may know of, archived ones too."""
    query: dict[str, str | int | None] = {"archived": "true", "limit": NEWSLETTERS_MAX}
    return tuple((await calls.get("publishing", "/api/v1/newsletters", Page[NewsletterName], query)).items)


def name_of(newsletter_id: int, names: Collection[NewsletterName] | None) -> str:
    found = next((one.text for one in names or () if one.id == newsletter_id), None)
    return f"Newsletter {newsletter_id}" if found is None else found


def workable(names: Collection[NewsletterName], session: Session, permission: str) -> tuple[NewsletterName, ...]:
    """Those for which the user has the permission."""
    if permission in session.rights.everywhere:
        return tuple(names)
    ids = {newsletter_id for newsletter_id, held in session.rights.limited if held == permission}
    return tuple(one for one in names if one.id in ids)
