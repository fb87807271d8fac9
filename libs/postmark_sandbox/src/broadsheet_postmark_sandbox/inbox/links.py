"""The links of a mail: where each leads, and the words that it is under; pure."""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from broadsheet_postmark_sandbox.inbox.markup import Tag, Text, pieces

LINKS_MAX: Final = 200
HTML_CHARS_READ_MAX: Final = 300_000
TEXT_CHARS_READ_MAX: Final = 300_000
WORDS_CHARS_MAX: Final = 300

_WEB_ADDRESS: Final = re.compile(r"https?://[^\s<>\"')\]]+")
_LEADS_SOMEWHERE: Final = re.compile(r"(?:https?://|mailto:|tel:)", re.IGNORECASE)


class Link(msgspec.Struct, frozen=True):
    """`host` is where it leads; `opens` says whether a browser may be sent there (http and https only)."""

    text: str
    address: str
    host: str = ""
    opens: bool = True


def links_in(html: str | None, text: str | None) -> list[Link]:
    """The distinct addresses in the first part of a mail: those of its HTML with their words, then those of its text.

    At most LINKS_MAX. Links that are no http, https, mailto or tel are left out.
    """
    found: dict[str, Link] = {}
    for words, address in _of_html((html or "")[:HTML_CHARS_READ_MAX]):
        found.setdefault(address, _link(words, address))
    for written in _WEB_ADDRESS.findall((text or "")[:TEXT_CHARS_READ_MAX]):
        address = written.rstrip(".,;:!?")
        found.setdefault(address, _link("", address))
    return list(found.values())[:LINKS_MAX]


def _link(words: str, address: str) -> Link:
    scheme, _, rest = address.partition(":")
    opens = scheme.lower() in {"http", "https"}
    host = re.split(r"[/?#]", rest.removeprefix("//"), maxsplit=1)[0] if opens else scheme.lower()
    return Link(text=words, address=address, host=host, opens=opens)


def _of_html(html: str) -> Iterator[tuple[str, str]]:
    """The words, and the alternative texts of pictures, with the address that they lead to, in their order."""
    address, words = "", ""
    for piece in pieces(html):
        match piece:
            case Text():
                words += piece.words if address and len(words) < WORDS_CHARS_MAX else ""
            case Tag(name="img", is_end=False):
                words += f" {piece.attributes().get('alt', '')} " if address else ""
            case Tag(name="a" | "area"):
                if address:
                    yield _joined(words), address
                address, words = "", ""
                given = {} if piece.is_end else piece.attributes()
                if _LEADS_SOMEWHERE.match(given.get("href", "").strip()):
                    address, words = given["href"].strip(), given.get("alt", "")
            case _:
                pass
    if address:
        yield _joined(words), address


def _joined(words: str) -> str:
    return " ".join(words[:WORDS_CHARS_MAX].split())
