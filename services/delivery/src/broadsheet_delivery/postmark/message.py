"""A mail as `POST /email/batch` takes it; pure.

Source: Postmark's documentation, "Email API".
"""

from typing import Final

import msgspec

METADATA_DELIVERY: Final = "bs_delivery"
METADATA_MAIL: Final = "bs_mail"
METADATA_ATTEMPT: Final = "bs_attempt"
NO_LINKS_TRACKED: Final = "None"


class Header(msgspec.Struct, frozen=True, rename="pascal"):
    name: str
    value: str


class Message(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """One mail as `POST /email/batch` takes it. A body may be there as JSON already."""

    from_: str = msgspec.field(name="From")
    to: str
    subject: str
    html_body: str | msgspec.Raw
    text_body: str | msgspec.Raw
    message_stream: str
    headers: tuple[Header, ...]
    metadata: dict[str, str]
    reply_to: str | None = None
    tag: str | None = None
    track_opens: bool = False
    track_links: str = NO_LINKS_TRACKED


_encoder = msgspec.json.Encoder()


def encode_message(message: Message) -> bytes:
    return _encoder.encode(message)
