"""The content of the inbox's pages, computed from the log; the templates only do the layout."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any, Final

import msgspec

from broadsheet_postmark_sandbox.faults.rules import FaultsShown
from broadsheet_postmark_sandbox.messages.message_log import StoredMessage
from broadsheet_postmark_sandbox.messages.present_message import captured
from broadsheet_postmark_sandbox.streams import DEFAULT_STREAM

LINKS_MAX: Final = 100
FURTHER_RECIPIENTS_SHOWN_MAX: Final = 2

_SAYING_NOTHING: Final[tuple[object, ...]] = (None, "", [], {}, False)
_WEB_ADDRESS: Final = re.compile(r"https?://[^\s<>\"')\]]+")


class Row(msgspec.Struct, frozen=True):
    """One line of the list. `iso` is the time for machines, `time` for people."""

    message_id: str
    to: str
    from_: str
    subject: str
    stream: str
    tag: str
    iso: str
    time: str


class Link(msgspec.Struct, frozen=True):
    text: str
    address: str


class EventView(msgspec.Struct, frozen=True):
    type: str
    recipient: str
    time: str
    details: str


class MessageView(msgspec.Struct, frozen=True):
    """A message's page. `fields` are the address lines and similar fields that the message has, in order."""

    message_id: str
    subject: str
    iso: str
    time: str
    fields: list[tuple[str, str]]
    html: bool
    text: str | None
    links: list[Link]
    headers: list[tuple[str, str]]
    metadata: list[tuple[str, str]]
    attachments: list[tuple[str, str, int]]
    events: list[EventView]


class FaultView(msgspec.Struct, frozen=True):
    """A rule in force; its settings and its `match` as text."""

    kind: str
    name: str
    settings: str
    match: str
    probability: str
    matched: int
    hits: int
    active: bool


def row_of(stored: StoredMessage) -> Row:
    message = stored.message
    shown = stored.recipients[: FURTHER_RECIPIENTS_SHOWN_MAX + 1]
    more = len(stored.recipients) - len(shown)
    return Row(
        message_id=stored.message_id,
        to=", ".join(shown) + (f" and {more} more" if more else ""),
        from_=message.from_ or "",
        subject=message.subject or "(no subject)",
        stream=stored.slot.stream,
        tag=message.tag or "",
        iso=_iso(stored.accepted_at),
        time=_readable(stored.accepted_at),
    )


def message_view(stored: StoredMessage, events: list[dict[str, Any]]) -> MessageView:
    message, mail = stored.message, captured(stored)
    fields = [
        ("From", message.from_),
        ("To", message.to),
        ("Cc", message.cc),
        ("Bcc", message.bcc),
        ("Reply-To", message.reply_to),
        ("Stream", message.message_stream or DEFAULT_STREAM),
        ("Tag", message.tag),
        ("MessageID", stored.message_id),
    ]
    return MessageView(
        message_id=stored.message_id,
        subject=message.subject or "(no subject)",
        iso=_iso(stored.accepted_at),
        time=_readable(stored.accepted_at),
        fields=[(name, value) for name, value in fields if value],
        html=mail.html is not None,
        text=mail.text,
        links=links_in(mail.html, mail.text),
        headers=[(header.name, header.value) for header in mail.headers],
        metadata=list((message.metadata or {}).items()),
        attachments=[(a.name, a.content_type, len(a.content) * 3 // 4) for a in mail.attachments],
        events=[_event_view(event) for event in events],
    )


def fault_views(shown: FaultsShown) -> list[FaultView]:
    return [
        FaultView(
            kind=str(fields.pop("kind")).replace("_", " "),
            name=str(fields.pop("name")),
            match=_words(fields.pop("match")) or "every request of its endpoints",
            probability=f"{fields.pop('probability'):.0%}",
            settings=_words({key: value for key, value in fields.items() if key != "name_address"}),
            matched=state.matched,
            hits=state.hits,
            active=state.active,
        )
        for state in shown.rules
        for fields in (msgspec.to_builtins(state.rule),)
    ]


def links_in(html: str | None, text: str | None) -> list[Link]:
    """The distinct URLs in a mail: those of its HTML with their link texts, then those of its text."""
    finder = _LinkFinder()
    finder.feed(html or "")
    finder.close()
    found = {link.address: link for link in finder.links}
    for address in _WEB_ADDRESS.findall(text or ""):
        found.setdefault(address.rstrip(".,;:!?"), Link(text="", address=address.rstrip(".,;:!?")))
    return list(found.values())[:LINKS_MAX]


class _LinkFinder(HTMLParser):
    """Collects `<a href>` of http and https, with the text inside."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[Link] = []
        self._address: str | None = None
        self._words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get("href") if tag == "a" else None
        if address is not None and _WEB_ADDRESS.match(address):
            self._address, self._words = address, []

    def handle_data(self, data: str) -> None:
        if self._address is not None:
            self._words.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._address is not None:
            self.links.append(Link(text=" ".join("".join(self._words).split()), address=self._address))
            self._address = None


def _event_view(event: dict[str, Any]) -> EventView:
    return EventView(
        type=event["Type"],
        recipient=event["Recipient"],
        time=event["ReceivedAt"][:19].replace("T", " "),
        details=_words(event["Details"]),
    )


def _words(fields: dict[str, Any]) -> str:
    """Settings as text, without those that are empty or off."""
    shown = {key.replace("_", " "): _word(value) for key, value in fields.items() if value not in _SAYING_NOTHING}
    return ", ".join(f"{key} {value}".rstrip() for key, value in shown.items())


def _word(value: object) -> str:
    match value:
        case bool():
            return ""
        case float():
            return f"{value:g}"
        case list():
            return " ".join(map(_word, value))
        case dict():
            return _words(value)
        case _:
            return str(value)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _readable(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%d %b %Y, %H:%M:%S UTC")
