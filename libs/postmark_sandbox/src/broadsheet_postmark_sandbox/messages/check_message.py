"""Check one message against Postmark's rules: who it may go to, or why it is refused.

The usual newsletter message (one plain ASCII address, the same sender and header names as the one before) takes a
few comparisons; every other message takes the slow path with exact texts.
"""

import re
from typing import Final, assert_never

import msgspec

from broadsheet_postmark_sandbox.api import errors
from broadsheet_postmark_sandbox.api.errors import Refusal
from broadsheet_postmark_sandbox.api.wire import Attachment, Header, Message, body_text
from broadsheet_postmark_sandbox.messages.addresses import BadAddressError, Mailbox, is_mailbox, parse_list
from broadsheet_postmark_sandbox.streams import DEFAULT_STREAM, Stream

RECIPIENTS_MAX: Final = 50
FROM_LENGTH_MAX: Final = 255
SUBJECT_UNITS_MAX: Final = 2_000
TAG_LENGTH_MAX: Final = 1_000
METADATA_FIELDS_MAX: Final = 10
METADATA_KEY_LENGTH_MAX: Final = 20
METADATA_VALUE_LENGTH_MAX: Final = 80
BODY_BYTES_MAX: Final = 5 * 1024 * 1024

_QUOTE: Final = ord('"')
_HEADER_NAME: Final = re.compile(r"[!-9;-~]{1,256}")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
# Source: Postmark's page "Attachments: forbidden file types".
_FORBIDDEN_EXTENSIONS: Final = frozenset(
    {"vbs", "exe", "bin", "bat", "chm", "com", "cpl", "crt", "hlp", "hta", "inf", "ins", "isp", "jse", "lnk"}
    | {"mdb", "pcd", "pif", "reg", "scr", "sct", "shs", "vbe", "vba", "wsf", "wsh", "wsl", "msc", "msi", "msp"}
    | {"mst"}
)
_METADATA_TEXT: Final = (
    "Invalid metadata content. A message can have at most 10 metadata fields; field names are limited to "
    "20 characters and must differ by more than their case, values are limited to 80 characters."
)


class Addressed(msgspec.Struct, frozen=True, gc=False):
    """A message that may be sent: its stream, its recipients lower-cased, and those left out because they are
    suppressed.
    """

    stream: Stream
    recipients: tuple[str, ...]
    suppressed: tuple[str, ...]


