"""The path as the client sent it. A mount changes `scope["path"]`; decisions on paths must not use that."""

from typing import cast

from litestar.types import HTTPScope, Scope


def sent_path(scope: Scope) -> str:
    """Still percent-encoded, without the query."""
    raw = cast("HTTPScope", scope)["raw_path"]
    return raw.decode("latin-1").partition("?")[0]
