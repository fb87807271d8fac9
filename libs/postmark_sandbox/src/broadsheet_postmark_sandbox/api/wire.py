"""The Postmark API's request and answer bodies, decoded strictly.

Field names are PascalCase as Postmark writes them; an unknown field or a wrong type is error 403. The two message
bodies stay undecoded (`msgspec.Raw`): only their size and type are checked, and they are stored as received. So a
message of 10 KB costs no more than a small one.
"""

from typing import Final, Literal

import msgspec

TrackLinks = Literal["None", "HtmlAndText", "HtmlOnly", "TextOnly"]
NO_BODY: Final = msgspec.Raw(b"null")

_NAMES_WITH_ID = {
    "content_id": "ContentID",
    "message_id": "MessageID",
    "server_id": "ServerID",
    "id": "ID",
    "bounce_id": "BounceID",
}


def postmark_name(name: str) -> str:
    """`message_id` becomes `MessageID`, `html_body` `HtmlBody`, `from_` `From`."""
    return _NAMES_WITH_ID.get(name) or "".join(part.capitalize() for part in name.split("_"))


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=postmark_name, gc=False):
    name: str
    value: str


class Attachment(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=postmark_name, omit_defaults=True, gc=False
):
    """`Content` is base64 (RFC 4648)."""

    name: str
    content: str
    content_type: str
    content_id: str | None = None


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=postmark_name, gc=False):
    """The body of POST /email, and an item of POST /email/batch.

    Every field may be null or absent here. `check_message` checks what Postmark requires, because a missing field
    is an error of one item, and a wrong type an error of the whole request.
    """

    from_: str | None = None
    to: str | None = None
    cc: str | None = None
    bcc: str | None = None
    subject: str | None = None
    tag: str | None = None
    html_body: msgspec.Raw = NO_BODY
    text_body: msgspec.Raw = NO_BODY
    reply_to: str | None = None
    headers: list[Header] | None = None
    track_opens: bool | None = None
    track_links: TrackLinks | None = None
    metadata: dict[str, str] | None = None
    attachments: list[Attachment] | None = None
    message_stream: str | None = None


def body_text(raw: msgspec.Raw) -> str | None:
    """The text of a body that was left undecoded."""
    return msgspec.json.decode(raw, type=str | None)


class Accepted(msgspec.Struct, frozen=True, rename=postmark_name, gc=False):
    """The answer for an accepted message, its fields in Postmark's order."""

    to: str
    submitted_at: str
    message_id: str
    error_code: int
    message: str


class AcceptedWithoutTo(msgspec.Struct, frozen=True, rename=postmark_name, gc=False):
    """The answer for a message that had only Cc or Bcc recipients."""

    submitted_at: str
    message_id: str
    error_code: int
    message: str
