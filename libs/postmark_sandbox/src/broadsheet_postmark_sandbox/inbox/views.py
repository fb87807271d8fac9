"""The content of the inbox's pages, computed from the log; the templates only do the layout."""

from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from broadsheet_postmark_sandbox.faults.rules import FaultsShown
from broadsheet_postmark_sandbox.inbox.first_words import first_words
from broadsheet_postmark_sandbox.inbox.links import Link, links_in
from broadsheet_postmark_sandbox.messages.message_log import StoredMessage
from broadsheet_postmark_sandbox.messages.present_message import captured, source_text
from broadsheet_postmark_sandbox.streams import DEFAULT_STREAM

FURTHER_RECIPIENTS_SHOWN_MAX: Final = 2
TEXT_CHARS_SHOWN_MAX: Final = 200_000

ViewName = Literal["html", "dark", "text", "source", "links", "headers", "attachments", "events"]

_SAYING_NOTHING: Final[tuple[object, ...]] = (None, "", [], {}, False)


class Row(msgspec.Struct, frozen=True):
    """One mail in the list. `iso` is the time for machines, `time` for people."""

    sequence: int
    message_id: str
    to: str
    from_: str
    subject: str
    first_words: str
    stream: str
    tag: str
    iso: str
    time: str


class EventView(msgspec.Struct, frozen=True):
    type: str
    recipient: str
    time: str
    details: str


class AttachmentView(msgspec.Struct, frozen=True):
    """`number` counts from 0, `size` is in bytes."""

    number: int
    name: str
    content_type: str
    size: int


class MailView(msgspec.Struct, frozen=True):
    """A mail. `fields` are the lines of addresses and the like that it has, in order; `views` those that it can be
    looked at in, of which `shown` is one; `text` is what the text and the source show, `is_cut` that there is more.
    """

    message_id: str
    sequence: int
    subject: str
    iso: str
    time: str
    fields: list[tuple[str, str]]
    views: list[tuple[ViewName, str]]
    shown: ViewName
    recipients: tuple[str, ...]
    links: list[Link]
    headers: list[tuple[str, str]]
    metadata: list[tuple[str, str]]
    attachments: list[AttachmentView]
    events: list[EventView]
    text: str = ""
    is_cut: bool = False


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
    mail = captured(stored)
    shown = stored.recipients[: FURTHER_RECIPIENTS_SHOWN_MAX + 1]
    more = len(stored.recipients) - len(shown)
    return Row(
        sequence=stored.sequence,
        message_id=stored.message_id,
        to=", ".join(shown) + (f" and {more} more" if more else ""),
        from_=_person(message.from_ or ""),
        subject=message.subject or "(no subject)",
        first_words=first_words(mail.html, mail.text),
        stream=stored.slot.stream,
        tag=message.tag or "",
        iso=_iso(stored.accepted_at),
        time=_readable(stored.accepted_at),
    )


def mail_view(stored: StoredMessage, events: list[dict[str, Any]], wanted: str) -> MailView:
    """The mail in the view that was wanted, or in its first one. Takes some 100 ms for the largest mails."""
    message, mail = stored.message, captured(stored)
    fields = [
        ("From", message.from_),
        ("To", message.to),
        ("Cc", message.cc),
        ("Bcc", message.bcc),
        ("Reply-To", message.reply_to),
        ("Preheader", first_words(mail.html, mail.text)),
        ("Stream", message.message_stream or DEFAULT_STREAM),
        ("Tag", message.tag),
    ]
    links = links_in(mail.html, mail.text)
    views = _views(
        has_html=mail.html is not None,
        has_text=mail.text is not None,
        links=len(links),
        attachments=len(mail.attachments),
        events=len(events),
    )
    shown = next((name for name, _ in views if name == wanted), views[0][0])
    whole = {"text": mail.text or "", "source": source_text(stored) if shown == "source" else ""}.get(shown, "")
    return MailView(
        message_id=stored.message_id,
        sequence=stored.sequence,
        subject=message.subject or "(no subject)",
        iso=_iso(stored.accepted_at),
        time=_readable(stored.accepted_at),
        fields=[(name, value) for name, value in fields if value],
        views=views,
        shown=shown,
        recipients=stored.recipients,
        links=links,
        headers=[(header.name, header.value) for header in mail.headers],
        metadata=list((message.metadata or {}).items()),
        attachments=[
            AttachmentView(number, one.name, one.content_type, len(one.content) * 3 // 4)
            for number, one in enumerate(mail.attachments)
        ],
        events=[_event_view(event) for event in events],
        text=whole[:TEXT_CHARS_SHOWN_MAX],
        is_cut=len(whole) > TEXT_CHARS_SHOWN_MAX,
    )


def _views(*, has_html: bool, has_text: bool, links: int, attachments: int, events: int) -> list[tuple[ViewName, str]]:
    views: list[tuple[ViewName, str]] = []
    if has_html:
        views += [("html", "Light"), ("dark", "Dark")]
    if has_text:
        views.append(("text", "Plain text"))
    views += [("links", f"Links ({links})"), ("headers", "Headers"), ("source", "Source")]
    if attachments:
        views.append(("attachments", f"Attachments ({attachments})"))
    return [*views, ("events", f"Events ({events})")]


def _person(mailbox: str) -> str:
    """The name of `Name <address>`, as lists of mails show it; else the address."""
    name = mailbox.partition("<")[0].strip().strip('"').strip()
    return name or mailbox


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
