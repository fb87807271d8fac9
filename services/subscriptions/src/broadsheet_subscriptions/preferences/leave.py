"""Unsubscribe from one newsletter or all of them on the preference page. Repeating it succeeds."""

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http.problems import FieldProblem, InvalidInputError
from broadsheet_subscriptions.leaving.interface import set_unsubscribed
from broadsheet_subscriptions.preferences import store
from broadsheet_subscriptions.preferences.open_link import open_link
from broadsheet_subscriptions.preferences.store import Person
from broadsheet_subscriptions.subscribers.change_source import begin_change


async def leave(connection: AsyncConnection, token: str, *, newsletter_id: int | None) -> Person:
    """In the caller's transaction; `newsletter_id` None means every newsletter.

    Raises:
        UnknownPreferencesTokenError, PersonErasedError
        InvalidInputError: they never subscribed to this newsletter.
    """
    await begin_change(connection, "preferences")
    person = await open_link(connection, token, lock=True)
    memberships = await store.list_memberships(connection, person.id)
    chosen = [item.subscription_id for item in memberships if newsletter_id in {None, item.newsletter_id}]
    if newsletter_id is not None and not chosen:
        problem = FieldProblem(pointer="/newsletter_id", detail="There is no subscription to it.")
        raise InvalidInputError(errors=(problem,))
    await set_unsubscribed(connection, chosen)
    return person
