"""Change a newsletter's sign-up settings: the sites that hold its form, and whether the home page names it."""

from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http.entity_tag import require_match
from broadsheet_common.http.problems import FieldProblem, InvalidInputError, NotFoundError
from broadsheet_publishing.newsletters import store
from broadsheet_publishing.newsletters.site_origin import ORIGINS_MAX, SiteOrigin


class NewsletterChange(msgspec.Struct, frozen=True):
    """What is to change; None stays."""

    allowed_origins: list[SiteOrigin] | None
    is_listed: bool | None


def parse_change(*, allowed_origins: Sequence[str] | None, is_listed: bool | None) -> NewsletterChange:
    """Raises `InvalidInputError` that names every entry at fault."""
    problems: list[FieldProblem] = []
    origins: list[SiteOrigin] = []
    for position, raw in enumerate(allowed_origins or ()):
        try:
            origins.append(SiteOrigin.parse(raw))
        except ValueError as error:
            problems.append(FieldProblem(pointer=f"/allowed_origins/{position}", detail=str(error)))
    if len(origins) > ORIGINS_MAX:
        problems.append(FieldProblem(pointer="/allowed_origins", detail=f"At most {ORIGINS_MAX} sites."))
    if problems:
        raise InvalidInputError(errors=tuple(problems))
    return NewsletterChange(None if allowed_origins is None else list(dict.fromkeys(origins)), is_listed)


async def edit_newsletter(
    connection: AsyncConnection,
    newsletter_id: int,
    change: NewsletterChange,
    *,
    if_match: str | None,
    represent: Callable[[store.NewsletterRow], msgspec.Struct],
) -> store.NewsletterRow:
    """In the caller's transaction. `represent` makes what the caller was shown, whose entity tag is `if_match`.

    Raises:
        NotFoundError, PreconditionRequiredError, PreconditionFailedError
    """
    row = await store.find_newsletter(connection, newsletter_id, lock=True)
    if row is None:
        raise NotFoundError("There is no such newsletter.")
    require_match(if_match, represent(row))
    return await store.change_newsletter(
        connection, newsletter_id, allowed_origins=change.allowed_origins, is_listed=change.is_listed
    )
