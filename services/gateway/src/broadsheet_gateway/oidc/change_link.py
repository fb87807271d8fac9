"""Link one's own user to an account at the provider, or end that. The caller has checked that the proof is fresh."""

from typing import Final

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import record_audit
from broadsheet_gateway.access.interface import read_grants, replace_grants
from broadsheet_gateway.access.last_owner import LastOwnerError, require_another_owner
from broadsheet_gateway.access.rights import Grant
from broadsheet_gateway.account_notices.queue_notice import queue_notice
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.accounts.interface import find_user
from broadsheet_gateway.oidc import store
from broadsheet_gateway.oidc.configuration import OidcConfiguration
from broadsheet_gateway.oidc.id_token import ProviderIdentity
from broadsheet_gateway.oidc.provider_notice import write_provider_linked, write_provider_unlinked
from broadsheet_gateway.oidc.store import Link
from broadsheet_gateway.users.change_user import show_user
from broadsheet_gateway.users.record_changes import record_changes

_OWNER: Final = Grant("owner")

_log = structlog.get_logger()


class Linked(msgspec.Struct, frozen=True):
    pass


class LinkedBefore(msgspec.Struct, frozen=True):
    """To this same account: nothing was changed."""


class LinkTaken(msgspec.Struct, frozen=True):
    """The account is another user's, or the user is linked to another account: nothing was changed."""


class Unlinked(msgspec.Struct, frozen=True):
    pass


class NotLinked(msgspec.Struct, frozen=True):
    """There was nothing to end."""


class NoOtherWayIn(msgspec.Struct, frozen=True):
    """The user has no password, no passkey, and no address for a link to set a password."""


class LastOwner(msgspec.Struct, frozen=True):
    """They are an owner by the provider's word alone, and nobody else is one."""


async def read_link(user_id: int, *, configuration: OidcConfiguration, engine: AsyncEngine) -> Link | None:
    async with engine.connect() as connection:
        return await store.find_of_user(connection, configuration.issuer, user_id)


async def link_provider(
    session: Session, identity: ProviderIdentity, *, configuration: OidcConfiguration, engine: AsyncEngine
) -> Linked | LinkedBefore | LinkTaken:
    """Roles by groups come with the next sign-in through the provider."""
    async with engine.begin() as connection:
        is_new = await store.insert_link(
            connection, issuer=configuration.issuer, subject=identity.subject, user_id=session.user_id
        )
        if not is_new:
            link = await store.find_by_subject(connection, configuration.issuer, identity.subject)
            return LinkedBefore() if link is not None and link.user_id == session.user_id else LinkTaken()
        await record_audit(
            connection,
            session.identity,
            "user.provider_linked",
            session.user_id,
            after={"provider": configuration.word},
        )
        user = await find_user(connection, session.user_id)
        await queue_notice(connection, None if user is None else user.email, write_provider_linked(configuration.name))
    _log.warning("security.provider_linked", user_id=session.user_id)
    return Linked()


async def unlink_provider(
    session: Session, *, configuration: OidcConfiguration, engine: AsyncEngine
) -> Unlinked | NotLinked | NoOtherWayIn | LastOwner:
    """The roles that groups gave go with the link: nobody keeps them by leaving it in time."""
    async with engine.begin() as connection:
        before = await show_user(connection, session.user_id, lock=True)
        link = await store.find_of_user(connection, configuration.issuer, session.user_id)
        user = await find_user(connection, session.user_id)
        if link is None or user is None:
            return NotLinked()
        if user.password_hash is None and user.email is None and not user.has_passkey:
            return NoOtherWayIn()
        if _OWNER in link.mapped and _OWNER in before.roles:
            try:
                await require_another_owner(connection, session.user_id)
            except LastOwnerError:
                return LastOwner()
        await store.delete_link(connection, issuer=configuration.issuer, user_id=session.user_id)
        grants = (await read_grants(connection, [session.user_id]))[session.user_id]
        await replace_grants(connection, session.user_id, [grant for grant in grants if grant not in link.mapped])
        await record_audit(
            connection,
            session.identity,
            "user.provider_unlinked",
            session.user_id,
            after={"provider": configuration.word},
        )
        await record_changes(connection, session.identity, before, await show_user(connection, session.user_id))
        await queue_notice(connection, user.email, write_provider_unlinked(configuration.name))
    _log.warning("security.provider_unlinked", user_id=session.user_id)
    return Unlinked()
