"""The answers to a batch with an `Idempotency-Key`, kept chunk by chunk.

A chunk's row is written in the chunk's transaction. So a batch that broke off between two chunks can be sent again: the
chunks that are done give their answers, and the others are done then. The first chunk's row is the key's own, by which
another request with the key is recognised.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.identity import ServiceRequest
from broadsheet_common.http.idempotency import (
    AnswerErasedError,
    StoredAnswer,
    claim_key,
    fingerprint_of,
    store_answer,
)
from broadsheet_subscriptions.batches import store
from broadsheet_subscriptions.batches.batch_item import BatchResult, refusal
from broadsheet_subscriptions.tables import idempotency_key

_OK: Final = 200


class Repeatable(msgspec.Struct, frozen=True):
    """A request with an `Idempotency-Key`."""

    subject: str
    key: str
    fingerprint: bytes

    @classmethod
    async def of(cls, request: ServiceRequest, key: str | None) -> "Repeatable | None":
        return None if key is None else cls(request.user.subject, key, await fingerprint_of(request))

    def scope(self, chunk: int) -> str:
        """No caller's own: a subject holds no blank."""
        return self.subject if chunk == 0 else f"{self.subject} chunk {chunk}"


async def claim_chunk(
    connection: AsyncConnection, request: Repeatable, chunk: int, *, chunks: int, indexes: Sequence[int]
) -> list[BatchResult]:
    """The kept results of this chunk, whose items have these indexes; none if it is the first time. Locks the chunk's
    row until the transaction ends.

    Raises:
        IdempotencyKeyReusedError, IdempotencyInFlightError: as `claim_key`.
    """
    try:
        kept = await claim_key(
            connection,
            idempotency_key,
            scope=request.scope(chunk),
            key=request.key,
            request_fingerprint=request.fingerprint,
        )
    except AnswerErasedError as error:
        # Somebody in this chunk was erased: that is no reason to leave the others undone.
        return [refusal(index, error) for index in indexes]
    if kept is not None:
        return msgspec.json.decode(kept.body, type=list[BatchResult])
    if chunk == 0:
        await store.forget_keys(
            connection, scopes=[request.scope(later) for later in range(1, chunks)], key=request.key
        )
    return []


async def keep_chunk(
    connection: AsyncConnection, request: Repeatable, chunk: int, results: Sequence[BatchResult]
) -> None:
    """In the transaction in which `claim_chunk` ran."""
    answer = StoredAnswer(_OK, msgspec.json.encode(list(results)))
    await store_answer(connection, idempotency_key, scope=request.scope(chunk), key=request.key, answer=answer)
