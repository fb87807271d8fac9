"""The style sheet, script and icon, each under a name that holds the hash of its content.

A changed file has another address, so that browsers may keep each for ever (`Cache-Control: immutable`).
"""

import hashlib
from importlib.resources import files
from types import MappingProxyType

import msgspec

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HASH_DIGITS = 16


class StaticFile(msgspec.Struct, frozen=True):
    """`name` is the last part of its address; `etag` is quoted, ready for the header."""

    name: str
    content: bytes
    media_type: str
    etag: str


def load_static_files() -> MappingProxyType[str, StaticFile]:
    """Every file by its plain name (`site.css`). The bytes are read here, once; none is read in a request."""
    found = {}
    for entry in files("broadsheet_gateway.pages").joinpath("static").iterdir():
        stem, dot, suffix = entry.name.rpartition(".")
        content = entry.read_bytes()
        digest = hashlib.sha256(content).hexdigest()[:_HASH_DIGITS]
        found[entry.name] = StaticFile(
            name=f"{stem}.{digest}{dot}{suffix}",
            content=content,
            media_type=_MEDIA_TYPES[dot + suffix],
            etag=f'"{digest}"',
        )
    return MappingProxyType(found)
