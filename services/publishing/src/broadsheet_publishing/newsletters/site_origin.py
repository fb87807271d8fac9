"""The origin of a site that holds a newsletter's form, pure: scheme, host and port, as a browser writes it.

Only https, or http on the machine itself: over plain http anybody on the way could be the site.
"""

import re
from urllib.parse import urlsplit

import idna

ORIGINS_MAX = 20
"""A newsletter."""
ORIGIN_CHARS_MAX = 300

_LOCALHOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
_DEFAULT_PORTS = {"https": 443, "http": 80}
_HOST = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*")


class SiteOrigin(str):
    """A valid origin: equal texts are the same site."""

    __slots__ = ()

    @classmethod
    def parse(cls, raw: str) -> "SiteOrigin":
        """Raises ValueError with a sentence for whoever wrote it."""
        text = raw.strip()
        if len(text) > ORIGIN_CHARS_MAX or not text.isprintable():
            raise ValueError("This is not the address of a site.")
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as error:
            raise ValueError("This is not the address of a site.") from error
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise ValueError("A site begins with https://, for example https://blog.example.")
        if parts.path not in {"", "/"} or parts.query or parts.fragment or parts.username is not None or "?" in text:
            raise ValueError("A site is a scheme and a host alone, without a path: https://blog.example.")
        host = _host(parts.hostname)
        if parts.scheme == "http" and host not in _LOCALHOSTS:
            raise ValueError("A site needs https: over http anybody on the way could be it.")
        return cls(f"{parts.scheme}://{host}" + ("" if port in {None, _DEFAULT_PORTS[parts.scheme]} else f":{port}"))


def _host(name: str) -> str:
    """Lower-case A-labels, as browsers send them."""
    if f"[{name}]" in _LOCALHOSTS:
        return f"[{name}]"
    try:
        host = name if name.isascii() else idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise ValueError("This is not the name of a host.") from error
    if _HOST.fullmatch(host.lower()) is None:
        raise ValueError("This is not the name of a host.")
    return host.lower()
