"""What the preference page shows. Changes nothing."""

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.languages.language import Language
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_subscriptions.preferences import store
from broadsheet_subscriptions.preferences.open_link import open_link
from broadsheet_subscriptions.preferences.store import Membership, Person


class ShownPreferences(msgspec.Struct, frozen=True):
    """`pending_address` is a new address that has not been confirmed yet."""

    person: Person
    memberships: list[Membership]
    pending_address: EmailAddress | None
    language: Language


async def show_preferences(connection: AsyncConnection, token: str) -> ShownPreferences:
    """Raises UnknownPreferencesTokenError, PersonErasedError."""
    return await preferences_of(connection, await open_link(connection, token, lock=False))


async def preferences_of(connection: AsyncConnection, person: Person) -> ShownPreferences:
    return ShownPreferences(
        person,
        await store.list_memberships(connection, person.id),
        await store.find_pending_address(connection, person.id),
        await store.find_language(connection, person.id),
    )
