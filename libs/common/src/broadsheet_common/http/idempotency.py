"""`Idempotency-Key`: a request that is sent again has one effect and gets the same answer.

The key's row is written in the same transaction as the effect, so neither exists without the other. A second
request with the key waits for the first one's commit and then gets the stored answer; with a different body it is
refused (422). Each service has a table `<schema>.idempotency_key`; a row lives 24 hours or more.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Annotated, Final, Self, TypeVar

import msgspec
import sqlalchemy as sa
from litestar import Response
from litestar.params import HeaderParameter
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.identity import ServiceRequest
from broadsheet_common.http.problems import ProblemError

KEY_MAX_LENGTH = 200
WAIT_FOR_FIRST_MS = 5000
_LOCK_NOT_AVAILABLE = "55P03"

IdempotencyKeyHeader = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=KEY_MAX_LENGTH,
        description="The same key with the same body gives the first answer again, for 24 hours.",
    ),
]


class IdempotencyKeyReusedError(ProblemError):
    slug, title, status = "idempotency-key-reused", "This Idempotency-Key was used with another request", 422


class IdempotencyInFlightError(ProblemError):
    slug, title, status = "idempotency-in-flight", "A request with this Idempotency-Key is still running", 409


class AnswerErasedError(ProblemError):
    """The request was answered before, but its answer showed a subscriber who was erased since. It is not executed
    again.
    """

    slug, title, status = "idempotency-answer-erased", "The first answer to this request was erased", 409


class StoredAnswer(msgspec.Struct, frozen=True):
    """The stored answer to the first request: HTTP status and JSON body."""

    status: int
    body: bytes


def fingerprint(parts: Sequence[bytes]) -> bytes:
    """SHA-256 over the length-prefixed parts of a request (method, path, body)."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def idempotency_table(metadata: sa.MetaData, schema: str) -> sa.Table:
    """The table for each service's metadata; the migrations create it."""
    return sa.Table(
        "idempotency_key",
        metadata,
        sa.Column("scope", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("status", sa.SmallInteger),
        sa.Column("body", sa.LargeBinary),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        schema=schema,
    )


async def claim_key(
    connection: AsyncConnection, table: sa.Table, *, scope: str, key: str, request_fingerprint: bytes
) -> StoredAnswer | None:
    """Claim the key for this transaction. Returns None if the key is new, otherwise the first request's answer.

    `scope` is the caller's identity: the keys of two users are independent.

    Raises:
        IdempotencyKeyReusedError: the key was used with another request.
        IdempotencyInFlightError: the first request did not finish within `WAIT_FOR_FIRST_MS`.
        AnswerErasedError: the first answer showed a subscriber who was erased since.
    """
    await connection.execute(sa.text(f"SET LOCAL lock_timeout = {WAIT_FOR_FIRST_MS}"))
    name = f"{table.schema}.{table.name}"
    parameters = {"scope": scope, "key": key, "fingerprint": request_fingerprint}
    try:
        # An expired row is reused as if the key were new.
        taken = await connection.execute(
            sa.text(f"""
                INSERT INTO {name} AS kept (scope, key, fingerprint, expires_at)
                VALUES (:scope, :key, :fingerprint, now() + interval '24 hours')
                ON CONFLICT (scope, key) DO UPDATE
                   SET fingerprint = excluded.fingerprint, status = NULL, body = NULL, expires_at = excluded.expires_at
                 WHERE kept.expires_at < now()
                RETURNING 1
            """),  # noqa: S608  # the table's own name
            parameters,
        )
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
            raise IdempotencyInFlightError(headers={"Retry-After": "1"}) from error
        raise
    if taken.first() is not None:
        return None
    found = await connection.execute(
        sa.select(table.c.fingerprint, table.c.status, table.c.body).where(table.c.scope == scope, table.c.key == key)
    )
    row = found.one()
    if row.fingerprint != request_fingerprint:
        raise IdempotencyKeyReusedError
    if row.status is None:
        raise AnswerErasedError
    return StoredAnswer(status=row.status, body=row.body)


async def store_answer(
    connection: AsyncConnection, table: sa.Table, *, scope: str, key: str, answer: StoredAnswer
) -> None:
    """Store the answer together with the effect, in the transaction in which `claim_key` ran."""
    await connection.execute(
        table.update().where(table.c.scope == scope, table.c.key == key).values(status=answer.status, body=answer.body)
    )


async def prune_answers(connection: AsyncConnection, table: sa.Table, *, rows_max: int) -> int:
    """Delete one batch of expired keys, skipping those that another replica has locked. Returns the number deleted."""
    expired = (
        sa.select(table.c.scope, table.c.key)
        .where(table.c.expires_at < sa.func.now())
        .order_by(table.c.expires_at)
        .limit(rows_max)
        .with_for_update(skip_locked=True)
        .cte("expired")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    result = await connection.execute(
        table.delete().where(table.c.scope == expired.c.scope, table.c.key == expired.c.key)
    )
    return result.rowcount


async def find_first_answer(
    connection: AsyncConnection, table: sa.Table, request: ServiceRequest, key: str | None
) -> StoredAnswer | None:
    """The stored answer to this request; None if it is the first with its key, or has no key.

    Raises what `claim_key` raises. The fingerprint covers method, path and body; the keys of two callers are
    independent.
    """
    if key is None:
        return None
    return await claim_key(
        connection,
        table,
        scope=request.user.subject,
        key=key,
        request_fingerprint=await fingerprint_of(request),
    )


async def fingerprint_of(request: ServiceRequest) -> bytes:
    """The fingerprint of method, path and body."""
    return fingerprint((request.method.encode(), request.url.path.encode(), await request.body()))


async def keep_answer(
    connection: AsyncConnection,
    table: sa.Table,
    request: ServiceRequest,
    key: str | None,
    *,
    status: int,
    body: msgspec.Struct | None,
) -> None:
    """Store the answer that is about to be sent, if the request has a key. `body`: None if it has none."""
    if key is not None:
        answer = StoredAnswer(status=status, body=msgspec.json.encode(body))
        await store_answer(connection, table, scope=request.user.subject, key=key, answer=answer)


BodyT = TypeVar("BodyT", bound=msgspec.Struct)


def replay(
    answer: StoredAnswer, body_type: type[BodyT], *, tag_of: Callable[[BodyT], str] | None = None
) -> Response[BodyT]:
    """The stored answer as a response. `tag_of`: makes the `ETag` that the first one had."""
    body = replay_body(answer, body_type)
    headers = None if tag_of is None else {"ETag": tag_of(body)}
    return Response(body, status_code=answer.status, headers=headers)


def replay_body(answer: StoredAnswer, body_type: type[BodyT]) -> BodyT:
    """The stored answer's body, where the status follows from the operation."""
    return msgspec.json.decode(answer.body, type=body_type)


UNFINISHED: Final = 102
"""The status of an answer that is not complete yet, of an operation that takes several transactions (RFC 2518)."""


class RepeatableRequest(msgspec.Struct, frozen=True):
    """A request with its key, for a use case that begins its transactions itself. `key`: None if it has none.

    An operation of several transactions stores how far it is in each of them, with the status `UNFINISHED`. If it broke
    off, the same request goes on from there; if it still runs, both do the rest in turn, and answer the same.
    """

    table: sa.Table
    scope: str
    key: str | None
    fingerprint: bytes

    @classmethod
    async def of(cls, table: sa.Table, request: ServiceRequest, key: str | None) -> Self:
        return cls(table, request.user.subject, key, await fingerprint_of(request))

    async def first_answer(self, connection: AsyncConnection) -> StoredAnswer | None:
        """As `find_first_answer`."""
        if self.key is None:
            return None
        return await claim_key(
            connection, self.table, scope=self.scope, key=self.key, request_fingerprint=self.fingerprint
        )

    async def keep(self, connection: AsyncConnection, *, status: int, body: msgspec.Struct | None) -> None:
        """As `keep_answer`."""
        if self.key is not None:
            answer = StoredAnswer(status, msgspec.json.encode(body))
            await store_answer(connection, self.table, scope=self.scope, key=self.key, answer=answer)


async def forget_answers(connection: AsyncConnection, table: sa.Table, texts: Sequence[str]) -> None:
    """Delete stored answers that hold one of these texts, in any letter case: an erased person's address. The keys
    stay, so that no request is executed again. Answers are kept for a day, so few have to be scanned.
    """
    await connection.execute(
        sa.text(f"""
            UPDATE {table.schema}.{table.name} AS kept SET status = NULL, body = NULL
             WHERE kept.body IS NOT NULL
               AND EXISTS (SELECT FROM unnest(:needles) AS needle
                            WHERE position(needle IN lower(convert_from(kept.body, 'UTF8'))) > 0)
        """).bindparams(sa.bindparam("needles", type_=ARRAY(sa.Text))),  # noqa: S608  # the table's own name
        {"needles": [text.lower() for text in texts]},
    )
