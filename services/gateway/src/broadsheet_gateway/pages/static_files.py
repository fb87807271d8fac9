"""The style sheet, script and icon, each under a name that holds the hash of its content.

A changed file has another address, so that browsers may keep each for ever (`Cache-Control: immutable`).
"""

import hashlib
from collections.abc import Iterator
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

import msgspec

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HASH_DIGITS = 16

# Swagger UI's own files, as its makers publish them. The package is not imported: that would need Flask.
_SWAGGER_UI = "flask-swagger-ui"
_SWAGGER_UI_FILES = ("flask_swagger_ui/dist/swagger-ui.css", "flask_swagger_ui/dist/swagger-ui-bundle.js")


class StaticFile(msgspec.Struct, frozen=True):
    """`name` is the last part of its address; `etag` is quoted, ready for the header."""

    name: str
    content: bytes
    media_type: str
    etag: str


def load_static_files() -> MappingProxyType[str, StaticFile]:
    """Every file by its plain name (`site.css`). The bytes are read here, once; none is read in a request."""
    found = {}
    for plain_name, content in _contents():
        stem, dot, suffix = plain_name.rpartition(".")
        digest = hashlib.sha256(content).hexdigest()[:_HASH_DIGITS]
        found[plain_name] = StaticFile(
            name=f"{stem}.{digest}{dot}{suffix}",
            content=content,
            media_type=_MEDIA_TYPES[dot + suffix],
            etag=f'"{digest}"',
        )
    return MappingProxyType(found)


def _contents() -> Iterator[tuple[str, bytes]]:
    for entry in files("broadsheet_gateway.pages").joinpath("static").iterdir():
        yield entry.name, entry.read_bytes()
    package = distribution(_SWAGGER_UI)
    for path in _SWAGGER_UI_FILES:
        located = Path(str(package.locate_file(path)))
        yield located.name, located.read_bytes()
