"""Make one's own account by the link of an invitation.

The user, the roles and the end of the invitation are one transaction: of two at once, one makes an account. The address
counts as confirmed, because the link was mailed to it.
"""

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import Actor, record_audit
from broadsheet_common.http.problems import InvalidInputError
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_gateway.access.interface import replace_grants
from broadsheet_gateway.accounts.interface import UserAccount, find_user, find_user_by_name, insert_user, is_name_taken
from broadsheet_gateway.accounts.password import PasswordFault, explain, find_fault
from broadsheet_gateway.accounts.password_hashing import PasswordHashing
from broadsheet_gateway.invitations import store
from broadsheet_gateway.invitations.invite import token_sha256
from broadsheet_gateway.invitations.store import Invited
from broadsheet_gateway.settings import DEFAULT_PASSWORD
from broadsheet_gateway.users.user import NAME_CHARS_MAX, find_username_fault, parse_name

_TAKEN = "Somebody has this user name already. Choose another."

_log = structlog.get_logger()


class TypedAccount(msgspec.Struct, frozen=True):
    """What was typed."""

    username: str
    name: str
    password: str
    password_repeated: str


class AccountMade(msgspec.Struct, frozen=True):
    user: UserAccount


class AccountRefused(msgspec.Struct, frozen=True):
    """`errors`: sentences by the field's name. The link still works."""

    invited: Invited
    errors: dict[str, str]


class InvitationGone(msgspec.Struct, frozen=True):
    """The link is unknown, used, withdrawn, replaced or too old, who sent it may not let people in any more, or a user
    has the address meanwhile.
    """


async def find_invited(token: str, *, engine: AsyncEngine) -> Invited | None:
    async with engine.connect() as connection:
        return await store.find_open(connection, token_sha256(token))


async def accept(
    token: str,
    typed: TypedAccount,
    *,
    source: str | None,
    may_use_default_password: bool,
    engine: AsyncEngine,
    hashing: PasswordHashing,
) -> AccountMade | AccountRefused | InvitationGone:
    """No transaction is open while hashing.

    Raises:
        UnavailableError: too many passwords are being hashed.
    """
    digest = token_sha256(token)
    username = typed.username.strip()
    async with engine.connect() as connection:
        invited = await store.find_open(connection, digest)
        is_taken = await is_name_taken(connection, username)
    if invited is None:
        return InvitationGone()
    errors, name = _find_errors(typed, username, invited, may_use_default_password=may_use_default_password)
    if is_taken and "username" not in errors:
        errors["username"] = _TAKEN
    if errors:
        return AccountRefused(invited, errors)
    password_hash = await hashing.hash(typed.password)
    try:
        async with engine.begin() as connection:
            taken = await store.take_open(connection, digest)
            if taken is None:
                return InvitationGone()
            user_id = await insert_user(
                connection,
                username=username,
                password_hash=password_hash,
                name=name,
                email=EmailAddress(taken.email),
            )
            if user_id is None:
                raise _TakenError(is_name=await find_user_by_name(connection, username) is not None)
            await replace_grants(connection, user_id, taken.roles)
            by = Actor.of_user(user_id, source)
            roles = [grant.text for grant in taken.roles]
            await record_audit(
                connection, by, "user.created", user_id, after={"invitation_id": taken.id, "roles": roles}
            )
            await record_audit(connection, by, "user.invitation_accepted", user_id, after={"invitation_id": taken.id})
            user = await find_user(connection, user_id)
    except _TakenError as error:
        return AccountRefused(invited, {"username": _TAKEN}) if error.is_name else InvitationGone()
    assert user is not None, "it was made in this transaction"
    _log.warning("security.invitation_accepted", user_id=user.id, invitation_id=invited.id)
    return AccountMade(user)


class _TakenError(Exception):
    """Takes the transaction back: the invitation stays."""

    def __init__(self, *, is_name: bool) -> None:
        super().__init__()
        self.is_name = is_name


def _find_errors(
    typed: TypedAccount, username: str, invited: Invited, *, may_use_default_password: bool
) -> tuple[dict[str, str], str]:
    """With the name as it is kept."""
    errors: dict[str, str] = {}
    if (fault := find_username_fault(username)) is not None:
        errors["username"] = fault
    name = ""
    try:
        name = parse_name(typed.name)
    except InvalidInputError:
        errors["name"] = "It has characters that cannot be shown."
    if len(name) > NAME_CHARS_MAX:
        errors["name"] = f"A name has at most {NAME_CHARS_MAX} characters."
    own_words = (name, invited.email)
    found = find_fault(typed.password, typed.password_repeated, username=username, own_words=own_words)
    if found is None and typed.password == DEFAULT_PASSWORD and not may_use_default_password:
        found = PasswordFault.COMMON
    if found is not None:
        field = "password_check" if found is PasswordFault.MISMATCH else "password"
        errors[field] = explain(found, typed.password, username=username, own_words=own_words)
    return errors, name
