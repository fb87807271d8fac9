"""Change a newsletter's settings."""

from collections.abc import Awaitable, Callable, Mapping

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http.entity_tag import require_match
from broadsheet_common.http.problems import FieldProblem, NotFoundError
from broadsheet_publishing.newsletters import store
from broadsheet_publishing.newsletters.create_newsletter import SlugTakenError, require_layout


async def edit_newsletter(
    connection: AsyncConnection,
    newsletter_id: int,
    values: Mapping[str, object],
    *,
    if_match: str | None,
    represent: Callable[[store.NewsletterRow], Awaitable[msgspec.Struct]],
) -> store.NewsletterRow:
    """In the caller's transaction. `values` by column, as `parse_settings` returns them; others stay. `represent` makes
    what the caller was shown, whose entity tag is `if_match`.

    Raises:
        NotFoundError, PreconditionRequiredError, PreconditionFailedError, SlugTakenError
        InvalidInputError: there is no such layout.
    """
    if "slug" in values:
        await store.lock_slugs(connection)
    row = await store.find_newsletter(connection, newsletter_id, lock=True)
    if row is None:
        raise NotFoundError("There is no such newsletter.")
    require_match(if_match, await represent(row))
    slug = values.get("slug")
    if isinstance(slug, str) and await store.slug_is_taken(connection, slug, by_other_than=newsletter_id):
        raise SlugTakenError(errors=(FieldProblem(pointer="/slug", detail="Another newsletter has this slug."),))
    await require_layout(connection, values)
    return await store.change_newsletter(connection, newsletter_id, values)
