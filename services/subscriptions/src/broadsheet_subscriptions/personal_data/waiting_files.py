"""Removes an erased person from the files of imports that wait to be started, or to be tried again.

In a text file, the lines that contain the address are overwritten with blanks. All lengths stay the same, so the
import can continue at its position; it counts such a line as one without an address. Some files cannot be changed
like that: a spreadsheet, which is compressed; UTF-16; a quoted cell of several lines. Such an import is
cancelled, but only if its file contains the person's address. The first rows, which are kept beside a file to be
looked at, go with either: cut short, they do not tell whether they are the person's.
"""

import asyncio
import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.mail.email_address import exact_pattern
from broadsheet_subscriptions.imports.interface import PIECE_BYTES, read_piece

FILE_GIVEN_UP: Final = "The file was removed because it names a person who was erased. Upload it again without them."

_INFLATED_BYTES_MAX: Final = 512 * 1024 * 1024
_BLOCK_BYTES: Final = 1024 * 1024
# As long as the longest address and the characters around it.
_OVERLAP_BYTES: Final = 300
_LINE_BYTES_MAX: Final = 1024 * 1024
_KEPT: Final = b"\r\n\t ,;|\"'"
_BLANKED: Final = bytes(byte if byte in _KEPT else 0x20 for byte in range(256))
_LINE_END: Final = re.compile(rb"[\r\n]")


class _CannotBlankError(Exception):
    """The file contains the person's address, and the parts about them cannot be separated from the rest."""


class _WaitingFile(msgspec.Struct, frozen=True):
    import_id: int
    file_format: str | None
    encoding: str | None
    file_bytes: int


async def forget_in_waiting_files(connection: AsyncConnection, email_keys: Sequence[str]) -> None:
    """Runs in the caller's transaction, and locks these imports, so that none can be started before it ends."""
    rows = await connection.execute(
        sa.text("""
            SELECT id, file_format, encoding, file_bytes FROM subscriptions.import_job
             WHERE status IN ('checked', 'failed') AND file_removed_at IS NULL
             ORDER BY id FOR NO KEY UPDATE
        """)
    )
    wanted = re.compile("|".join(map(exact_pattern, email_keys)).encode())
    for row in rows.all():
        waiting = _WaitingFile(*row)
        try:
            if waiting.file_format == "csv" and not (waiting.encoding or "").startswith("utf-16"):
                if await _blank_lines(connection, waiting, wanted):
                    await _forget_first_rows(connection, waiting.import_id)
            elif await _names_them(connection, waiting, wanted):
                raise _CannotBlankError
        except _CannotBlankError:
            await _give_up(connection, waiting.import_id)
            await _forget_first_rows(connection, waiting.import_id)


def _pieces(waiting: _WaitingFile) -> range:
    return range(-(-waiting.file_bytes // PIECE_BYTES))


async def _blank_lines(connection: AsyncConnection, waiting: _WaitingFile, wanted: re.Pattern[bytes]) -> bool:
    """Whether some line was blanked."""
    before = b""
    is_changed = False
    for position in _pieces(waiting):
        piece = await read_piece(connection, import_id=waiting.import_id, position=position)
        if piece is None:
            return is_changed
        # A line may begin in the piece before, so the last line of each piece is carried over to the next.
        text = before + piece
        is_last = position == _pieces(waiting)[-1]
        end = len(text) if is_last else max(text.rfind(b"\n"), text.rfind(b"\r")) + 1
        if len(text) - end > _LINE_BYTES_MAX:
            raise _CannotBlankError
        if blanked := _without_lines(text[:end], wanted):
            changed = blanked + text[end:]
            if before and changed[: len(before)] != before:
                await _write(connection, waiting.import_id, position - 1, tail=changed[: len(before)])
            await _write(connection, waiting.import_id, position, content=changed[len(before) :])
            text = changed
            is_changed = True
        before = text[end:]
    return is_changed


def _without_lines(text: bytes, wanted: re.Pattern[bytes]) -> bytes | None:
    """The text with the matching lines blanked; None: no line matches. `lower` on bytes changes ASCII only, and no
    length.
    """
    parts: list[bytes] = []
    done = 0
    for found in wanted.finditer(text.lower()):
        if found.start() < done:
            continue
        start = max(text.rfind(b"\n", 0, found.start()), text.rfind(b"\r", 0, found.start())) + 1
        ending = _LINE_END.search(text, found.end())
        end = ending.start() if ending else len(text)
        if text.count(b'"', start, end) % 2:
            raise _CannotBlankError
        parts += [text[done:start], text[start:end].translate(_BLANKED)]
        done = end
    return b"".join([*parts, text[done:]]) if done else None


async def _write(
    connection: AsyncConnection, import_id: int, position: int, *, content: bytes | None = None, tail: bytes = b""
) -> None:
    """Writes the whole piece, or only its end."""
    await connection.execute(
        sa.text("""
            UPDATE subscriptions.import_piece
               SET content = coalesce(:content, overlay(content PLACING :tail FROM length(content) - length(:tail) + 1))
             WHERE import_id = :import_id AND position = :position
        """).bindparams(sa.bindparam("content", type_=sa.LargeBinary), sa.bindparam("tail", type_=sa.LargeBinary)),
        {"import_id": import_id, "position": position, "content": content, "tail": tail},
    )


async def _names_them(connection: AsyncConnection, waiting: _WaitingFile, wanted: re.Pattern[bytes]) -> bool:
    """Whether the file contains one of the addresses. True also if that cannot be determined."""
    content = bytearray()
    for position in _pieces(waiting):
        content += await read_piece(connection, import_id=waiting.import_id, position=position) or b""
    if waiting.file_format == "xlsx":
        return await asyncio.to_thread(_names_in_spreadsheet, bytes(content), wanted)
    text = content.decode(waiting.encoding or "utf-8", "replace")
    return wanted.search(text.encode().lower()) is not None


# All that `zipfile` raises for an archive it cannot read. RuntimeError: a password is needed, or the compression is
# unknown.
_ZIP_ERRORS = (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError, zlib.error)


def _names_in_spreadsheet(content: bytes, wanted: re.Pattern[bytes]) -> bool:
    left = _INFLATED_BYTES_MAX
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.infolist():
                before = b""
                for block in _blocks(archive, member):
                    left -= len(block)
                    text = before + block
                    if left < 0 or wanted.search(text.lower()):
                        return True
                    before = text[-_OVERLAP_BYTES:]
    except _ZIP_ERRORS:
        return True
    return False


def _blocks(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    with archive.open(member) as opened:
        while block := opened.read(_BLOCK_BYTES):
            yield block


async def _forget_first_rows(connection: AsyncConnection, import_id: int) -> None:
    await connection.execute(
        sa.text("DELETE FROM subscriptions.import_sample WHERE import_id = :import_id"), {"import_id": import_id}
    )


async def _give_up(connection: AsyncConnection, import_id: int) -> None:
    """Cancels the import, so that it is not started any more. The cleanup of imports removes its file within about a
    minute.
    """
    await connection.execute(
        sa.text("""
            UPDATE subscriptions.import_job
               SET status = 'cancelled', failure = concat_ws(' ', failure, CAST(:reason AS text))
             WHERE id = :import_id
        """),
        {"import_id": import_id, "reason": FILE_GIVEN_UP},
    )
