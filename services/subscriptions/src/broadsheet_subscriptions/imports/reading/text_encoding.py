"""Detects the encoding of an uploaded file, pure. It looks at the whole file as it streams by.

A byte order mark decides; then zeros in every other byte, which only UTF-16 has; then whether the whole file is
UTF-8; then what the sender declares. For other files only two encodings are guessed: Windows-1252, which
spreadsheets write in the West, and Mac Roman, if its words are possible and those of Windows-1252 are not. For
anything else the sender has to declare the encoding: a name that is read in a wrong encoding still looks like a
name.
"""

import codecs
from typing import Final, Literal

from broadsheet_subscriptions.imports.reading.text_plausibility import (
    LETTERS,
    SAMPLE_WORDS_MAX,
    is_double_encoded,
    share_of_possible,
    words_of,
)

FileFormat = Literal["csv", "xlsx"]
Encoding = str
"""A key of `ENCODINGS`."""

ENCODINGS: Final[dict[str, str]] = {
    "utf-8": "utf-8",
    "utf-16-le": "utf-16-le",
    "utf-16-be": "utf-16-be",
    **{f"windows-{page}": f"cp{page}" for page in (874, *range(1250, 1259))},
    **{f"iso-8859-{part}": f"iso8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)},
    "koi8-r": "koi8-r",
    "koi8-u": "koi8-u",
    "mac-roman": "mac-roman",
    "mac-cyrillic": "mac-cyrillic",
    "mac-greek": "mac-greek",
    "mac-turkish": "mac-turkish",
    "mac-latin2": "mac-latin2",
    **{f"cp{page}": f"cp{page}" for page in (437, 850, 852, 855, 857, 858, 862, 866)},
    "shift_jis": "cp932",
    "euc-jp": "euc_jp",
    "euc-kr": "cp949",
    "gb18030": "gb18030",
    "big5": "cp950",
}
"""Python's codec by the name that is shown. None of them has shift states: the bytes of a character do not depend on
those before it.
"""
# As the WHATWG reads these names: on the web, each stands for the larger character set.
_SAME: Final[dict[str, Encoding]] = {
    "iso8859-1": "windows-1252", "cp1252": "windows-1252", "iso8859-9": "windows-1254", "iso8859-11": "windows-874",
    "tis-620": "windows-874", "shift_jis": "shift_jis", "cp932": "shift_jis", "gbk": "gb18030", "gb2312": "gb18030",
    "euc_kr": "euc-kr", "cp949": "euc-kr", "big5": "big5", "cp950": "big5", "euc_jp": "euc-jp",
    "macintosh": "mac-roman",
}  # fmt: skip
_WEB_NAMES: Final[dict[str, Encoding]] = {
    "macintosh": "mac-roman", "x-mac-roman": "mac-roman", "mac": "mac-roman", "x-mac-cyrillic": "mac-cyrillic",
    "sjis": "shift_jis", "x-sjis": "shift_jis", "windows-31j": "shift_jis", "ms_kanji": "shift_jis", "x-gbk": "gb18030",
    "iso-8859-8-i": "iso-8859-8", "ks_c_5601-1987": "euc-kr", "windows-949": "euc-kr", "big5-hkscs": "big5",
    "unicode": "utf-16-le", "utf-16": "utf-16-le", "utf16": "utf-16-le",
}  # fmt: skip
_UNDECLARED: Final = frozenset({"", "ascii", "us-ascii", "binary"})
_BY_CODEC: Final = {codecs.lookup(codec).name: name for name, codec in ENCODINGS.items()} | _SAME

BYTE_ORDER_MARKS: Final[dict[Encoding, bytes]] = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
}
_ZIP: Final = b"PK\x03\x04"
_OLD_SPREADSHEET: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_UTF_32: Final = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_SAMPLE_BYTES: Final = 4096
_UTF_16_ZEROS_SHARE: Final = 0.3
_POSSIBLE_SHARE: Final = 0.95
"""The share of possible words at which an encoding is accepted. It is below 1 because every list contains foreign
names.
"""
_DOUBLE_ENCODED_SHARE: Final = 0.5


class UndecodableFileError(Exception):
    """The file is not text that can be read. The message is for the person who sent it."""


class UnknownEncodingError(Exception):
    """The declared encoding is not one that can be read."""


def codec_of(encoding: Encoding) -> str:
    return ENCODINGS[encoding]


