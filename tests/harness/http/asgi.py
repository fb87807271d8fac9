"""Talk to an app of ours without a socket."""

from typing import Any, cast

import httpx
from litestar import Litestar


def asgi_transport(app: Litestar, *, client: tuple[str, int] = ("127.0.0.1", 50000)) -> httpx.ASGITransport:
    """A transport into the app; bugs come out as the 500 that a client would see. `client` is the peer's address."""
    # httpx's type of an ASGI app is narrower than ASGI's own.
    return httpx.ASGITransport(cast("Any", app), raise_app_exceptions=False, client=client)
