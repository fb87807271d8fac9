"""Forms with a file: what is read before the file, that the file passes through in pieces, and what is refused."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from broadsheet_common.http.problems import BodyTooLargeError, MalformedRequestError, UnsupportedMediaTypeError
from broadsheet_gateway.http.file_form import FIELDS_MAX, FIELDS_MAX_BYTES, FileForm, read_file_form
from broadsheet_gateway.http.request_body import BodyTimeoutError, ClientGoneError

BOUNDARY = "----SomeBoundary"
HEADERS = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
CONTENT = b"email,name\r\n" + bytes(range(256)) + b"\r\n--not the boundary\r\n------SomeBoundar"


def part(name: str, value: bytes, file_name: str | None = None) -> bytes:
    said = f'; filename="{file_name}"' if file_name is not None else ""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{said}\r\n'
    kind = "Content-Type: text/csv\r\n" if file_name is not None else ""
    return head.encode() + kind.encode() + b"\r\n" + value + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()
FORM = part("csrf_token", b"token") + part("ground", "Café".encode()) + part("file", CONTENT, "people.csv") + END


class Sent:
    """A client that sends a body in pieces. `asked`: how many of them the server took."""

    def __init__(self, *pieces: bytes, is_gone: bool = False) -> None:
        self._pieces: Iterator[bytes] = iter(pieces)
        self._is_gone = is_gone
        self.asked = 0

    async def receive(self) -> Any:
        self.asked += 1
        piece = next(self._pieces, None)
        if piece is None and self._is_gone:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}


async def read(sent: Sent, headers: dict[str, str] | None = None, *, max_bytes: int = 10_000_000) -> FileForm:
    return await read_file_form(
        sent.receive, headers or HEADERS, file_field="file", max_bytes=max_bytes, timeout_s=5, idle_s=5
    )


async def content_of(form: FileForm) -> bytes:
    return b"".join([piece async for piece in form.content])


@pytest.mark.parametrize("size", [1, 2, 7, 64, 100_000])
async def test_fields_and_file_are_read_however_the_body_is_cut(size: int) -> None:
    form = await read(Sent(*(FORM[at : at + size] for at in range(0, len(FORM), size))))
    assert form.form.fields == {"csrf_token": "token", "ground": "Café"}
    assert form.file_name == "people.csv"
    assert await content_of(form) == CONTENT


async def test_the_fields_are_known_before_the_file_is_read_and_the_file_is_never_whole() -> None:
    megabyte = b"a" * 1_000_000
    head, tail = FORM[: FORM.index(CONTENT)], f"\r\n--{BOUNDARY}--\r\n".encode()
    sent = Sent(head, *[megabyte] * 8, tail)
    form = await read(sent)
    assert form.form.get("csrf_token") == "token"
    assert sent.asked == 1, "nothing of the file was taken"
    sizes = [(sent.asked, len(piece)) async for piece in form.content]
    assert sum(size for _, size in sizes) == 8_000_000
    assert max(size for _, size in sizes) <= 1_000_000 + len(tail)
    assert [asked for asked, _ in sizes] == sorted({asked for asked, _ in sizes}), "each piece as it came"


async def test_no_file_was_chosen() -> None:
    form = await read(Sent(part("csrf_token", b"token") + part("file", b"", "") + END))
    assert form.file_name == ""
    assert await content_of(form) == b""


async def test_what_the_file_is_called_does_no_harm() -> None:
    form = await read(Sent(part("file", b"x", "../../etc/passwd") + END))
    assert (form.form.fields, await content_of(form)) == ({}, b"x")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"no form at all", END,
        part("csrf_token", b"token") + END,
        part("a", b"1") + part("a", b"2") + part("file", b"x", "x") + END,
        part("a", b"\0") + part("file", b"x", "x") + END,
        part("a", b"\xff\xfe") + part("file", b"x", "x") + END,
        part("other", b"x", "other.csv") + part("file", b"x", "x") + END,
        b"".join(part(f"f{n}", b"x") for n in range(FIELDS_MAX + 1)) + part("file", b"x", "x") + END,
        part("a" * 5000, b"x") + part("file", b"x", "x") + END,
        b"--" + BOUNDARY.encode() + b"\r\nContent-Disposition: attachment\r\n\r\nx\r\n" + END,
    ],
    ids=["empty", "text", "no part", "no file", "twice", "nul", "no utf-8", "other file", "many", "long", "kind"],
)  # fmt: skip
async def test_what_is_no_such_form_is_refused_before_the_file(body: bytes) -> None:
    with pytest.raises(MalformedRequestError) as raised:
        await read(Sent(body))
    assert len(str(raised.value.detail)) < 100, "the input is not repeated"


@pytest.mark.parametrize(
    "body",
    [
        part("file", b"x", "x"),
        part("file", b"x", "x")[:-2],
        part("file", b"x", "x") + part("csrf_token", b"late") + END,
        part("file", b"x", "x") + part("file", b"y", "y") + END,
    ],
    ids=["no end", "broken off", "a field after it", "a second file"],
)
async def test_a_file_that_is_not_the_end_of_a_whole_form_never_ends(body: bytes) -> None:
    form = await read(Sent(body))
    with pytest.raises(MalformedRequestError):
        await content_of(form)


async def test_fields_are_bounded_and_so_is_what_stands_before_them() -> None:
    long = part("a", b"x" * FIELDS_MAX_BYTES)
    with pytest.raises(BodyTooLargeError):
        await read(Sent(*(long[at : at + 1000] for at in range(0, len(long), 1000)), part("file", b"x", "x") + END))
    with pytest.raises(BodyTooLargeError):
        await read(Sent(*[b"preamble\r\n" * 1000] * 20, FORM))


@pytest.mark.parametrize("announced", [True, False])
async def test_the_whole_body_is_bounded(announced: bool) -> None:
    headers = HEADERS | ({"content-length": str(len(FORM))} if announced else {})
    sent = Sent(*(FORM[at : at + 50] for at in range(0, len(FORM), 50)))

    async def whole() -> bytes:
        return await content_of(await read(sent, headers, max_bytes=300))

    with pytest.raises(BodyTooLargeError):
        await whole()
    assert sent.asked <= (0 if announced else 300 // 50 + 1)


@pytest.mark.parametrize(
    "kind",
    ["", "text/csv", "application/x-www-form-urlencoded", "multipart/mixed; boundary=x"],
)
async def test_another_media_type_is_refused(kind: str) -> None:
    with pytest.raises(UnsupportedMediaTypeError) as raised:
        await read(Sent(FORM), {"content-type": kind})
    assert raised.value.headers["Accept"] == "multipart/form-data"


@pytest.mark.parametrize("boundary", ["", '""', "x" * 201, '"\x01"'])
async def test_a_boundary_that_no_browser_makes_is_refused(boundary: str) -> None:
    with pytest.raises(MalformedRequestError):
        await read(Sent(FORM), {"content-type": f"multipart/form-data; boundary={boundary}"})


async def test_a_client_that_goes_away_or_stops_leaves_no_whole_file() -> None:
    head = FORM[: FORM.index(CONTENT) + 10]
    with pytest.raises(ClientGoneError):
        await content_of(await read(Sent(head, is_gone=True)))

    async def silent() -> Any:
        await asyncio.sleep(60)

    with pytest.raises(BodyTimeoutError):
        await read_file_form(silent, HEADERS, file_field="file", max_bytes=1000, timeout_s=5, idle_s=0.05)
