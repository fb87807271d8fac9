"""An answer leaves in one piece, and nothing is kept back for long."""

import asyncio
from typing import cast

import pytest

from broadsheet_common.serving.answer_in_pieces import PIECE_BYTES
from broadsheet_common.serving.joined_writes import JOINED_MAX_BYTES, JoinedWrites


class Sent:
    """The transport below: what it was given, piece by piece."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.calls: list[str] = []

    def write(self, data: bytes) -> None:
        self.pieces.append(data)

    def is_closing(self) -> bool:
        return bool(self.calls)

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def get_write_buffer_size(self) -> int:
        return 0


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
async def writes(sent: Sent) -> JoinedWrites:
    return JoinedWrites(cast("asyncio.Transport", sent), asyncio.get_running_loop())


async def test_what_is_written_in_one_go_is_sent_in_one_piece(sent: Sent, writes: JoinedWrites) -> None:
    writes.write(b"headers ")
    writes.write(b"body")
    assert (sent.pieces, writes.get_write_buffer_size()) == ([], 12)
    writes.flush()
    assert (sent.pieces, writes.get_write_buffer_size()) == ([b"headers body"], 0)


async def test_without_a_flush_it_is_sent_when_the_loop_comes_round(sent: Sent, writes: JoinedWrites) -> None:
    for piece in (b"first", b"second"):
        writes.write(piece)
        await asyncio.sleep(0)
    assert sent.pieces == [b"first", b"second"]


async def test_a_writer_that_never_waits_makes_it_keep_no_more_than_its_bound(sent: Sent, writes: JoinedWrites) -> None:
    for _ in range(100):
        writes.write(b"x" * (JOINED_MAX_BYTES // 3))
        assert writes.get_write_buffer_size() < JOINED_MAX_BYTES
    assert max(map(len, sent.pieces)) < 2 * JOINED_MAX_BYTES


async def test_pieces_of_a_large_answer_stay_apart(sent: Sent, writes: JoinedWrites) -> None:
    """How far a client has read is seen by them."""
    writes.write(b"headers")
    for _ in range(3):
        writes.write(b"x" * PIECE_BYTES)
    assert [len(piece) for piece in sent.pieces] == [len(b"headers") + PIECE_BYTES, PIECE_BYTES, PIECE_BYTES]


async def test_a_close_sends_what_is_left_and_an_abort_drops_it(sent: Sent, writes: JoinedWrites) -> None:
    writes.write(b"last")
    writes.close()
    assert (sent.pieces, sent.calls) == ([b"last"], ["close"])
    writes.write(b"after the end")
    await asyncio.sleep(0)
    assert (sent.pieces, writes.is_closing()) == ([b"last"], True)
    other = Sent()
    aborted = JoinedWrites(cast("asyncio.Transport", other), asyncio.get_running_loop())
    aborted.write(b"dropped")
    aborted.abort()
    await asyncio.sleep(0)
    assert (other.pieces, other.calls) == ([], ["abort"])
