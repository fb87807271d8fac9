"""What previews and test mails of any kind take and answer, as the API shows it."""

from typing import Annotated

import msgspec

from broadsheet_common.http.problems import FieldProblem, InvalidInputError
from broadsheet_common.mail.merge_fields import AttributeValue
from broadsheet_publishing.previews.mail_preview import Preview
from broadsheet_publishing.previews.store import ReaderRow

Line = Annotated[str, msgspec.Meta(max_length=1_000)]
Tags = Annotated[list[Line], msgspec.Meta(max_length=200)]
Values = Annotated[dict[Line, AttributeValue], msgspec.Meta(max_length=200)]
RawAddresses = Annotated[list[Line], msgspec.Meta(max_length=100)]


class SamplePerson(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Somebody who is not there, with the values that a mail may merge."""

    name: Line = ""
    email: Line = "reader@example.com"
    tags: Tags = []
    attributes: Values = {}


class MailHeader(msgspec.Struct, frozen=True):
    name: str
    value: str


class MailPreview(msgspec.Struct, frozen=True, kw_only=True):
    """A mail as it will be sent, but for its links that act for a reader: here they lead to a page that says so.

    `from` null: neither the newsletter nor the installation has a sender. `html` null: plain text only. `headers` are
    those beside From, To, Subject and Reply-To. Sizes are bytes in UTF-8.
    """

    from_: str | None = msgspec.field(name="from")
    reply_to: str | None
    to: str
    subject: str
    preheader: str
    html: str | None
    text: str
    headers: list[MailHeader]
    html_bytes: int
    text_bytes: int


class TestSent(msgspec.Struct, frozen=True, kw_only=True):
    """How many mails are on their way, and their subject."""

    sent: int
    subject: str


def person_of(subscriber_id: int | None, sample: SamplePerson | None) -> ReaderRow | None:
    if sample is None:
        return None
    if subscriber_id is not None:
        raise InvalidInputError(
            errors=(FieldProblem(pointer="/sample", detail="There is a subscriber already: leave out one of them."),)
        )
    return ReaderRow(name=sample.name, email=sample.email, tags=tuple(sample.tags), attributes=dict(sample.attributes))


def shown(preview: Preview) -> MailPreview:
    return MailPreview(
        from_=preview.sender,
        reply_to=preview.reply_to,
        to=preview.to,
        subject=preview.subject,
        preheader=preview.preheader,
        html=preview.html,
        text=preview.text,
        headers=[MailHeader(name, value) for name, value in preview.headers],
        html_bytes=len((preview.html or "").encode()),
        text_bytes=len(preview.text.encode()),
    )
