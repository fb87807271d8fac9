"""A captured message as Postmark would send it, with what Postmark adds, and its rows in the API's answers.

On a stream whose unsubscribing Postmark handles, a link replaces `{{{ pm:unsubscribe }}}` or is added at the end
of each body, and List-Unsubscribe headers are set that the sender cannot edit. With handling `Custom` the
sender's own headers stay unchanged.
"""

import re
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from broadsheet_postmark_sandbox.api.wire import Attachment, Header, body_text
from broadsheet_postmark_sandbox.messages.addresses import Mailbox, parse_list
from broadsheet_postmark_sandbox.messages.message_log import StoredMessage
from broadsheet_postmark_sandbox.streams import DEFAULT_STREAM

STORED_BODY_BYTES_MAX: Final = 1024 * 1024
# RFC 5322's hard limit. With shorter lines the library would encode long List-Unsubscribe addresses, which RFC 8058
# forbids.
LINE_LENGTH_MAX: Final = 998
EASTERN: Final = ZoneInfo("America/New_York")

_BODY_END: Final = re.compile("</body>", re.IGNORECASE | re.ASCII)
_PLACEHOLDER: Final = re.compile(r"\{\{\{\s*pm:unsubscribe(_url)?\s*\}\}\}")
_MANAGED: Final = ("list-unsubscribe", "list-unsubscribe-post")


class Captured(msgspec.Struct, frozen=True):
    """A message as the recipient would get it; the bodies are text, or None."""

    from_: str
    subject: str
    html: str | None
    text: str | None
    headers: tuple[Header, ...]
    attachments: tuple[Attachment, ...]


def captured(stored: StoredMessage) -> Captured:
    message = stored.message
    html, text = body_text(message.html_body), body_text(message.text_body)
    headers = tuple(message.headers or ())
    if stored.slot.postmark_unsubscribe:
        link = unsubscribe_link(stored)
        anchor = f'<a href="{link}">Unsubscribe</a>'
        html = html and _with_link(html, anchor, link, f"<p>{anchor}</p>")
        text = text and _with_link(text, link, link, f"\n\nUnsubscribe: {link}\n")
        headers = (
            *(header for header in headers if header.name.lower() not in _MANAGED),
            Header(name="List-Unsubscribe", value=f"<{link}>"),
            Header(name="List-Unsubscribe-Post", value="List-Unsubscribe=One-Click"),
        )
    return Captured(
        from_=message.from_ or "",
        subject=message.subject or "",
        html=html or None,
        text=text or None,
        headers=headers,
        attachments=tuple(message.attachments or ()),
    )


def unsubscribe_link(stored: StoredMessage) -> str:
    """The URL in Postmark's form; nothing answers there."""
    return f"https://unsubscribe.postmarkapp.com/sandbox/{stored.message_id}"


def _with_link(body: str, link: str, address: str, appended: str) -> str:
    """Put a link for `pm:unsubscribe` and a bare URL for `pm:unsubscribe_url`; if neither is there, append a link."""
    replaced, count = _PLACEHOLDER.subn(lambda found: address if found[1] else link, body)
    if count:
        return replaced
    # Not searched in a lower-cased copy, which may be longer (`İ`) and so have other positions.
    ends = [found.start() for found in _BODY_END.finditer(body)]
    return body + appended if not ends else body[: ends[-1]] + appended + body[ends[-1] :]


def eastern_text(seconds: float) -> str:
    """A time as in the message search: US Eastern with seven digits and the offset."""
    local = datetime.fromtimestamp(seconds, EASTERN)
    offset = local.strftime("%z")
    return f"{local:%Y-%m-%dT%H:%M:%S.%f}0{offset[:3]}:{offset[3:]}"


def utc_text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def search_row(stored: StoredMessage) -> dict[str, Any]:
    """A row of GET /messages/outbound."""
    message = stored.message
    return {
        "Tag": message.tag or "",
        "MessageID": stored.message_id,
        "MessageStream": message.message_stream or DEFAULT_STREAM,
        "To": _people(message.to),
        "Cc": _people(message.cc),
        "Bcc": _people(message.bcc),
        "Recipients": list(stored.recipients),
        "ReceivedAt": eastern_text(stored.accepted_at),
        "From": message.from_ or "",
        "Subject": message.subject or "",
        "Attachments": [attachment.name for attachment in message.attachments or ()],
        "Status": "Sent",
        "TrackOpens": bool(message.track_opens),
        "TrackLinks": message.track_links or "None",
        "Metadata": message.metadata or {},
        "Sandboxed": False,
    }


def details_row(stored: StoredMessage, events: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer of GET /messages/outbound/{id}/details; bodies are cut at 1 MB, as Postmark stores them."""
    mail = captured(stored)
    return {
        "TextBody": _cut(mail.text),
        "HtmlBody": _cut(mail.html),
        "Body": _cut(source_text(stored)),
        **search_row(stored),
        "MessageEvents": events,
    }


def source_text(stored: StoredMessage) -> str:
    """The message as RFC 5322 text, as in GET /messages/outbound/{id}/dump."""
    mail = captured(stored)
    message = stored.message
    source = EmailMessage(policy=SMTP.clone(cte_type="8bit", utf8=True, max_line_length=LINE_LENGTH_MAX))
    source["From"] = mail.from_
    for name, value in (("To", message.to), ("Cc", message.cc), ("Reply-To", message.reply_to)):
        if value:
            source[name] = value
    source["Subject"] = mail.subject
    source["Date"] = datetime.fromtimestamp(stored.accepted_at, UTC)
    source["Message-ID"] = f"<{stored.message_id}@mtasv.net>"
    for header in mail.headers:
        if header.name.lower() not in {name.lower() for name in source}:
            source[header.name] = header.value
    if mail.text is not None:
        source.set_content(mail.text)
    if mail.html is not None and mail.text is not None:
        source.add_alternative(mail.html, subtype="html")
    elif mail.html is not None:
        source.set_content(mail.html, subtype="html")
    if source.is_multipart():
        source.set_boundary(f"=_{stored.message_id}")
    return source.as_bytes().decode(errors="replace")


def control_row(stored: StoredMessage, *, bodies: bool) -> dict[str, Any]:
    """A row of GET /_sandbox/messages: the whole message, with Postmark's field names."""
    message: object = stored.raw
    if stored.slot.postmark_unsubscribe or not bodies:
        fields = msgspec.to_builtins(stored.message, builtin_types=(msgspec.Raw,))
        message = {name: value for name, value in fields.items() if value is not None}
        mail = captured(stored) if bodies else None
        message.pop("HtmlBody")
        message.pop("TextBody")
        if mail is None:
            message["Attachments"] = [{"Name": a.name} for a in stored.message.attachments or ()]
        else:
            message |= {"HtmlBody": mail.html, "TextBody": mail.text, "Headers": mail.headers}
    return {
        "sequence": stored.sequence,
        "message_id": stored.message_id,
        "accepted_at": utc_text(stored.accepted_at),
        "stream": stored.slot.stream,
        "recipients": stored.recipients,
        "message": message,
    }


def _people(text: str | None) -> list[dict[str, str | None]]:
    people: tuple[Mailbox, ...] = parse_list(text or "")
    return [{"Email": person.address, "Name": person.name} for person in people]


def _cut(text: str | None) -> str:
    encoded = (text or "").encode()
    if len(encoded) <= STORED_BODY_BYTES_MAX:
        return text or ""
    return encoded[:STORED_BODY_BYTES_MAX].decode(errors="ignore")
