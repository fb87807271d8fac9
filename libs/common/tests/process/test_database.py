"""The address of the database as libpq reads it, over real TLS, and connections that are cancelled while they begin."""

import asyncio
import gc
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import pytest
from sqlalchemy import text

from broadsheet_common.process.database import create_engine
from broadsheet_common.process.settings import PostgresUrl
from harness.cluster import Database
from harness.http.certificates import Certified

SSL_REQUEST_BYTES = 8
ENCRYPTED = b"S"


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65_536):
        writer.write(chunk)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def tls_before(database: Database, context: ssl.SSLContext) -> AsyncGenerator[int]:
    """The port of a server that speaks TLS as Postgres does (its protocol's "SSL Session Encryption"), in front of
    the database.
    """
    target = urlsplit(database.owner_url)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(SSL_REQUEST_BYTES)
        writer.write(ENCRYPTED)
        try:
            await writer.start_tls(context)
        except (ssl.SSLError, ConnectionError):
            writer.close()
            return
        behind = await asyncio.open_connection(target.hostname, target.port)
        await asyncio.gather(_pass_on(reader, behind[1]), _pass_on(behind[0], writer), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def with_parameters(database: Database, port: int | None = None, **parameters: str) -> PostgresUrl:
    parts = urlsplit(database.url_for("subscriptions"))
    netloc = parts.netloc if port is None else parts.netloc.rpartition(":")[0] + f":{port}"
    return PostgresUrl(urlunsplit(parts._replace(netloc=netloc, query=urlencode(parameters))))


async def answer(url: PostgresUrl) -> tuple[Any, ...]:
    engine = create_engine(url, application_name="asked", pool_size=1, timeout_s=10)
    try:
        async with engine.connect() as connection:
            found = await connection.execute(text("SELECT 1, current_setting('application_name')"))
            return tuple(found.one())
    finally:
        await engine.dispose()


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    return Certified(tmp_path_factory.mktemp("tls"), "127.0.0.1")


@pytest.fixture(scope="module")
def another_authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Certified(tmp_path_factory.mktemp("other"), "127.0.0.1").authority_file


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
async def test_tls_is_asked_for_by_the_address_as_hosted_databases_write_it(
    database: Database, certified: Certified, mode: str
) -> None:
    async with tls_before(database, certified.server) as port:
        url = with_parameters(database, port, sslmode=mode, sslrootcert=str(certified.authority_file))
        assert await answer(url) == (1, "asked")


async def test_a_server_by_another_authority_is_refused(
    database: Database, certified: Certified, another_authority: Path
) -> None:
    async with tls_before(database, certified.server) as port:
        url = with_parameters(database, port, sslmode="verify-full", sslrootcert=str(another_authority))
        with pytest.raises(ssl.SSLError):
            await answer(url)


async def test_a_server_without_tls_is_refused_where_tls_is_required(database: Database) -> None:
    with pytest.raises(ConnectionError):
        await answer(with_parameters(database, sslmode="require"))


async def test_without_tls_where_the_address_says_so(database: Database) -> None:
    assert await answer(with_parameters(database, sslmode="disable")) == (1, "asked")


async def test_a_connection_that_is_cancelled_while_it_begins_leaves_no_error_behind(database: Database) -> None:
    """Otherwise whatever runs next in the same event loop gets it."""
    left: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: left.append(context))
    try:
        for turns in range(1, 60):
            task = asyncio.create_task(answer(PostgresUrl(database.url_for("subscriptions"))))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        # What is closed is told so in a later turn of the loop.
        await asyncio.sleep(0.1)
        gc.collect()
        await asyncio.sleep(0)
    finally:
        loop.set_exception_handler(before)
    assert left == []
