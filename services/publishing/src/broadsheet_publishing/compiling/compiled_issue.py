"""What the compiler makes of an issue, or the faults it found; pure."""

import hashlib
from typing import Literal

import msgspec

Field = Literal["title", "subject", "preheader", "content", "text_content", "layout"]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Why an issue cannot become a mail, and where. `line` and `column` count from 1; None: of the whole field."""

    code: str
    """Stable, with hyphens: `unknown-field`, `template-syntax`, `mjml-syntax`, `nested-too-deep`, …"""
    field: Field
    detail: str
    """One or two sentences for the author, which say what to do."""
    line: int | None = None
    column: int | None = None
    variant: int | None = None
    """Of an A/B test, if it is not the issue itself."""

    @property
    def pointer(self) -> str:
        """To the field in the body of a request (RFC 6901)."""
        return pointer_to(self.field, self.variant)


def pointer_to(field: Field, variant: int | None) -> str:
    """`variant` None: the issue itself."""
    return f"/{field}" if variant is None else f"/ab_test/others/{variant - 2}/{field}"


class CompiledIssue(msgspec.Struct, frozen=True, kw_only=True):
    """The templates of one issue's mails, as delivery parses and renders them. `html_content` None: plain text only."""

    title: str
    subject: str
    preheader: str
    html_content: str | None
    text_content: str


def content_digest(compiled: CompiledIssue) -> str:
    """The same for two issues whose mails are the same, but for what differs between readers."""
    parts = (compiled.subject, compiled.html_content or "", compiled.text_content)
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


class CompileError(Exception):
    """The issue cannot become a mail. `faults` is never empty."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(fault.detail for fault in faults))
        self.faults = faults
