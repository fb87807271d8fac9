"""Create a newsletter."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.audit import By, changes, record_audit
from broadsheet_common.http.problems import ConflictError, FieldProblem, InvalidInputError
from broadsheet_publishing.newsletters import store
from broadsheet_publishing.newsletters.newsletter import SLUG_CHARS_MAX
from broadsheet_publishing.newsletters.slug import slug_from

SHOWN_IN_AUDIT: Final = frozenset(
    {
        "unsubscribe_handling", "direction", "layout_id", "is_listed", "has_archive", "archive_is_hidden",
        "track_opens", "track_links", "requires_approval",
    }
)  # fmt: skip
"""Settings whose values the audit log shows; of the others, that they were changed."""


class SlugTakenError(ConflictError):
    slug, title = "slug-taken", "Another newsletter has this slug"


async def create_newsletter(
    connection: AsyncConnection, values: Mapping[str, object], *, by: By
) -> store.NewsletterRow:
    """In the caller's transaction. `values` by column, as `parse_settings` returns them; without a slug, the name
    gives it.

    Raises:
        SlugTakenError
        InvalidInputError: the name gives no slug, or there is no such layout.
    """
    slug = values.get("slug") or slug_from(str(values["name"]), chars_max=SLUG_CHARS_MAX)
    if not slug:
        raise InvalidInputError(
            errors=(FieldProblem(pointer="/slug", detail="The name has no letters for a slug: give one."),)
        )
    await require_layout(connection, values)
    await store.lock_slugs(connection)
    row = await store.insert_newsletter(connection, dict(values) | {"slug": slug})
    if row is None:
        raise SlugTakenError(errors=(FieldProblem(pointer="/slug", detail="Another newsletter has this slug."),))
    shown = changes({}, values, shown=SHOWN_IN_AUDIT)
    await record_audit(
        connection, by, "newsletter.created", row.id, newsletter_id=row.id, after=None if shown is None else shown[1]
    )
    return row


async def require_layout(connection: AsyncConnection, values: Mapping[str, object]) -> None:
    """Raises `InvalidInputError` for a layout that does not exist."""
    layout_id = values.get("layout_id")
    if isinstance(layout_id, int) and not await store.layout_exists(connection, layout_id):
        raise InvalidInputError(errors=(FieldProblem(pointer="/layout_id", detail="There is no such layout."),))
