"""Create an API key, by command: a new one, or a given one in place of the key of that name."""

import msgspec
import sqlalchemy.exc
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import BY_COMMAND, Detail, record_audit
from broadsheet_common.contracts.permissions import Permission
from broadsheet_gateway.accounts.interface import find_user_by_name
from broadsheet_gateway.api_keys.api_key import ApiKeyText
from broadsheet_gateway.api_keys.store import find_api_key_id, put_api_key


class KeyStored(msgspec.Struct, frozen=True):
    key: ApiKeyText


class KeyExists(msgspec.Struct, frozen=True):
    """The user has a key of that name, and none was given to replace it: nothing was changed."""


class NoSuchUser(msgspec.Struct, frozen=True):
    pass


class PrefixTaken(msgspec.Struct, frozen=True):
    """A key of another name has the same prefix: nothing was changed."""


async def create_api_key(
    *, username: str, name: str, scopes: frozenset[Permission], given: ApiKeyText | None, engine: AsyncEngine
) -> KeyStored | KeyExists | NoSuchUser | PrefixTaken:
    """With `given` the result is the same however often it is called."""
    key = given or ApiKeyText.generate()
    try:
        async with engine.begin() as connection:
            user = await find_user_by_name(connection, username)
            if user is None:
                return NoSuchUser()
            if given is None and await find_api_key_id(connection, user_id=user.id, name=name) is not None:
                return KeyExists()
            await put_api_key(connection, user_id=user.id, name=name, key=key, scopes=scopes)
            key_id = await find_api_key_id(connection, user_id=user.id, name=name)
            said: dict[str, Detail] = {"user_id": user.id, "scopes": sorted(scopes)}
            await record_audit(connection, BY_COMMAND, "key.created", key_id, after=said)
    except sqlalchemy.exc.IntegrityError:
        return PrefixTaken()
    return KeyStored(key)
