"""From a link's token to the subscriber it was mailed to."""

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http.problems import ProblemError
from broadsheet_subscriptions.preferences import store
from broadsheet_subscriptions.preferences.store import AddressChange, Person
from broadsheet_subscriptions.sign_up.confirmation_token import TOKEN_CHARS_MAX, hash_token


class UnknownPreferencesTokenError(ProblemError):
    slug, title, status = "unknown-token", "This link is not known, or is too old", 401


class PersonErasedError(ProblemError):
    """The link is valid, but the subscriber has been erased since."""

    slug, title, status = "person-erased", "All that was kept about you was erased", 410


async def open_link(connection: AsyncConnection, token: str, *, lock: bool) -> Person:
    """Raises UnknownPreferencesTokenError, PersonErasedError."""
    found = await store.find_link(connection, hash_token(token)) if 0 < len(token) <= TOKEN_CHARS_MAX else None
    if found is None:
        raise UnknownPreferencesTokenError
    person = await store.find_person(connection, found.subscriber_id, lock=lock) if found.subscriber_id else None
    if person is None:
        raise PersonErasedError
    if lock and await store.find_link(connection, hash_token(token)) is None:
        # The link was ended while we waited for the lock: the address has changed.
        raise UnknownPreferencesTokenError
    return person


async def open_change(connection: AsyncConnection, token: str) -> AddressChange:
    """Raises UnknownPreferencesTokenError."""
    found = await store.find_change(connection, hash_token(token)) if 0 < len(token) <= TOKEN_CHARS_MAX else None
    if found is None:
        raise UnknownPreferencesTokenError
    return found