def parse_charset(declared: str) -> Encoding | None:
    """The encoding of a `charset` parameter; None: it names none. Raises `UnknownEncodingError`."""
    name = declared.strip().strip("\"'").strip().lower()
    if name in _UNDECLARED:
        return None
    if name in _WEB_NAMES:
        return _WEB_NAMES[name]
    if name in ENCODINGS:
        return name
    try:
        codec = codecs.lookup(name).name
    except (LookupError, ValueError) as error:
        raise UnknownEncodingError from error
    if codec == "utf-8-sig":
        return "utf-8"
    if codec == "ascii":
        return None
    if codec not in _BY_CODEC:
        raise UnknownEncodingError
    return _BY_CODEC[codec]


class EncodingSniffer:
    """Takes the file piece by piece, the first not empty; `finish` returns the result.

    `declared`: the encoding that the sender declares.
    """

    def __init__(self, declared: Encoding | None = None) -> None:
        self._declared = declared
        self._format: FileFormat | None = None
        self._utf: codecs.IncrementalDecoder | None = None
        """A decoder for `_encoding`, as long as the file may still be in it."""
        self._encoding: Encoding = "utf-8"
        self._as_declared: codecs.IncrementalDecoder | None = None
        self._has_zero = False
        self._has_lf = False
        self._is_ascii = True
        self._bytes = 0
        self._words: list[bytes] = []

    @property
    def file_format(self) -> FileFormat | None:
        """Known from the first piece on."""
        return self._format

    def feed(self, piece: bytes) -> None:
        """Raises `UndecodableFileError` as soon as it is certain that the file cannot be read."""
        if self._format is None:
            self._begin(piece)
        start, self._bytes = self._bytes, self._bytes + len(piece)
        if self._format == "xlsx":
            return
        if self._utf is not None:
            self._feed_utf(piece, start)
        if self._encoding != "utf-8":
            return
        self._look_at(piece)
        if self._as_declared is not None:
            self._feed_declared(piece, start)
        if self._utf is None and self._has_zero and self._as_declared is None:
            raise self._refusal()

    def _feed_utf(self, piece: bytes, start: int) -> None:
        assert self._utf is not None
        try:
            self._utf.decode(piece)
        except UnicodeDecodeError as error:
            if self._encoding != "utf-8":
                raise self._refusal() from error
            if self._declared == "utf-8":
                raise self._not_as_declared(start + error.start) from error
            self._utf = None

    def _feed_declared(self, piece: bytes, start: int) -> None:
        assert self._as_declared is not None
        try:
            self._as_declared.decode(piece)
        except UnicodeDecodeError as error:
            if self._utf is None:
                raise self._not_as_declared(start + error.start) from error
            self._as_declared = None

    def _look_at(self, piece: bytes) -> None:
        self._has_zero = self._has_zero or 0 in piece
        self._has_lf = self._has_lf or b"\n" in piece
        if piece.isascii():
            return
        self._is_ascii = False
        for word in words_of(piece):
            if len(self._words) >= SAMPLE_WORDS_MAX:
                break
            self._words.append(word)

    def finish(self) -> tuple[FileFormat, Encoding | None]:
        """Raises `UndecodableFileError`."""
        if self._format is None:
            raise UndecodableFileError("The file is empty.")
        if self._format == "xlsx":
            return "xlsx", None
        if self._utf is not None:
            try:
                self._utf.decode(b"", final=True)
            except UnicodeDecodeError as error:
                if self._encoding != "utf-8":
                    raise self._refusal() from error
            else:
                return "csv", self._finish_utf()
        if self._declared is not None:
            return "csv", self._finish_declared()
        return "csv", self._guess()

    def _finish_utf(self) -> Encoding:
        if self._is_ascii or self._encoding != "utf-8" or self._declared is not None:
            # A file that is valid UTF-8 and not just ASCII is UTF-8, whatever is declared.
            return self._encoding
        doubled = sum(map(is_double_encoded, self._words))
        if self._words and doubled > len(self._words) * _DOUBLE_ENCODED_SHARE:
            raise UndecodableFileError(
                "The file is UTF-8, but most of its names with accents look like “RenÃ©”: it was read as Windows-1252 "
                "before it was saved. Export it again as UTF-8; or, if it is correct as it is, send it with "
                "`Content-Type: text/csv; charset=utf-8`."
            )
        return "utf-8"

    def _finish_declared(self) -> Encoding:
        assert self._declared is not None
        if self._as_declared is None:
            raise self._not_as_declared(None)
        try:
            self._as_declared.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise self._not_as_declared(self._bytes) from error
        return self._declared

    def _guess(self) -> Encoding:
        """Guesses the encoding of a file that is not UTF-8 and for which the sender declares none."""
        shares = {name: share_of_possible(self._words, name, codec_of(name)) for name in LETTERS}
        western, mac = shares["windows-1252"], shares["mac-roman"]
        best = max(shares.values())
        if self._has_lf and western >= _POSSIBLE_SHARE and western >= best - (1 - _POSSIBLE_SHARE) / 2:
            return "windows-1252"
        if not self._has_lf and mac >= _POSSIBLE_SHARE and mac >= best:
            return "mac-roman"
        if mac >= _POSSIBLE_SHARE and western < mac and mac >= best and self._is_sure_of("mac-roman", shares):
            return "mac-roman"
        if western >= _POSSIBLE_SHARE and western >= best:
            return "windows-1252"
        raise self._refusal(
            likely=[name for name, share in shares.items() if share == best and share > 1 - _POSSIBLE_SHARE]
        )

    def _is_sure_of(self, encoding: Encoding, shares: dict[str, float]) -> bool:
        """Whether no other encoding makes the words possible too, except those that read them as the same text."""
        read = [word.decode(codec_of(encoding), "replace") for word in self._words]
        return all(
            share < _POSSIBLE_SHARE or [word.decode(codec_of(name), "replace") for word in self._words] == read
            for name, share in shares.items()
            if name != encoding
        )

    def _begin(self, piece: bytes) -> None:
        if piece.startswith(_ZIP):
            self._format = "xlsx"
            return
        if piece.startswith(_OLD_SPREADSHEET):
            raise UndecodableFileError(
                "This is a spreadsheet in the old format (.xls), or one with a password. Save it as .xlsx without a "
                "password, or as CSV."
            )
        if piece.startswith(_UTF_32):
            raise UndecodableFileError("The file is UTF-32, which cannot be read. Save it as UTF-8.")
        self._format = "csv"
        self._encoding = _encoding_of(piece[:_SAMPLE_BYTES])
        if self._encoding == "utf-8" and self._declared in {"utf-16-le", "utf-16-be"} and 0 in piece[:_SAMPLE_BYTES]:
            self._encoding = self._declared
        self._utf = codecs.getincrementaldecoder(self._encoding)()
        if self._declared not in {None, "utf-8"} and self._encoding == "utf-8":
            assert self._declared is not None
            self._as_declared = codecs.getincrementaldecoder(codec_of(self._declared))()

    def _not_as_declared(self, offset: int | None) -> UndecodableFileError:
        where = "" if offset is None else f" (near byte {offset})"
        return UndecodableFileError(
            f"The file is declared as {self._declared} but cannot be read as that{where}. Send it with its "
            "actual charset, or as UTF-8."
        )

    def _refusal(self, *, likely: list[Encoding] | None = None) -> UndecodableFileError:
        if self._encoding in {"utf-16-le", "utf-16-be"}:
            return UndecodableFileError("The file begins like UTF-16 but is not valid UTF-16.")
        if self._has_zero:
            return UndecodableFileError("This is not a text file. Send CSV, or a spreadsheet as .xlsx.")
        looks = f" It may be {' or '.join(likely)}." if likely else ""
        example = likely[0] if likely else "shift_jis"
        return UndecodableFileError(
            f"The file is not UTF-8, and its encoding cannot be detected.{looks} Save it as UTF-8, or declare its "
            f"encoding: `Content-Type: text/csv; charset={example}`."
        )


def _encoding_of(sample: bytes) -> Encoding:
    for encoding, mark in BYTE_ORDER_MARKS.items():
        if sample.startswith(mark):
            return encoding
    pairs = len(sample) // 2
    if pairs:
        even, odd = sample[0 : pairs * 2 : 2].count(0), sample[1 : pairs * 2 : 2].count(0)
        if odd > pairs * _UTF_16_ZEROS_SHARE and even == 0:
            return "utf-16-le"
        if even > pairs * _UTF_16_ZEROS_SHARE and odd == 0:
            return "utf-16-be"
    return "utf-8"
