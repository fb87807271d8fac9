"""The well-known local login must not exist in production."""

import sqlalchemy.exc
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.process.serving import StartRefusedError
from broadsheet_gateway.accounts.password_hashing import PasswordHashing
from broadsheet_gateway.accounts.store import find_user_by_name
from broadsheet_gateway.settings import DEFAULT_PASSWORD, DEFAULT_USERNAME

_log = structlog.get_logger()


class DefaultCredentialsError(StartRefusedError):
    """The database holds the local set-up's login."""

    def __init__(self) -> None:
        super().__init__(
            f"the user {DEFAULT_USERNAME} has the default password of the local set-up: this database cannot be used "
            "in production until the user has another password"
        )


async def refuse_default_credentials(engine: AsyncEngine, hashing: PasswordHashing) -> None:
    """Checked once, at the start in production.

    A database that does not answer yet does not delay the start: readiness waits for it anyway, and in production
    no login accepts the default password (see log_in).

    Raises:
        DefaultCredentialsError: the user exists, with that password.
    """
    try:
        async with engine.connect() as connection:
            user = await find_user_by_name(connection, DEFAULT_USERNAME)
    except (sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError) as error:
        _log.warning("default_credentials.not_checked", error=type(error).__name__)
        return
    if user is not None and await hashing.verify(user.password_hash, DEFAULT_PASSWORD):
        raise DefaultCredentialsError
