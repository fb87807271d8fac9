"""The service's side of the process that reads a file (`read_file`): its input, its output, and its end."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import structlog

from broadsheet_subscriptions.imports.reading.frame import (
    FRAME_BYTES_MAX,
    LENGTH_BYTES,
    Batch,
    Finished,
    Frame,
    Orders,
    Unreadable,
    decode_frame,
    encode,
)

FRAME_WAIT_S: Final = 120.0
"""Long, because a spreadsheet's table of texts is read before its first row."""
_PASSED_ON: Final = frozenset({"PATH", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"})
"""The environment variables that the process gets: what Python needs, and none of the service's secrets."""
_STREAM_BYTES: Final = 4 * 1024 * 1024

_log = structlog.get_logger()


class ReaderDiedError(Exception):
    """The process ended, or sent nothing for too long, before it reported the end of the file."""


class Received(msgspec.Struct, frozen=True):
    """A frame and the contents that follow it: for a batch, each lane's rows and the rejects."""

    frame: Frame
    contents: tuple[bytes, ...] = ()


@asynccontextmanager
async def reading(orders: Orders, pieces: AsyncIterator[bytes]) -> AsyncGenerator[AsyncIterator[Received]]:
    """The frames for a file; `pieces` are its bytes from `orders.place` on. The process has ended when the context
    ends.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "broadsheet_subscriptions.imports.reading.read_file",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_STREAM_BYTES,
        env={name: value for name, value in os.environ.items() if name in _PASSED_ON},
    )
    feeding = asyncio.create_task(_feed(process, orders, pieces))
    try:
        yield _frames(process, feeding)
    finally:
        feeding.cancel()
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await asyncio.gather(feeding, return_exceptions=True)
        await process.communicate()


async def _feed(process: asyncio.subprocess.Process, orders: Orders, pieces: AsyncIterator[bytes]) -> None:
    """Returns without an error if the reader ends early: the reader itself reports why."""
    assert process.stdin is not None
    header = encode(orders)
    try:
        process.stdin.write(len(header).to_bytes(LENGTH_BYTES, "big") + header)
        async for piece in pieces:
            process.stdin.write(piece)
            await process.stdin.drain()
        process.stdin.close()
        await process.stdin.wait_closed()
    except (BrokenPipeError, ConnectionResetError):
        return


async def _frames(process: asyncio.subprocess.Process, feeding: asyncio.Task[None]) -> AsyncIterator[Received]:
    assert process.stdout is not None
    while True:
        try:
            async with asyncio.timeout(FRAME_WAIT_S):
                frame = decode_frame(await _exactly(process.stdout, await _length(process.stdout)))
                contents: tuple[bytes, ...] = ()
                if isinstance(frame, Batch):
                    sizes = (*frame.row_bytes, frame.reject_bytes)
                    contents = tuple([await _exactly(process.stdout, size) for size in sizes])
        except (asyncio.IncompleteReadError, TimeoutError) as error:
            if feeding.done() and not feeding.cancelled() and (cause := feeding.exception()) is not None:
                raise cause from error
            raise await _death(process) from error
        yield Received(frame, contents)
        if isinstance(frame, Finished | Unreadable):
            return


async def _length(stream: asyncio.StreamReader) -> int:
    return int.from_bytes(await stream.readexactly(LENGTH_BYTES), "big")


async def _exactly(stream: asyncio.StreamReader, size: int) -> bytes:
    if size > FRAME_BYTES_MAX:
        raise ReaderDiedError(f"a frame of {size} bytes")
    return await stream.readexactly(size) if size else b""


async def _death(process: asyncio.subprocess.Process) -> ReaderDiedError:
    """An error with what is known about the end. It never contains all that the process wrote last, which may quote
    the file.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    _, said = await process.communicate()
    last_line = (said or b"").decode("utf-8", "replace").strip().rpartition("\n")[2]
    kind = last_line.partition(":")[0][:100] if last_line else ""
    _log.error("import.reader_died", exit_status=process.returncode, error=kind)
    return ReaderDiedError(kind or f"exit status {process.returncode}")
