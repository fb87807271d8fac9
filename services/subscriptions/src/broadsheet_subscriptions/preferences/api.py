"""The API behind the gateway's preference pages. Tokens are sent in bodies, never in URLs."""

from typing import Annotated

import msgspec
from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.contracts.address_hash import AddressHasher
from broadsheet_common.contracts.identity import requires
from broadsheet_common.contracts.link_token import LinkSigner
from broadsheet_common.contracts.suppression import SuppressionKind
from broadsheet_common.http.problems import InvalidInputError
from broadsheet_common.http.record_id import RecordId
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only
from broadsheet_common.languages.language import Language
from broadsheet_subscriptions.personal_data.erase_subscriber import (
    BY_THEMSELVES,
    AddressChangesNowError,
    erase_subscriber,
)
from broadsheet_subscriptions.personal_data.export_person import PersonalData, export_person
from broadsheet_subscriptions.preferences.change_address import (
    AddressTakenError,
    ask_for_address,
    confirm_address,
    look_up_change,
)
from broadsheet_subscriptions.preferences.change_name import change_name
from broadsheet_subscriptions.preferences.leave import leave
from broadsheet_subscriptions.preferences.mail_link import mail_preferences_link
from broadsheet_subscriptions.preferences.open_link import (
    PersonErasedError,
    UnknownPreferencesTokenError,
    open_link,
)
from broadsheet_subscriptions.preferences.policy import PreferencesPolicy
from broadsheet_subscriptions.preferences.show_preferences import ShownPreferences, preferences_of, show_preferences
from broadsheet_subscriptions.preferences.store import AddressChange, Person, find_language
from broadsheet_subscriptions.sign_up.api import PUBLIC_BODY_MAX_BYTES, TokenInput
from broadsheet_subscriptions.subscribers.api import EMAIL_CHARS_MAX, NAME_CHARS_MAX
from broadsheet_subscriptions.subscribers.subscription import State

_OF_LINKS = (UnknownPreferencesTokenError, PersonErasedError)


class LinkAnswer(msgspec.Struct, frozen=True):
    """Empty, so that it reveals nothing about the token, the subscriber, or whether a mail was sent."""


class LeaveInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`newsletter_id` null means every newsletter."""

    token: str
    newsletter_id: RecordId | None = None


class NameInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: str
    name: Annotated[str, msgspec.Meta(max_length=NAME_CHARS_MAX)]


class AddressInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: str
    email: Annotated[str, msgspec.Meta(max_length=EMAIL_CHARS_MAX)]


class NewsletterMembership(msgspec.Struct, frozen=True):
    """`suppressed`: why no issue is sent to their address."""

    id: int
    name: str
    state: State
    suppressed: SuppressionKind | None


class Preferences(msgspec.Struct, frozen=True):
    """`pending_email` is a new address that has not been confirmed yet. `language`: what the page is shown in."""

    email: str
    name: str
    newsletters: list[NewsletterMembership]
    pending_email: str | None
    language: Language


class ChangeOfAddress(msgspec.Struct, frozen=True):
    """`language`: what the page is shown in."""

    new_email: str
    is_confirmed: bool
    language: Language


class ErasedAnswer(msgspec.Struct, frozen=True):
    """Empty: the subscriber no longer exists."""


class PreferencesController(Controller):
    path = "/public"
    tags = ("Public pages",)
    guards = (requires("public"), json_only)
    request_class = JsonRequest
    request_max_body_size = PUBLIC_BODY_MAX_BYTES

    @post(
        "/preferences-links",
        operation_id="mailPreferencesLink",
        summary="Mail the reader of an unsubscribe link a link to their own page",
        description="It goes to the address on file. The answer is the same for every token.",
        status_code=202,
        responses=documents(body=True),
    )
    async def mail_link(
        self,
        data: JSONBody[TokenInput],
        engine: NamedDependency[AsyncEngine],
        link_signer: NamedDependency[LinkSigner],
        preferences_policy: NamedDependency[PreferencesPolicy],
    ) -> LinkAnswer:
        async with engine.begin() as connection:
            await mail_preferences_link(connection, link_signer, preferences_policy, data.token)
        return LinkAnswer()

    @post(
        "/preferences/lookup",
        operation_id="lookUpPreferences",
        summary="See one's own page; changes nothing",
        status_code=200,
        responses=documents(*_OF_LINKS, body=True),
    )
    async def look_up(self, data: JSONBody[TokenInput], engine: NamedDependency[AsyncEngine]) -> Preferences:
        async with engine.connect() as connection:
            return _shown(await show_preferences(connection, data.token))

    @post(
        "/preferences/leave",
        operation_id="leaveByPreferences",
        summary="Leave one newsletter or all from one's own page",
        status_code=200,
        responses=documents(*_OF_LINKS, InvalidInputError, body=True),
    )
    async def leave(self, data: JSONBody[LeaveInput], engine: NamedDependency[AsyncEngine]) -> Preferences:
        async with engine.begin() as connection:
            return await _page(connection, await leave(connection, data.token, newsletter_id=data.newsletter_id))

    @post(
        "/preferences/name",
        operation_id="changeOwnName",
        summary="Change one's own name",
        status_code=200,
        responses=documents(*_OF_LINKS, InvalidInputError, body=True),
    )
    async def change_name(self, data: JSONBody[NameInput], engine: NamedDependency[AsyncEngine]) -> Preferences:
        async with engine.begin() as connection:
            return await _page(connection, await change_name(connection, data.token, data.name))

    @post(
        "/preferences/address",
        operation_id="askForOwnAddress",
        summary="Ask for another address; it is asked for its confirmation",
        description="The answer is the same whoever has the address.",
        status_code=202,
        responses=documents(*_OF_LINKS, InvalidInputError, body=True),
    )
    async def ask_for_address(
        self,
        data: JSONBody[AddressInput],
        engine: NamedDependency[AsyncEngine],
        preferences_policy: NamedDependency[PreferencesPolicy],
        address_hasher: NamedDependency[AddressHasher],
    ) -> Preferences:
        async with engine.begin() as connection:
            await ask_for_address(connection, address_hasher, preferences_policy, data.token, data.email)
            return _shown(await show_preferences(connection, data.token))

    @post(
        "/preferences/export",
        operation_id="exportOwnData",
        summary="All that is held about oneself",
        status_code=200,
        responses=documents(*_OF_LINKS, body=True),
    )
    async def export(self, data: JSONBody[TokenInput], engine: NamedDependency[AsyncEngine]) -> PersonalData:
        # One snapshot, so that the parts are consistent.
        async with engine.execution_options(isolation_level="REPEATABLE READ").connect() as connection:
            person = await open_link(connection, data.token, lock=False)
            return await export_person(connection, person.id)

    @post(
        "/preferences/erase",
        operation_id="eraseOneself",
        summary="Erase all that is held about oneself; a second time succeeds too",
        status_code=200,
        responses=documents(UnknownPreferencesTokenError, AddressChangesNowError, body=True),
    )
    async def erase(
        self,
        data: JSONBody[TokenInput],
        engine: NamedDependency[AsyncEngine],
        address_hasher: NamedDependency[AddressHasher],
    ) -> ErasedAnswer:
        async with engine.begin() as connection:
            try:
                person = await open_link(connection, data.token, lock=False)
            except PersonErasedError:
                return ErasedAnswer()
            await erase_subscriber(connection, address_hasher, subscriber_id=person.id, requested_by=BY_THEMSELVES)
        return ErasedAnswer()

    @post(
        "/address-changes/lookup",
        operation_id="lookUpAddressChange",
        summary="See what a link to a new address leads to; changes nothing",
        status_code=200,
        responses=documents(UnknownPreferencesTokenError, body=True),
    )
    async def look_up_change(self, data: JSONBody[TokenInput], engine: NamedDependency[AsyncEngine]) -> ChangeOfAddress:
        async with engine.connect() as connection:
            return await _changed(connection, await look_up_change(connection, data.token))

    @post(
        "/address-changes",
        operation_id="confirmAddressChange",
        summary="Confirm a new address; a second time succeeds too",
        status_code=200,
        responses=documents(UnknownPreferencesTokenError, AddressTakenError, body=True),
    )
    async def confirm_change(
        self,
        data: JSONBody[TokenInput],
        engine: NamedDependency[AsyncEngine],
        address_hasher: NamedDependency[AddressHasher],
    ) -> ChangeOfAddress:
        async with engine.begin() as connection:
            return await _changed(connection, await confirm_address(connection, address_hasher, data.token))


async def _page(connection: AsyncConnection, person: Person) -> Preferences:
    return _shown(await preferences_of(connection, person))


def _shown(shown: ShownPreferences) -> Preferences:
    return Preferences(
        email=str(shown.person.email),
        name=shown.person.name,
        newsletters=[
            NewsletterMembership(item.newsletter_id, item.newsletter_name, item.state, item.suppressed)
            for item in shown.memberships
        ],
        pending_email=None if shown.pending_address is None else str(shown.pending_address),
        language=shown.language,
    )


async def _changed(connection: AsyncConnection, change: AddressChange) -> ChangeOfAddress:
    language = await find_language(connection, change.subscriber_id)
    return ChangeOfAddress(str(change.new_email), change.is_confirmed, language)
