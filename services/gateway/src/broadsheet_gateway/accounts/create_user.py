"""Create a user, by command. There is no default user: the local set-up creates its own with this command."""

from collections.abc import Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import BY_COMMAND, record_audit
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_gateway.access.interface import replace_grants
from broadsheet_gateway.access.rights import Grant
from broadsheet_gateway.accounts.password import explain, find_fault
from broadsheet_gateway.accounts.password_hashing import PasswordHashing
from broadsheet_gateway.accounts.store import find_user_by_name, insert_user
from broadsheet_gateway.settings import DEFAULT_PASSWORD


class UserCreated(msgspec.Struct, frozen=True):
    pass


class UserExists(msgspec.Struct, frozen=True):
    """Nothing was changed."""


class AddressTaken(msgspec.Struct, frozen=True):
    """Another user has the address; nothing was changed."""


class PasswordRefused(msgspec.Struct, frozen=True):
    reason: str


async def create_user(
    *,
    username: str,
    password: str,
    may_use_default_password: bool,
    engine: AsyncEngine,
    grants: Sequence[Grant] = (Grant("owner"),),
    email: EmailAddress | None = None,
) -> UserCreated | UserExists | AddressTaken | PasswordRefused:
    """An existing user is reported first, so that repeating the command needs no acceptable password."""
    async with engine.connect() as connection:
        if await find_user_by_name(connection, username) is not None:
            return UserExists()
    own_words = () if email is None else (email,)
    if password == DEFAULT_PASSWORD:
        if not may_use_default_password:
            return PasswordRefused("this is the well-known password of the local set-up; choose another")
    elif (fault := find_fault(password, password, username=username, own_words=own_words)) is not None:
        return PasswordRefused(explain(fault, password, username=username, own_words=own_words))
    hashing = PasswordHashing(concurrency=1, queue_max=0)
    try:
        password_hash = await hashing.hash(password)
    finally:
        hashing.close()
    async with engine.begin() as connection:
        user_id = await insert_user(connection, username=username, password_hash=password_hash, email=email)
        if user_id is None:
            is_name_taken = await find_user_by_name(connection, username) is not None
            return UserExists() if is_name_taken else AddressTaken()
        await replace_grants(connection, user_id, grants)
        await record_audit(
            connection, BY_COMMAND, "user.created", user_id, after={"roles": [one.role for one in grants]}
        )
    return UserCreated()
