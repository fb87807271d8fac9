"""The bodies on disk: one append-only file of compressed blocks, one block per request.

A batch of 500 newsletter mails is 5 MB, and the mails hardly differ. As one zstd frame it takes some twenty
kilobytes, and compressing it takes less time than writing it uncompressed. A block is read back whole and split
into its items; the last few stay decoded, so reading in order decodes every block once.
"""

import os
import sys
import tempfile
from array import array
from collections import OrderedDict
from pathlib import Path
from typing import Final

import msgspec

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

COMPRESSION_LEVEL: Final = -1
CACHE_BYTES_MAX: Final = 32 * 1024 * 1024

_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])


class BlockFile:
    """Blocks are numbered from 0 in the order in which they were appended."""

    def __init__(self, folder: Path | None) -> None:
        """Create the file in `folder`, by default the system's for temporary files."""
        # The file has no name, so nothing is left behind however the process ends.
        self._handle = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  closed by close()
        self._file = self._handle.fileno()
        self._compressor = zstd.ZstdCompressor(level=COMPRESSION_LEVEL)
        self._end = 0
        self._offset_of = array("Q")
        self._size_of = array("Q")
        self._cache: OrderedDict[int, tuple[int, list[msgspec.Raw]]] = OrderedDict()
        self._cache_bytes = 0

    def __len__(self) -> int:
        return len(self._offset_of)

    @property
    def bytes_on_disk(self) -> int:
        return self._end

    def append(self, body: bytes | memoryview) -> int:
        """Store one request body, a JSON array or a single object, and return the block's number.

        Raises OSError if writing fails; the next block then overwrites what was written of this one.
        """
        frame = self._compressor.compress(body, mode=zstd.ZstdCompressor.FLUSH_FRAME)
        written = 0
        while written < len(frame):
            written += os.pwrite(self._file, memoryview(frame)[written:], self._end + written)
        self._offset_of.append(self._end)
        self._size_of.append(len(frame))
        self._end += len(frame)
        return len(self._offset_of) - 1

    def items(self, number: int) -> list[msgspec.Raw]:
        """The messages of a block as they were received."""
        cached = self._cache.get(number)
        if cached is not None:
            self._cache.move_to_end(number)
            return cached[1]
        frame = os.pread(self._file, self._size_of[number], self._offset_of[number])
        body = zstd.decompress(frame)
        items = _ITEMS.decode(body) if body.lstrip()[:1] == b"[" else [msgspec.Raw(body)]
        self._cache[number] = (len(body), items)
        self._cache_bytes += len(body)
        while self._cache_bytes > CACHE_BYTES_MAX and len(self._cache) > 1:
            _, (size, _) = self._cache.popitem(last=False)
            self._cache_bytes -= size
        return items

    def clear(self) -> None:
        os.ftruncate(self._file, 0)
        self._end = 0
        del self._offset_of[:]
        del self._size_of[:]
        self._cache.clear()
        self._cache_bytes = 0

    def close(self) -> None:
        self._handle.close()
