"""A mail as `POST /email/batch` takes it; pure.

Source: Postmark's documentation, "Email API".
"""

from typing import Final, Literal

import msgspec

METADATA_DELIVERY: Final = "bs_delivery"
METADATA_MAIL: Final = "bs_mail"
METADATA_ATTEMPT: Final = "bs_attempt"
NO_LINKS_TRACKED: Final = "None"


TrackLinks = Literal["None", "HtmlOnly"]


class Header(msgspec.Struct, frozen=True, rename="pascal"):
    name: str
    value: str


class Message(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """One mail as `POST /email/batch` takes it. A body may be there as JSON already; `html_body` None: plain text only,
    because Postmark refuses an empty body.

    What is tracked is said in every mail that we compose: None leaves it to the setting of the server at Postmark.
    """

    from_: str = msgspec.field(name="From")
    to: str
    subject: str
    html_body: str | msgspec.Raw | None = None
    text_body: str | msgspec.Raw
    message_stream: str
    headers: tuple[Header, ...]
    metadata: dict[str, str]
    reply_to: str | None = None
    tag: str | None = None
    track_opens: bool | None = None
    track_links: TrackLinks | None = None


_encoder = msgspec.json.Encoder()


def encode_message(message: Message) -> bytes:
    return _encoder.encode(message)
