"""What the pages of the editor show."""

from datetime import datetime
from typing import ClassVar, Literal

import msgspec

from broadsheet_gateway.admin.editor.compare_texts import ComparedLine
from broadsheet_gateway.admin.editor.draft import FORMATS, Fault, Field, Format, TypedDraft, TypedVersion, fields_of
from broadsheet_gateway.admin.issue.issue_views import IssueStatus
from broadsheet_gateway.admin.newsletter_facts import NewsletterFacts
from broadsheet_gateway.admin.subscriber_names import NamedSubscriber
from broadsheet_gateway.pages.views import NO_ERRORS, AdminPageView, FieldErrors, PageView

KeptReason = Literal["signed-out", "forbidden", "unavailable", "no-draft", "gone"]


class Choice(msgspec.Struct, frozen=True):
    """An option of a list; `value` is what the form sends."""

    value: str
    text: str


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """The last save: who, when, and as which version. `by_oneself`: the user of this page."""

    version: int
    at: datetime
    by: str
    by_oneself: bool


class FieldConflict(msgspec.Struct, frozen=True):
    """A field in which what was typed differs from what somebody else saved."""

    name: str
    text: str
    lines: tuple[ComparedLine, ...]


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody saved the draft while it was being written here. Nothing is lost: what was typed is in the form, theirs
    is a revision.
    """

    fields: tuple[FieldConflict, ...]


FIELD_TEXTS = {
    "title": "Title",
    "subject": "Subject",
    "preheader": "Preheader",
    "format": "Format",
    "content": "Content",
    "text_content": "Plain text",
    "layout_id": "Layout",
    "segment_id": "Who gets it",
    "slug": "Address on the web",
    "in_archive": "In the archive",
    "ab_on": "A/B test",
    "ab_share_percent": "Share of the audience",
    "ab_decide_by": "What decides",
    "ab_wait_minutes": "Minutes to wait",
    "ab_sample_min": "People of each version at least",
    **{
        f"ab_{field}_{number}": f"{text} of version {number}"
        for number in (2, 3, 4)
        for field, text in (("subject", "Subject"), ("preheader", "Preheader"), ("content", "Content"))
    },
}
"""The form's fields in their order, with their labels."""

MERGE_FIELDS = (
    ("{{ subscriber.name }}", "The reader's name"),
    ('{{ subscriber.name | default: "reader" }}', "The reader's name, or another word"),
    ("{{ subscriber.email }}", "The reader's address"),
    ("{{ newsletter.name }}", "The newsletter's name"),
    ("{{ issue.title }}", "The issue's title"),
    ("{{ issue.published_on }}", "The day it was published"),
    ("{{ web_url }}", "The issue on the web"),
    ("{{ preferences_url }}", "The reader's preferences"),
    ("{{ unsubscribe_url }}", "The link to unsubscribe"),
)
"""What the menu of merge fields offers; docs/merge-fields.md has all."""


_WORDS_OF_LIQUID = frozenset({"and", "blank", "contains", "empty", "false", "in", "nil", "not", "null", "or", "true"})


def _attribute_field(name: str) -> str:
    """An attribute's name may be a word of the language, which stands for itself in quotation marks only."""
    place = f'["{name}"]' if name in _WORDS_OF_LIQUID else f".{name}"
    return f"{{{{ subscriber.attributes{place} }}}}"


class EditorPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/issues/{id}/edit`, and the form answered with faults or a conflict.

    `etag`: of the version that the form was filled from. `faults`: why what is saved cannot be sent yet; only of a
    form that holds what is saved. `errors`: by field, what could not be saved. `others_write_now`: somebody else saved
    the draft a moment ago. `attributes`: those of the installation, by label; none for who may not read them.
    `may_choose_reader`, `samples`: as in `PreviewPage`.
    """

    template: ClassVar[str] = "editor/edit.html"

    issue_id: int
    etag: str
    status: IssueStatus
    newsletter: NewsletterFacts | None
    typed: TypedDraft
    saved: Saved
    layouts: tuple[Choice, ...] | None = ()
    segments: tuple[Choice, ...] | None = ()
    faults: tuple[Fault, ...] = ()
    errors: FieldErrors = NO_ERRORS
    form_error: str = ""
    conflict: Conflict | None = None
    may_preview: bool = True
    may_choose_reader: bool = False
    samples: tuple[NamedSubscriber, ...] = ()
    attributes: tuple[Choice, ...] = ()
    others_write_now: bool = False

    @property
    def formats(self) -> tuple[Choice, ...]:
        return tuple(Choice(value, text) for value, text in FORMATS.items())

    @property
    def labels(self) -> tuple[tuple[str, str], ...]:
        return tuple(FIELD_TEXTS.items())

    @property
    def merge_fields(self) -> tuple[Choice, ...]:
        of_readers = (Choice(_attribute_field(one.value), one.text) for one in self.attributes)
        return (*(Choice(value, text) for value, text in MERGE_FIELDS), *of_readers)

    @property
    def other_versions(self) -> tuple[tuple[int, TypedVersion], ...]:
        return tuple(enumerate(self.typed.ab_others, 2))

    @property
    def sender(self) -> str:
        if self.newsletter is None:
            return ""
        return self.newsletter.from_name or self.newsletter.name


class KeptDraftPage(PageView, frozen=True, kw_only=True):
    """A draft that could not be saved, and has no editor to go back to: the session has ended, a service does not
    answer, or the issue is no draft any more. All that was typed is in the page; where it can be saved later, a form
    sends it again. `detail`: what the service said.
    """

    template: ClassVar[str] = "editor/kept.html"

    reason: KeptReason
    issue_id: int
    etag: str
    typed: TypedDraft
    detail: str = ""

    @property
    def may_try_again(self) -> bool:
        return self.reason in {"signed-out", "forbidden", "unavailable"}

    @property
    def written(self) -> tuple[tuple[str, str], ...]:
        """The texts, to be read and copied, with their labels."""
        texts = ((name, text) for name, text in fields_of(self.typed) if name in _TEXTS)
        return tuple((FIELD_TEXTS[name], text) for name, text in texts if text)

    @property
    def sent_again(self) -> tuple[tuple[str, str], ...]:
        """Every field of the form."""
        return fields_of(self.typed)


_TEXTS = {"title", "subject", "preheader", "content", "text_content"} | {
    f"ab_{field}_{number}" for number in (2, 3, 4) for field in ("subject", "preheader", "content")
}


class PreviewChoice(msgspec.Struct, frozen=True, kw_only=True):
    """As which reader, and how. `reader`: an address, a name or a number as it was typed; empty: a person made up."""

    reader: str = ""
    part: Literal["html", "text"] = "html"
    scheme: Literal["light", "dark"] = "light"
    width: Literal["desktop", "phone"] = "desktop"
    variant: int = 1


class PreviewPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/issues/{id}/preview`: the mail as a reader gets it. `frame_path`: its HTML, in a frame of its own.
    `subject` empty and `refusal` set: it cannot be made into a mail as it is.

    `may_choose_reader`: may see it as a subscriber. `samples`: some, to be offered. `reader_error`: why what was typed
    is no reader; `candidates`: who may have been meant.
    """

    template: ClassVar[str] = "editor/preview.html"

    issue_id: int
    title: str
    chosen: PreviewChoice
    is_draft: bool = True
    subject: str = ""
    preheader: str = ""
    sender: str = ""
    to: str = ""
    text: str = ""
    html_bytes: int = 0
    has_html: bool = True
    frame_path: str = ""
    variants: int = 1
    faults: tuple[Fault, ...] = ()
    refusal: str = ""
    may_choose_reader: bool = False
    samples: tuple[NamedSubscriber, ...] = ()
    reader_error: str = ""
    candidates: tuple[NamedSubscriber, ...] = ()


class RevisionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One save. `size_bytes` of its texts."""

    version: int
    title: str
    format: Format
    size_bytes: int
    saved_at: datetime
    saved_by: str
    restored_from: int | None = None


class RevisionsPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/issues/{id}/revisions`, the newest first."""

    template: ClassVar[str] = "editor/revisions.html"

    issue_id: int
    newsletter_id: int
    title: str
    is_draft: bool
    current_version: int
    revisions: tuple[RevisionRow, ...]
    next_cursor: str | None = None


class ChangedLine(msgspec.Struct, frozen=True):
    kind: Literal["same", "removed", "added"]
    text: str


class ChangedBlock(msgspec.Struct, frozen=True):
    before_line: int
    after_line: int
    lines: tuple[ChangedLine, ...]


class FieldChange(msgspec.Struct, frozen=True):
    """The API's: a field that differs. Long texts have `blocks`."""

    field: str
    before: str | int | None = None
    after: str | int | None = None
    blocks: tuple[ChangedBlock, ...] = ()

    @property
    def label(self) -> str:
        return "A/B test" if self.field == "ab_test" else FIELD_TEXTS.get(self.field, self.field)


class RevisionPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/issues/{id}/revisions/{version}`: what changed from it to another one. `may_restore`: the issue is a
    draft, and this is not its present version. `etag`: of the draft.
    """

    template: ClassVar[str] = "editor/revision.html"

    issue_id: int
    newsletter_id: int
    title: str
    version: int
    other_version: int
    current_version: int
    saved_at: datetime
    saved_by: str
    changes: tuple[FieldChange, ...]
    may_restore: bool = False
    etag: str = ""
    form_error: str = ""


class FindingData(msgspec.Struct, frozen=True):
    """The part of it that pages show. `layout_id`: what is found stands in this layout."""

    layout_id: int | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The API's: one thing to mend or to know."""

    code: str
    severity: Literal["blocks", "warns", "notes"]
    detail: str
    advice: str = ""
    field: Field | None = None
    line: int | None = None
    column: int | None = None
    variant: int | None = None
    data: FindingData = FindingData()

    @property
    def layout_id(self) -> int | None:
        return self.data.layout_id


class ChecksPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/issues/{id}/checks`. `with_links`: the sites that it links to were asked too."""

    template: ClassVar[str] = "editor/checks.html"

    issue_id: int
    title: str
    is_draft: bool
    is_blocked: bool
    findings: tuple[Finding, ...]
    with_links: bool = False

    def of(self, severity: str) -> tuple[Finding, ...]:
        return tuple(one for one in self.findings if one.severity == severity)