class _Refused(Exception):  # noqa: N818  a refusal to be sent, not an error of ours
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class MessageChecker:
    """Checks the messages of one request; remembers values that were already found valid."""

    def __init__(self, message_bytes_max: int, streams: dict[str, Stream]) -> None:
        self._streams = streams
        self._message_bytes_max = message_bytes_max
        self._good_from: str | None = None
        self._good_stream: Stream | None = None
        self._good_subject: str | None = None
        self._good_tag: str | None = None
        self._good_header_names: set[str] = set()
        self._good_metadata_keys: tuple[str, ...] = ()

    def check(self, message: Message) -> Addressed | Refusal:
        try:
            stream = self._check_head(message)
            recipients = self._recipients(message)
            self._check_bodies(message)
            if message.headers:
                self._check_headers(message.headers)
            if message.metadata:
                self._check_metadata(message.metadata)
            if message.attachments:
                self._check_attachments(message, message.attachments)
        except _Refused as refused:
            return refused.refusal
        if stream.suppressions:
            return _without_suppressed(stream, recipients)
        return Addressed(stream, recipients, ())

    def _check_head(self, message: Message) -> Stream:
        """Check the fields that are usually the same for all messages of a request."""
        if message.from_ is None or message.from_ != self._good_from:
            self._check_from(message.from_)
        stream = self._good_stream
        if stream is None or stream.id != (message.message_stream or DEFAULT_STREAM):
            stream = self._good_stream = self._stream(message.message_stream or DEFAULT_STREAM)
        if message.subject is not None and message.subject != self._good_subject:
            self._check_subject(message.subject)
        if message.tag is not None and message.tag != self._good_tag:
            self._check_tag(message.tag)
        if message.reply_to:
            _mailboxes("ReplyTo", message.reply_to)
        return stream

    def addressees(self, message: Message) -> tuple[str, ...]:
        """The recipients of a message, even if the rest of it is invalid; empty if they cannot be read."""
        try:
            return self._recipients(message)
        except _Refused:
            return ()

    def _check_from(self, text: str | None) -> None:
        parsed = _mailboxes("From", text or "")
        if not parsed or len(text or "") > FROM_LENGTH_MAX:
            raise _Refused(errors.invalid_address("From", text or ""))
        self._good_from = text

    def _stream(self, name: str) -> Stream:
        stream = self._streams.get(name)
        if stream is None or stream.archived_at is not None:
            raise _Refused(errors.unknown_sending_stream(name))
        match stream.type:
            case "Inbound":
                raise _Refused(errors.wrong_stream_type(name))
            case "Transactional" | "Broadcasts":
                return stream
            case _:
                assert_never(stream.type)

    def _recipients(self, message: Message) -> tuple[str, ...]:
        to = message.to
        if to is not None and not message.cc and not message.bcc and is_mailbox(to):
            return (to.lower(),)
        found: dict[str, None] = {}
        count = 0
        for field, text in (("To", to), ("Cc", message.cc), ("Bcc", message.bcc)):
            for mailbox in _mailboxes(field, text or ""):
                count += 1
                found[mailbox.address.lower()] = None
        if not count:
            raise _Refused(errors.invalid_request("Zero recipients specified"))
        if count > RECIPIENTS_MAX:
            raise _Refused(errors.invalid_request(f"Too many recipients: a message can have at most {RECIPIENTS_MAX}."))
        return tuple(found)

    def _check_bodies(self, message: Message) -> None:
        total = _body_bytes("HtmlBody", message.html_body) + _body_bytes("TextBody", message.text_body)
        if not total:
            raise _Refused(errors.invalid_request("Provide either email TextBody or HtmlBody or both."))
        if total > self._message_bytes_max:
            raise _Refused(_message_too_large(self._message_bytes_max))

    def _check_subject(self, subject: str) -> None:
        if len(subject) * 2 > SUBJECT_UNITS_MAX and len(subject.encode("utf-16-le")) > SUBJECT_UNITS_MAX * 2:
            raise _Refused(errors.invalid_request(f"The 'Subject' is longer than {SUBJECT_UNITS_MAX} characters."))
        if not subject.isprintable() and _CONTROLS.search(subject):
            raise _Refused(_line_break("Subject"))
        self._good_subject = subject

    def _check_tag(self, tag: str) -> None:
        if len(tag) > TAG_LENGTH_MAX:
            raise _Refused(errors.invalid_request(f"The 'Tag' is longer than {TAG_LENGTH_MAX} characters."))
        if _CONTROLS.search(tag):
            raise _Refused(_line_break("Tag"))
        self._good_tag = tag

    def _check_headers(self, headers: list[Header]) -> None:
        good = self._good_header_names
        for header in headers:
            if header.name not in good:
                if not _HEADER_NAME.fullmatch(header.name):
                    raise _Refused(errors.invalid_request(f"Invalid header name: '{header.name}'."))
                good.add(header.name)
            if not header.value.isprintable() and _CONTROLS.search(header.value):
                raise _Refused(_line_break(header.name))

    def _check_metadata(self, metadata: dict[str, str]) -> None:
        keys = tuple(metadata)
        if keys != self._good_metadata_keys:
            lengths_ok = all(0 < len(key) <= METADATA_KEY_LENGTH_MAX for key in keys)
            distinct = len({key.lower() for key in keys}) == len(keys)
            if len(keys) > METADATA_FIELDS_MAX or not lengths_ok or not distinct:
                raise _Refused(errors.invalid_request(_METADATA_TEXT))
            self._good_metadata_keys = keys
        for value in metadata.values():
            if len(value) > METADATA_VALUE_LENGTH_MAX or (not value.isprintable() and _CONTROLS.search(value)):
                raise _Refused(errors.invalid_request(_METADATA_TEXT))

    def _check_attachments(self, message: Message, attachments: list[Attachment]) -> None:
        total = len(memoryview(message.html_body)) + len(memoryview(message.text_body))
        for attachment in attachments:
            if not attachment.name or _CONTROLS.search(attachment.name):
                raise _Refused(errors.invalid_request("An attachment has no valid 'Name'."))
            if attachment.name.rpartition(".")[2].lower() in _FORBIDDEN_EXTENSIONS:
                raise _Refused(errors.forbidden_attachment(attachment.name))
            if not _BASE64.fullmatch("".join(attachment.content.split())):
                raise _Refused(
                    errors.invalid_request(f"The 'Content' of attachment '{attachment.name}' is not base64.")
                )
            if not attachment.content_type or _CONTROLS.search(attachment.content_type):
                raise _Refused(errors.invalid_request(f"Attachment '{attachment.name}' has no valid 'ContentType'."))
            total += len(attachment.content) * 3 // 4
        if total > self._message_bytes_max:
            raise _Refused(_message_too_large(self._message_bytes_max))


def _body_bytes(field: str, raw: msgspec.Raw) -> int:
    """The size of a body in bytes; null is 0. Escapes count as sent while that is within the limit; otherwise the
    decoded text is measured.

    Raises PostmarkError for anything but a string or null: that is an error of the whole request.
    """
    view = memoryview(raw)
    if view[0] != _QUOTE:
        if bytes(view) == b"null":
            return 0
        raise errors.incompatible_json(f"Expected `str | null` - at `$.{field}`")
    size = len(view) - 2
    if size > BODY_BYTES_MAX:
        size = len((body_text(raw) or "").encode())
        if size > BODY_BYTES_MAX:
            raise _Refused(errors.invalid_request(f"The '{field}' is larger than {BODY_BYTES_MAX} bytes."))
    return size


def _mailboxes(field: str, text: str) -> tuple[Mailbox, ...]:
    if not text.isprintable() and _CONTROLS.search(text):
        raise _Refused(_line_break(field))
    try:
        return parse_list(text)
    except BadAddressError as bad:
        raise _Refused(errors.invalid_address(field, str(bad.args[0]))) from bad


def _without_suppressed(stream: Stream, recipients: tuple[str, ...]) -> Addressed | Refusal:
    suppressed = tuple(address for address in recipients if address in stream.suppressions)
    if len(suppressed) == len(recipients):
        return errors.inactive_recipients(suppressed)
    return Addressed(stream, tuple(a for a in recipients if a not in suppressed), suppressed)


def _line_break(field: str) -> Refusal:
    return errors.invalid_request(f"The '{field}' contains a line break or another control character.")


def _message_too_large(bytes_max: int) -> Refusal:
    return errors.invalid_request(f"The message is larger than {bytes_max} bytes.")
