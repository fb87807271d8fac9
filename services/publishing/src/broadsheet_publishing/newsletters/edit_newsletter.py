"""Change a newsletter's settings."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.audit import By, changes, record_audit
from broadsheet_common.http.entity_tag import require_match
from broadsheet_common.http.problems import FieldProblem, NotFoundError
from broadsheet_publishing.newsletters import store
from broadsheet_publishing.newsletters.create_newsletter import SHOWN_IN_AUDIT, SlugTakenError, require_layout


async def edit_newsletter(
    connection: AsyncConnection,
    newsletter_id: int,
    values: Mapping[str, object],
    *,
    if_match: str | None,
    represent: Callable[[store.NewsletterRow], Awaitable[msgspec.Struct]],
    by: By,
    welcome: Mapping[str, tuple[object, object]] = MappingProxyType({}),
) -> store.NewsletterRow:
    """In the caller's transaction. `values` by column, as `parse_settings` returns them; others stay, and so do those
    of `texts` that are not among them. `represent` makes what the caller was shown, whose entity tag is `if_match`.
    `welcome`: what changes of the welcome mail in the same transaction, before and after, for the audit log.

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
    if isinstance(texts := values.get("texts"), Mapping):
        values = dict(values) | {"texts": _own_words({**msgspec.structs.asdict(row.texts), **texts})}
    changed = await store.change_newsletter(connection, newsletter_id, values)
    before = {name: _kept(row, name) for name in values} | {name: old for name, (old, _) in welcome.items()}
    after = dict(values) | {name: new for name, (_, new) in welcome.items()}
    made = changes(before, after, shown=SHOWN_IN_AUDIT | {"welcome_is_enabled"})
    if made is not None:
        await record_audit(
            connection,
            by,
            "newsletter.changed",
            newsletter_id,
            newsletter_id=newsletter_id,
            before=made[0],
            after=made[1],
        )
    return changed


def _kept(row: store.NewsletterRow, column: str) -> object:
    """What is stored, in the form of what `change_newsletter` is given."""
    return _own_words(msgspec.structs.asdict(row.texts)) if column == "texts" else getattr(row, column)


def _own_words(texts: Mapping[str, object]) -> dict[str, object]:
    return {name: text for name, text in texts.items() if text}
