"""Make a user for somebody whom only the provider knows: with the roles that their groups give, and no password."""

import secrets
from collections.abc import Collection, Iterator
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.audit import NewEntry, record_audits
from broadsheet_common.http.problems import InvalidInputError
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_gateway.access.interface import replace_grants
from broadsheet_gateway.access.rights import Grant
from broadsheet_gateway.accounts.interface import find_user_by_address, insert_user, is_name_taken
from broadsheet_gateway.oidc import store
from broadsheet_gateway.oidc.configuration import OidcConfiguration
from broadsheet_gateway.oidc.id_token import ProviderIdentity
from broadsheet_gateway.oidc.mapped_roles import by_provider
from broadsheet_gateway.users.user import NAME_CHARS_MAX, USERNAME_CHARS_MAX, find_username_fault, parse_name

_SUFFIX_CHARS: Final = 7

_log = structlog.get_logger()


class TakenMeanwhileError(Exception):
    """Somebody else took the name, the address or the account at the provider while the user was made: take the
    transaction back, and try again.
    """


async def make_user(
    connection: AsyncConnection,
    identity: ProviderIdentity,
    grants: Collection[Grant],
    *,
    configuration: OidcConfiguration,
    source: str | None,
) -> int:
    """The new user's id. An address that another user has is left out: it makes nobody somebody else.

    Raises:
        TakenMeanwhileError
    """
    username = await _free_name(connection, identity)
    email = _address(identity)
    if email is not None and await find_user_by_address(connection, email.key) is not None:
        email = None
    user_id = await insert_user(connection, username=username, password_hash=None, name=_name(identity), email=email)
    if user_id is None or not await store.insert_link(
        connection, issuer=configuration.issuer, subject=identity.subject, user_id=user_id
    ):
        raise TakenMeanwhileError
    await replace_grants(connection, user_id, grants)
    await store.keep_mapped(connection, issuer=configuration.issuer, user_id=user_id, mapped=grants)
    roles = [grant.text for grant in grants]
    await record_audits(
        connection,
        by_provider(source),
        [
            NewEntry(action="user.created", target_id=user_id, after={"method": "oidc", "roles": roles}),
            NewEntry(action="user.provider_linked", target_id=user_id, after={"provider": configuration.word}),
        ],
    )
    _log.warning("security.user_created", user_id=user_id, method="oidc")
    return user_id


async def _free_name(connection: AsyncConnection, identity: ProviderIdentity) -> str:
    for name in _names(identity):
        if not await is_name_taken(connection, name):
            return name
    raise TakenMeanwhileError


def _names(identity: ProviderIdentity) -> Iterator[str]:
    """The user's name at the provider, what stands before the @ of one that is an address; then with a suffix."""
    wanted = identity.username.partition("@")[0].strip()
    if find_username_fault(wanted) is not None:
        wanted = "user"
    else:
        yield wanted
    for _ in range(3):
        yield f"{wanted[: USERNAME_CHARS_MAX - _SUFFIX_CHARS]}-{secrets.token_hex(3)}"


def _name(identity: ProviderIdentity) -> str:
    try:
        name = parse_name(identity.name)
    except InvalidInputError:
        return ""
    return name if len(name) <= NAME_CHARS_MAX else ""


def _address(identity: ProviderIdentity) -> EmailAddress | None:
    if identity.email is None:
        return None
    try:
        return EmailAddress.parse(identity.email)
    except ValueError:
        return None
