"""The newsletters that a role may be for, asked of publishing."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from broadsheet_common.http.pagination import Page
from broadsheet_gateway.access.rights import Grant
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.service_calls import or_none
from broadsheet_gateway.forwarding.upstreams import Upstreams
from broadsheet_gateway.pages.people_views import NewsletterChoice

CHOICES_MAX: Final = 200


class _Newsletter(msgspec.Struct, frozen=True):
    id: int
    name: str
    archived_at: datetime | None = None


async def ask_newsletters(upstreams: Upstreams, session: Session) -> tuple[NewsletterChoice, ...]:
    """The first ones; archived ones are marked. None while publishing does not answer: pages work without names."""
    found = await or_none(
        upstreams.call(
            "publishing",
            "GET",
            f"/api/v1/newsletters?limit={CHOICES_MAX}",
            identity=session.identity,
            answer=Page[_Newsletter],
        )
    )
    return tuple(
        NewsletterChoice(one.id, f"{one.name} (archived)" if one.archived_at is not None else one.name)
        for one in (found.items if found is not None else ())
    )


def with_those_of(choices: tuple[NewsletterChoice, ...], grants: Iterable[Grant]) -> tuple[NewsletterChoice, ...]:
    """With the newsletters of roles that somebody has: a form must be able to send them back."""
    known = {one.id for one in choices}
    missing = sorted({grant.newsletter_id for grant in grants if grant.newsletter_id is not None} - known)
    return (*choices, *(NewsletterChoice(number, f"Newsletter {number}") for number in missing))
