"""Names for the subjects of identities (`user:1`, `key:1`), as the API gives who did something."""

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_gateway.accounts.interface import find_user
from broadsheet_gateway.api_keys.interface import find_api_key_name

SUBJECTS_MAX = 200


async def name_subjects(engine: AsyncEngine, subjects: Iterable[str]) -> dict[str, str]:
    """A name for each of the subjects, at most 200; itself where there is none (any more)."""
    wanted = sorted(set(subjects))[:SUBJECTS_MAX]
    names = {subject: subject for subject in wanted}
    async with engine.connect() as connection:
        for subject in wanted:
            kind, _, number = subject.partition(":")
            if not number.isdecimal():
                continue
            if kind == "user":
                user = await find_user(connection, int(number))
                if user is not None:
                    names[subject] = user.username
            elif kind == "key":
                key_name = await find_api_key_name(connection, int(number))
                if key_name is not None:
                    names[subject] = f"API key {key_name}"
    return names
