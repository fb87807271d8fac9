"""What the checks look at: the issue, its mails as they will look, and facts about its newsletter; pure."""

from typing import Literal

import msgspec

from broadsheet_publishing.compiling.compiled_issue import CompiledIssue, Fault
from broadsheet_publishing.compiling.issue_source import Direction, IssueSource


class Unknown(msgspec.Struct, frozen=True, tag=True):
    """A fact that could not be learned, and why: a sentence. The check that needs it says that it did not run."""

    why: str


class SenderFact(msgspec.Struct, frozen=True, tag=True):
    """Whether Postmark accepts mail from the newsletter's sender. `detail`: what Postmark said, or how it is known."""

    confirmed: bool
    detail: str = ""


class StreamFact(msgspec.Struct, frozen=True, tag=True):
    """Why the newsletter's stream does not fit it; None: it fits."""

    mismatch: str | None


class RecentIssue(msgspec.Struct, frozen=True, tag=True):
    """An issue of the same newsletter that was sent in the last 24 hours. `digest`: see `sent_before`."""

    issue_id: int
    title: str
    digest: str


class RecentIssues(msgspec.Struct, frozen=True, tag=True):
    issues: tuple[RecentIssue, ...] = ()


class MissingValues(msgspec.Struct, frozen=True, tag=True):
    """For each merge field, such as `subscriber.name`: the share (0 to 1) of the audience that has no value for it.

    A field that is not listed has a value for everybody.
    """

    shares: dict[str, float] = {}


class NewsletterFacts(msgspec.Struct, frozen=True, kw_only=True):
    """`sender` None: neither the newsletter nor the service has one. `public_url`: links below it are our own."""

    name: str
    postal_address: str
    sender: str | None
    language: str = "en"
    direction: Direction = "ltr"
    tracks_links: bool = False
    has_archive: bool = False
    unsubscribe_handling: Literal["custom", "postmark"] = "custom"
    public_url: str = ""


class RenderedMail(msgspec.Struct, frozen=True, kw_only=True):
    """One mail as delivery makes it, footer included. `html` None: plain text only.

    `shows_link`, `shows_address`: what HTML or, without it, the text shows *before* delivery adds a footer; the
    `final_…` ones are of the mail itself.
    """

    subject: str
    html: str | None
    text: str
    shows_link: bool
    shows_address: bool
    final_shows_link: bool
    final_shows_address: bool
    unsubscribe_url: str


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """`sample`: of the sample person. `html_bytes_max`, `text_bytes_max`: UTF-8, of the longest of several people."""

    sample: RenderedMail
    html_bytes_max: int
    text_bytes_max: int


class RenderingFault(msgspec.Struct, frozen=True):
    """No mail can be made of the templates: a sentence."""

    why: str


class CheckedIssue(msgspec.Struct, frozen=True, kw_only=True):
    """`compiled` None: it could not be compiled, and `faults` says why. `rendered` None: there is nothing to render.
    `layout_id` None: Markdown stands in the layout that ships.
    """

    source: IssueSource
    layout_id: int | None = None
    compiled: CompiledIssue | None
    newsletter: NewsletterFacts
    rendered: Rendered | RenderingFault | None = None
    faults: tuple[Fault, ...] = ()
    sender: SenderFact | Unknown
    stream: StreamFact | Unknown
    recent: RecentIssues | Unknown
    missing_values: MissingValues | Unknown
