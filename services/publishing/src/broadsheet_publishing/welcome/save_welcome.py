"""Save a newsletter's welcome mail with what was compiled of it."""

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http.entity_tag import PreconditionFailedError
from broadsheet_publishing.layouts.interface import find_layout
from broadsheet_publishing.welcome import store
from broadsheet_publishing.welcome.welcome_mail import PreparedWelcome, look_of


async def save_welcome(
    connection: AsyncConnection, newsletter_id: int, newsletter: Mapping[str, object], prepared: PreparedWelcome
) -> None:
    """In the caller's transaction, which has locked the newsletter. `newsletter`: its columns, as they are now.

    If its look or its layout were changed since it was compiled, it is compiled again soon after.

    Raises:
        PreconditionFailedError: somebody else saved it since it was read.
    """
    row = (await store.find_welcomes(connection, [newsletter_id])).get(newsletter_id)
    if (None if row is None else row.source) != prepared.before:
        raise PreconditionFailedError
    layout_id = newsletter.get("layout_id")
    # Locked: who changes it meanwhile waits, and then finds this mail to outdate.
    layout = await find_layout(connection, layout_id, share=True) if isinstance(layout_id, int) else None
    given = prepared.given
    await store.put_welcome(
        connection,
        newsletter_id,
        given.source,
        prepared.content,
        prepared.faults,
        is_current=layout == given.layout and look_of(newsletter) == given.look,
    )
