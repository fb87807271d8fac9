"""Who did something, by name: the API has the subject of an identity (`user:1`, `key:1`, `schedule`)."""

from collections.abc import Iterable, Mapping
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_gateway.accounts.interface import find_user
from broadsheet_gateway.api_keys.interface import find_api_key_name

_WITHOUT_ACCOUNT: Final = {
    "schedule": "the schedule",
    "command": "a command on the server",
    "public": "somebody who is not signed in",
}
_ID_DIGITS_MAX: Final = 18


async def names_of(actors: Iterable[str], engine: AsyncEngine) -> Mapping[str, str]:
    """A name for each; one that is not known is its own name. For the few actors of a page: each is a query."""
    wanted = sorted(set(actors))
    async with engine.connect() as connection:
        return {actor: await _name_of(actor, connection) for actor in wanted}


async def _name_of(actor: str, connection: AsyncConnection) -> str:
    kind, _, number = actor.partition(":")
    if number.isascii() and number.isdigit() and len(number) <= _ID_DIGITS_MAX:
        if kind == "user" and (user := await find_user(connection, int(number))) is not None:
            return user.username
        if kind == "key" and (key_name := await find_api_key_name(connection, int(number))) is not None:
            return f"API key {key_name}"
    return _WITHOUT_ACCOUNT.get(actor, actor)
