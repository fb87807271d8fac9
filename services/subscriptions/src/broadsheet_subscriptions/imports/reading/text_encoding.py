"""How the text of an uploaded file is written, pure: found while it streams by, so that it is known for all of it.

A mark at the beginning decides; then zeros in every other byte, which only UTF-16 has; then whether all of it is UTF-8.
What is not is taken for Windows-1252, the one other encoding that spreadsheets write in the West.
"""

import codecs
from typing import Final, Literal

FileFormat = Literal["csv", "xlsx"]
Encoding = Literal["utf-8", "utf-16-le", "utf-16-be", "windows-1252"]

BYTE_ORDER_MARKS: Final[dict[Encoding, bytes]] = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
}
_ZIP: Final = b"PK\x03\x04"
_OLD_SPREADSHEET: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_SAMPLE_BYTES: Final = 4096
_UTF_16_ZEROS_SHARE: Final = 0.3
# Not assigned in Windows-1252; 0 is never in a text.
_NOT_WINDOWS_1252: Final = b"\x00\x81\x8d\x8f\x90\x9d"


class UndecodableFileError(Exception):
    """No text that can be read; the message is for whoever sent it."""


class EncodingSniffer:
    """Feed it the file piece by piece, the first not empty; `finish` tells what it is."""

    def __init__(self) -> None:
        self._format: FileFormat | None = None
        self._decoder: codecs.IncrementalDecoder | None = None
        self._encoding: Encoding | None = None
        self._may_be_windows_1252 = True
        self._has_zero = False
        self._bytes = 0

    @property
    def file_format(self) -> FileFormat | None:
        """Known from the first piece on."""
        return self._format

    def feed(self, piece: bytes) -> None:
        """Raises `UndecodableFileError` as soon as it is certain."""
        if self._format is None:
            self._begin(piece)
        self._bytes += len(piece)
        if self._format == "xlsx":
            return
        if self._decoder is not None:
            try:
                self._decoder.decode(piece)
            except UnicodeDecodeError as error:
                if self._encoding != "utf-8":
                    raise self._refusal() from error
                self._decoder = None
        if self._may_be_windows_1252 and len(piece.translate(None, _NOT_WINDOWS_1252)) != len(piece):
            self._may_be_windows_1252 = False
            self._has_zero = self._has_zero or 0 in piece
        if self._decoder is None and not self._may_be_windows_1252:
            raise self._refusal()

    def finish(self) -> tuple[FileFormat, Encoding | None]:
        """Raises `UndecodableFileError`."""
        if self._format is None:
            raise UndecodableFileError("The file is empty.")
        if self._format == "xlsx":
            return "xlsx", None
        if self._decoder is not None:
            try:
                self._decoder.decode(b"", final=True)
            except UnicodeDecodeError as error:
                if self._encoding != "utf-8" or not self._may_be_windows_1252:
                    raise self._refusal() from error
            else:
                return "csv", self._encoding
        return "csv", "windows-1252"

    def _begin(self, piece: bytes) -> None:
        if piece.startswith(_ZIP):
            self._format = "xlsx"
            return
        if piece.startswith(_OLD_SPREADSHEET):
            raise UndecodableFileError("This is a spreadsheet of the old kind (.xls). Save it as .xlsx or as CSV.")
        self._format = "csv"
        self._encoding = _encoding_of(piece[:_SAMPLE_BYTES])
        self._decoder = codecs.getincrementaldecoder(self._encoding)()
        if self._encoding != "utf-8":
            self._may_be_windows_1252 = False

    def _refusal(self) -> UndecodableFileError:
        if self._encoding in {"utf-16-le", "utf-16-be"}:
            return UndecodableFileError("The file begins as UTF-16 but cannot be read as that.")
        if self._has_zero:
            return UndecodableFileError("This is not a text file. Send CSV, or a spreadsheet as .xlsx.")
        return UndecodableFileError("The file's characters are neither UTF-8, UTF-16 nor Windows-1252.")


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
