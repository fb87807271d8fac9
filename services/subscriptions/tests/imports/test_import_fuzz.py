"""Files that nobody foresaw: each is read or refused with a reason, and every row of it is accounted for."""

import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broadsheet_subscriptions.imports.reading.column import KnownAttribute
from broadsheet_subscriptions.imports.reading.frame import (
    INCOMING_COLUMNS,
    LENGTH_BYTES,
    REJECT_COLUMNS,
    Batch,
    Finished,
    Frame,
    Opened,
    Orders,
    decode_frame,
)
from broadsheet_subscriptions.imports.reading.read_file import _read
from broadsheet_subscriptions.imports.reading.record import Place, UnreadableFileError
from broadsheet_subscriptions.imports.reading.text_encoding import EncodingSniffer, UndecodableFileError

from ..conftest import Subscriptions
from ..importing import XLSX, Importing, workbook

ATTRIBUTES = [KnownAttribute("age", "number", "Age"), KnownAttribute("city", "text", "City")]
_VALID = [
    b'email,name,age,tags\nada@example.com,Ada,36,news\nbob@example.com,"Bob, B.",x,\nada@example.com,,,\n',
    "\ufeffE-Mail;Name\r\nzoe@example.com;Zo\u00eb\r\n".encode(),
    "email\tname\nzoe@example.com\tZo\u00eb\n".encode("utf-16"),
    "email,name\nzoe@example.com,Zo\u00eb\n".encode("windows-1252"),
    b'email,name\n"ada@example.com","line\nline"\n"bob@example.com","""quoted"""\n',
]
_PIECES = st.sampled_from(
    [b'"', b"\n", b"\r", b",", b";", b"\t", b"\0", b"\xff", b"\xfe", b"@", b"=1+1", b"\\", b"\xef\xbb\xbf", b"\xc2\xa0"]
)


@st.composite
def _files(draw: st.DrawFn) -> bytes:
    """Any bytes, or a good file with something cut out of it and something else put in, some times over."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=200))
    content = draw(st.sampled_from(_VALID))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 5)))
        content = content[:start] + draw(st.one_of(_PIECES, st.binary(max_size=3))) + content[end:]
    return content


def _frames(content: bytes, block_bytes: int) -> list[tuple[Frame, list[bytes]]] | str:
    """What the reader says of a file; text: why it is refused."""
    sniffer = EncodingSniffer()
    try:
        sniffer.feed(content)
        file_format, encoding = sniffer.finish()
    except UndecodableFileError as error:
        return str(error)
    orders = Orders(
        import_id=1, run_number=1, file_format=file_format, encoding=encoding, attributes=ATTRIBUTES,
        given_mapping=None, given_state="confirmed", added_tags=["fair"], place=Place(), lane_records=(0, 0),
        newsletter_id=1, dry_run=True,
        block_bytes=block_bytes,
    )  # fmt: skip
    sink = io.BytesIO()
    try:
        _read(orders, io.BytesIO(content), sink)
    except UnreadableFileError as error:
        return str(error)
    sink.seek(0)
    frames: list[tuple[Frame, list[bytes]]] = []
    while length := sink.read(LENGTH_BYTES):
        frame = decode_frame(sink.read(int.from_bytes(length, "big")))
        sizes = (*frame.row_bytes, frame.reject_bytes) if isinstance(frame, Batch) else ()
        frames.append((frame, [sink.read(size) for size in sizes]))
    return frames


@given(_files(), st.sampled_from([16, 64, 1 << 20]))
@settings(max_examples=400, deadline=None)
def test_any_file_is_refused_with_a_sentence_or_each_of_its_rows_is_a_person_or_a_reject(
    content: bytes, block_bytes: int
) -> None:
    frames = _frames(content, block_bytes)
    if isinstance(frames, str):
        assert frames.endswith((".", "?"))
        return
    (opened, _), *batches, (finished, _) = frames
    assert isinstance(opened, Opened)
    assert isinstance(finished, Finished)
    rows = 0
    for batch, contents in batches:
        assert isinstance(batch, Batch)
        expected = (*batch.rows, batch.rejected)
        columns = (len(INCOMING_COLUMNS), len(INCOMING_COLUMNS), len(REJECT_COLUMNS))
        for text, lines, width in zip(contents, expected, columns, strict=True):
            # As COPY reads it: a line a row, a tab between two columns, all of it UTF-8 without NUL.
            assert [line.count(b"\t") for line in text.split(b"\n")[:-1]] == [width - 1] * lines
            assert "\0" not in text.decode()
        rows += sum(expected)
    assert 0 <= finished.records - rows <= opened.first_record  # titles, and lines before them, are nobody


@pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # background loops take random waits
@given(_files())
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
async def test_an_import_of_any_file_ends_and_the_database_holds_what_it_counts(
    subscriptions: Subscriptions, content: bytes
) -> None:
    subscriptions.rows("TRUNCATE subscriptions.subscriber CASCADE")
    found = await Importing(subscriptions).run(content)
    assert found["status"] in {"done", "failed"}
    assert "broke off" not in (found["status_reason"] or "")
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.subscriber") == [(found["counts"]["created"],)]
    ((rejects,),) = subscriptions.rows(
        "SELECT count(*) FROM subscriptions.import_reject WHERE import_id = %s", found["id"]
    )
    assert rejects == found["counts"]["rejected"]


@given(st.lists(st.tuples(st.integers(0, 10_000), st.binary(min_size=1, max_size=4)), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_a_spreadsheet_with_any_damage_is_read_or_refused(damage: list[tuple[int, bytes]]) -> None:
    content = bytearray(workbook([["email", "age"], ["ada@example.com", 36], ["bob", "x"]]))
    for at, piece in damage:
        start = at % len(content)
        content[start : start + len(piece)] = piece
    content[:4] = b"PK\x03\x04"
    frames = _frames(bytes(content), 1 << 20)
    assert isinstance(frames, str) or isinstance(frames[-1][0], Finished)


async def test_a_file_that_calls_itself_a_spreadsheet_and_is_text_is_read_as_text(subscriptions: Subscriptions) -> None:
    found = await Importing(subscriptions).run("email\nada@example.com\n", content_type=XLSX)
    assert (found["status"], found["file"]["format"]) == ("done", "csv")
