"""gzip and zstd: which one a client takes, and their compressors and bounded decompressors. Pure."""

import re
import sys
import zlib
from collections.abc import Iterator
from typing import Final, Literal, Protocol

from broadsheet_common.http.problems import BodyTooLargeError, MalformedRequestError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Coding = Literal["zstd", "gzip"]

CODINGS: Final[tuple[Coding, ...]] = ("zstd", "gzip")
"""The ones we speak, best first."""
RATIO_MAX: Final = 100
"""A body may grow to so many times its size, beyond `GROWTH_FREE_BYTES`. JSON and CSV shrink to a tenth."""
GROWTH_FREE_BYTES: Final = 1024 * 1024

_ZSTD_LEVEL: Final = 3
_GZIP_LEVEL: Final = 5
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_ZSTD_WINDOW_LOG_MAX: Final = 23
"""8 MiB, which every decoder must support (RFC 8878, 3.1.1.1.2): more would let a body claim as much memory."""
_PIECE_BYTES: Final = 64 * 1024
_ACCEPTED = re.compile(r"\s*([a-z*-]+)\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*)?", re.IGNORECASE)


def choose_coding(accept_encoding: str) -> Coding | None:
    """The coding for an answer by `Accept-Encoding` (RFC 9110, 12.5.3); None: none is taken, or the header is odd."""
    weights: dict[str, float] = {}
    for part in accept_encoding.split(","):
        match = _ACCEPTED.fullmatch(part)
        if match is not None:
            weights[match[1].lower()] = float(match[2] or 1)
    best = max(CODINGS, key=lambda coding: weights.get(coding, weights.get("*", 0.0)))
    return best if weights.get(best, weights.get("*", 0.0)) > 0 else None


def read_coding(content_encoding: str) -> Coding | None:
    """The coding of a request's body by `Content-Encoding`; None: one that we do not speak, or more than one."""
    named = content_encoding.strip().lower()
    named = "gzip" if named == "x-gzip" else named
    return next((coding for coding in CODINGS if coding == named), None)


class Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def create_compressor(coding: Coding) -> Compressor:
    if coding == "gzip":
        return zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    return zstd.ZstdCompressor(level=_ZSTD_LEVEL)


class BodyDecoder:
    """Decodes one body in pieces of at most 64 KiB, whatever it would grow to."""

    def __init__(self, coding: Coding) -> None:
        self._gzip = zlib.decompressobj(_GZIP_WINDOW) if coding == "gzip" else None
        options = {int(zstd.DecompressionParameter.window_log_max): _ZSTD_WINDOW_LOG_MAX}
        self._zstd = zstd.ZstdDecompressor(options=options) if coding == "zstd" else None
        self._taken = self._given = 0

    def decode(self, data: bytes) -> Iterator[bytes]:
        """The next pieces.

        Raises:
            BodyTooLargeError: it grows too much.
            MalformedRequestError: it is not of this coding, or goes on after its end.
        """
        self._taken += len(data)
        try:
            for piece in self._pieces(data):
                self._given += len(piece)
                if self._given > GROWTH_FREE_BYTES + RATIO_MAX * self._taken:
                    raise BodyTooLargeError("The body grows too much when it is decoded.")
                if piece:
                    yield piece
        except (zlib.error, zstd.ZstdError, EOFError) as error:
            raise MalformedRequestError("The body is not what its Content-Encoding says.") from error

    def finish(self) -> None:
        """Raises MalformedRequestError if the body ended too soon."""
        ended = self._gzip.eof if self._gzip is not None else self._zstd is not None and self._zstd.eof
        if self._taken and not ended:
            raise MalformedRequestError("The body ends before its Content-Encoding does.")

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        if self._gzip is not None:
            while data and not self._gzip.eof:
                yield self._gzip.decompress(data, _PIECE_BYTES)
                data = self._gzip.unconsumed_tail
            rest = data if self._gzip.eof and not self._gzip.unused_data else self._gzip.unused_data
        else:
            assert self._zstd is not None
            decoder = self._zstd
            while not decoder.eof and (data or not decoder.needs_input):
                yield decoder.decompress(data, _PIECE_BYTES)
                data = b""
            rest = data or decoder.unused_data
        if rest:
            raise MalformedRequestError("The body goes on after its Content-Encoding ends.")
