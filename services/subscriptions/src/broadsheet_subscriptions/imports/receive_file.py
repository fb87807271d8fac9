"""Take a file in: piece by piece into the database as it arrives, never whole in memory, never in one transaction.

An upload that breaks off leaves pieces that the worker's tidying removes. Only its last transaction makes it an import,
together with the answer that its Idempotency-Key stands for.
"""

import hashlib
from collections.abc import AsyncIterator

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.http.problems import BodyTooLargeError, FieldProblem, InvalidInputError
from broadsheet_subscriptions.imports import store
from broadsheet_subscriptions.imports.import_options import ImportOptions
from broadsheet_subscriptions.imports.reading.text_encoding import (
    Encoding,
    EncodingSniffer,
    FileFormat,
    UndecodableFileError,
)
from broadsheet_subscriptions.imports.running.import_worker import ImportPolicy


class ReceivedFile(msgspec.Struct, frozen=True):
    """`failure`: why it cannot be read, if it is certain already."""

    import_id: int
    file_format: FileFormat | None
    encoding: Encoding | None
    file_bytes: int
    file_sha256: bytes
    failure: str | None


async def receive_file(
    engine: AsyncEngine,
    body: AsyncIterator[bytes],
    policy: ImportPolicy,
    *,
    newsletter_id: int | None,
    created_by: str,
    options: ImportOptions,
    declared: Encoding | None = None,
) -> ReceivedFile:
    """`declared`: the encoding that the sender names. Raises `InvalidInputError` (no such newsletter),
    `BodyTooLargeError`.
    """
    async with engine.begin() as connection:
        found_id = await store.find_newsletter(connection, newsletter_id)
        if found_id is None:
            problem = FieldProblem(pointer="/newsletter_id", detail="There is no such newsletter.")
            raise InvalidInputError(errors=(problem,))
        import_id = await store.begin_import(connection, newsletter_id=found_id, created_by=created_by, options=options)
    sniffer, digest, total, failure = EncodingSniffer(declared), hashlib.sha256(), 0, None
    position = 0
    async for piece in _regular_pieces(body):
        total += len(piece)
        digest.update(piece)
        if failure is None:
            try:
                sniffer.feed(piece)
            except UndecodableFileError as error:
                failure = str(error)
        bytes_max = policy.xlsx_bytes_max if sniffer.file_format == "xlsx" else policy.csv_bytes_max
        if total > bytes_max:
            raise BodyTooLargeError(f"A file of this kind may have at most {bytes_max} bytes.")
        if failure is None:
            async with engine.begin() as connection:
                await store.add_piece(connection, import_id=import_id, position=position, content=piece)
        position += 1
    file_format: FileFormat | None = sniffer.file_format
    encoding: Encoding | None = None
    if failure is None:
        try:
            file_format, encoding = sniffer.finish()
        except UndecodableFileError as error:
            failure = str(error)
    return ReceivedFile(import_id, file_format, encoding, total, digest.digest(), failure)


async def _regular_pieces(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Pieces of the size that the store wants, but for the last."""
    gathered = bytearray()
    async for part in body:
        gathered += part
        while len(gathered) >= store.PIECE_BYTES:
            yield bytes(gathered[: store.PIECE_BYTES])
            del gathered[: store.PIECE_BYTES]
    if gathered:
        yield bytes(gathered)
