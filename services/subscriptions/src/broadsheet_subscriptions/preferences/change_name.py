"""Change the name a subscriber is greeted with."""

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http.problems import FieldProblem, InvalidInputError
from broadsheet_subscriptions.preferences import store
from broadsheet_subscriptions.preferences.open_link import open_link
from broadsheet_subscriptions.preferences.store import Person
from broadsheet_subscriptions.subscribers.subscriber_name import SubscriberName


async def change_name(connection: AsyncConnection, token: str, name: str) -> Person:
    """In the caller's transaction.

    Raises:
        UnknownPreferencesTokenError, PersonErasedError
        InvalidInputError: the name is invalid.
    """
    try:
        parsed = SubscriberName.parse(name)
    except ValueError as error:
        raise InvalidInputError(errors=(FieldProblem(pointer="/name", detail=str(error)),)) from error
    person = await open_link(connection, token, lock=True)
    await store.set_name(connection, person.id, parsed)
    return msgspec.structs.replace(person, name=str(parsed))
