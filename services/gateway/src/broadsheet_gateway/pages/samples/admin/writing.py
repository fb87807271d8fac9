"""Sample data of the pages for writing an issue and for sending it."""

from datetime import UTC, datetime

import msgspec

from broadsheet_gateway.admin.editor.compare_texts import compare
from broadsheet_gateway.admin.editor.draft import Fault, TypedDraft, TypedVersion
from broadsheet_gateway.admin.editor.views import (
    ChangedBlock,
    ChangedLine,
    ChecksPage,
    Choice,
    Conflict,
    EditorPage,
    FieldChange,
    FieldConflict,
    Finding,
    FindingData,
    KeptDraftPage,
    PreviewChoice,
    PreviewPage,
    RevisionPage,
    RevisionRow,
    RevisionsPage,
    Saved,
)
from broadsheet_gateway.admin.issue.issue_views import IssueCounts, IssueStatus
from broadsheet_gateway.admin.issues.views import DeleteDraftPage, IssueFilter, IssuesPage, ListedIssue
from broadsheet_gateway.admin.newsletter_facts import NewsletterFacts
from broadsheet_gateway.admin.subscriber_names import NamedSubscriber
from broadsheet_gateway.pages.flashes import FlashCode
from broadsheet_gateway.pages.views import PageView, SignedIn


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


LETTER = NewsletterFacts(
    id=1,
    name="The Systems Letter",
    slug="systems",
    is_default=True,
    time_zone="Europe/Paris",
    from_name="The Systems Letter",
    from_email="letter@example.com",
)
_GARDENS = NewsletterFacts(id=2, name="Gardens in winter", slug="gardens")
_CONTENT = """# Queues that account for everybody

Dear {{ subscriber.name | default: "reader" }},

a delivery is one issue to one subscriber. It is **pending**, then in a call, then settled:

- accepted by the mail provider,
- refused, with the reason,
- or uncertain, until somebody has asked.

[Read the rest](https://example.com/queues){.button}
"""
TYPED = TypedDraft(
    title="Queues that account for everybody",
    preheader="What a lease may assume, and what it may not",
    content=_CONTENT,
)
_SAVED = Saved(version=7, at=at(12, 9, 31), by="admin", by_oneself=True)
NUMBER = 15
_FIRST_TITLED, _RESTORED = 2, 6
_FAULTS = (
    Fault(
        code="unknown-field",
        field="content",
        detail="There is no merge field subscriber.nmae. Did you mean subscriber.name?",
        line=3,
        column=6,
    ),
    Fault(code="missing", field="subject", detail="The subject is empty for some readers."),
)
FINDINGS = (
    Finding(
        code="link-relative",
        severity="blocks",
        detail="The link /queues leads nowhere in a mail.",
        advice="Write the whole address, with https://.",
        field="content",
        line=11,
        column=1,
    ),
    Finding(
        code="image-without-alt",
        severity="warns",
        detail="An image has no alternative text.",
        advice="Describe it between the brackets: ![A quiet harbour](https://…).",
        field="content",
        line=14,
        column=3,
    ),
    Finding(
        code="client-support",
        severity="notes",
        detail="position is dropped by mail programs of about 66% of readers. It comes from the layout, not from your "
        "text.",
        advice="In the layout: see that the mail is fine without it. https://www.caniemail.com/features/css-position/",
        field="layout",
        data=FindingData(layout_id=2),
    ),
    Finding(code="reading-time", severity="notes", detail="312 words, about 2 minutes."),
)


def writing_samples(signed_in: SignedIn) -> dict[str, PageView]:
    return {
        **_editor(signed_in),
        **_kept(signed_in),
        **_preview(signed_in),
        **_revisions(signed_in),
        **_list(signed_in),
    }


def _editor(signed_in: SignedIn) -> dict[str, PageView]:
    editor = EditorPage(
        signed_in=signed_in,
        issue_id=NUMBER,
        etag='"0123"',
        status=IssueStatus.DRAFT,
        newsletter=LETTER,
        typed=TYPED,
        saved=_SAVED,
        layouts=(Choice("1", "Plain"), Choice("2", "Two columns")),
        segments=(Choice("4", "Members in London"),),
        attributes=(Choice("city", "City"),),
        may_choose_reader=True,
        samples=_READERS[:2],
    )
    theirs = _CONTENT.replace("uncertain, until somebody has asked", "uncertain")
    return {
        "editor": editor,
        "editor-new": msgspec.structs.replace(
            editor, typed=TypedDraft(), saved=Saved(version=1, at=at(13, 8), by="admin", by_oneself=True), layouts=()
        ),
        "editor-faults": msgspec.structs.replace(editor, faults=_FAULTS, flashes=(FlashCode.DRAFT_SAVED,)),
        "editor-mjml": msgspec.structs.replace(
            editor,
            typed=msgspec.structs.replace(
                TYPED,
                format="mjml",
                content="<mjml>\n  <mj-body>\n    <mj-text>Hello</mj-texd>\n  </mj-body>\n</mjml>\n",
            ),
            faults=(Fault(code="mjml-syntax", field="content", detail="mj-text is not closed.", line=3, column=21),),
        ),
        "editor-refused": msgspec.structs.replace(
            editor,
            typed=msgspec.structs.replace(
                TYPED,
                slug="Not A Slug",
                ab_on="on",
                ab_wait_minutes="soon",
                ab_others=(TypedVersion(subject="Queues, honestly"), TypedVersion(), TypedVersion()),
            ),
            errors={
                "slug": "A slug is 1 to 100 of a-z, 0-9 and -, and does not begin with -.",
                "ab_wait_minutes": "A whole number is needed.",
            },
            layouts=None,
            segments=None,
            newsletter=None,
        ),
        "editor-conflict": msgspec.structs.replace(
            editor,
            saved=Saved(version=8, at=at(12, 9, 40), by="grace", by_oneself=False),
            conflict=Conflict(
                fields=(
                    FieldConflict("title", "Title", compare(TYPED.title, "Queues for everybody")),
                    FieldConflict("content", "Content", compare(_CONTENT, theirs)),
                )
            ),
        ),
        "editor-others-write": msgspec.structs.replace(
            editor, saved=Saved(version=8, at=at(12, 9, 40), by="grace", by_oneself=False), others_write_now=True
        ),
        "delete-draft": DeleteDraftPage(signed_in=signed_in, issue_id=NUMBER, title=TYPED.title, versions=7),
    }


def _kept(signed_in: SignedIn) -> dict[str, PageView]:
    kept = KeptDraftPage(reason="signed-out", issue_id=NUMBER, etag='"0123"', typed=TYPED)
    return {
        "kept-signed-out": kept,
        "kept-unavailable": msgspec.structs.replace(
            kept, reason="unavailable", signed_in=signed_in, detail="The service is temporarily unavailable; try again."
        ),
        "kept-gone": msgspec.structs.replace(kept, reason="gone", signed_in=signed_in),
        "kept-no-draft": msgspec.structs.replace(
            kept, reason="no-draft", signed_in=signed_in, detail="The issue is published already."
        ),
    }


_READERS = (
    NamedSubscriber(41, "ada@example.com", "Ada Lovelace"),
    NamedSubscriber(42, "ada.with.a.rather.long.address@department.university.example", "Ada"),
    NamedSubscriber(43, "adam@example.com"),
)


def _preview(signed_in: SignedIn) -> dict[str, PageView]:
    preview = PreviewPage(
        signed_in=signed_in,
        issue_id=NUMBER,
        title=TYPED.title,
        chosen=PreviewChoice(),
        subject=TYPED.title,
        preheader=TYPED.preheader,
        sender="The Systems Letter <letter@example.com>",
        to="Ada Lovelace <ada@example.com>",
        text="Queues that account for everybody\n\nDear Ada, …",
        html_bytes=18_204,
        frame_path=f"/admin/issues/{NUMBER}/preview/frame?scheme=light",
        variants=2,
        may_choose_reader=True,
        samples=_READERS[:2],
    )
    return {
        "preview": preview,
        "preview-as-made-up": msgspec.structs.replace(preview, may_choose_reader=False, samples=()),
        "preview-several-readers": msgspec.structs.replace(
            preview,
            chosen=PreviewChoice(reader="ada"),
            reader_error="3 people fit. Choose one, or type more.",
            candidates=_READERS,
        ),
        "preview-no-reader": msgspec.structs.replace(
            preview,
            chosen=PreviewChoice(reader="nobody@example.com"),
            reader_error="Nobody on this newsletter has this address, name or number.",
        ),
        "preview-text": msgspec.structs.replace(preview, chosen=PreviewChoice(part="text", scheme="dark")),
        "preview-refused": msgspec.structs.replace(
            preview, faults=_FAULTS, refusal="The issue cannot be made into a mail."
        ),
    }


def _revisions(signed_in: SignedIn) -> dict[str, PageView]:
    rows = tuple(
        RevisionRow(
            version=version,
            title=TYPED.title if version > _FIRST_TITLED else "",
            format="markdown",
            size_bytes=400 * version,
            saved_at=at(12, 9, version),
            saved_by="admin",
            restored_from=_FIRST_TITLED if version == _RESTORED else None,
        )
        for version in range(7, 0, -1)
    )
    revision = RevisionPage(
        signed_in=signed_in,
        newsletter_id=1,
        issue_id=NUMBER,
        title=TYPED.title,
        version=5,
        other_version=7,
        current_version=7,
        saved_at=at(12, 9, 5),
        saved_by="grace",
        changes=(
            FieldChange("title", before="Queues", after=TYPED.title),
            FieldChange(
                "content",
                blocks=(
                    ChangedBlock(
                        3,
                        3,
                        (
                            ChangedLine("same", "Dear reader,"),
                            ChangedLine("removed", "a delivery is a mail."),
                            ChangedLine("added", "a delivery is one issue to one subscriber."),
                        ),
                    ),
                ),
            ),
        ),
        may_restore=True,
        etag='"0123"',
    )
    return {
        "revisions": RevisionsPage(
            signed_in=signed_in,
            newsletter_id=1,
            issue_id=NUMBER,
            title=TYPED.title,
            is_draft=True,
            current_version=7,
            revisions=rows,
            next_cursor="older",
        ),
        "revision": revision,
        "revision-stale": msgspec.structs.replace(
            revision, form_error="The draft was saved meanwhile, so nothing was changed."
        ),
        "revision-now": msgspec.structs.replace(revision, version=7, other_version=7, changes=(), may_restore=False),
        "checks": ChecksPage(
            signed_in=signed_in,
            issue_id=NUMBER,
            title=TYPED.title,
            is_draft=True,
            is_blocked=True,
            findings=FINDINGS,
        ),
        "checks-clean": ChecksPage(
            signed_in=signed_in,
            issue_id=NUMBER,
            title=TYPED.title,
            is_draft=True,
            is_blocked=False,
            findings=(),
            with_links=True,
        ),
    }


def _list(signed_in: SignedIn) -> dict[str, PageView]:
    draft = ListedIssue(
        id=NUMBER,
        newsletter_id=1,
        title=TYPED.title,
        status=IssueStatus.DRAFT,
        counts=IssueCounts(),
        created_at=at(12, 8),
    )
    sent = msgspec.structs.replace(
        draft,
        id=14,
        newsletter_id=2,
        title="Exactly once is a promise about records",
        status=IssueStatus.SENT,
        counts=IssueCounts(audience=19_611, accepted=19_488, failed=123),
        published_at=at(1, 9),
    )
    issues = IssuesPage(
        signed_in=signed_in,
        issues=(msgspec.structs.replace(draft, id=16, title=""), draft, sent),
        newsletters=(LETTER, _GARDENS),
        idempotency_key="sample-key",
        next_path="/admin/issues?cursor=older",
    )
    return {
        "issues": issues,
        "issues-none": msgspec.structs.replace(issues, issues=(), newsletters=(LETTER,), next_path=""),
        "issues-not-found": msgspec.structs.replace(
            issues, issues=(), chosen=IssueFilter(search="harbour", status="sent"), next_path=""
        ),
        "issues-unknown": msgspec.structs.replace(issues, issues=None, newsletters=(), next_path=""),
        "issues-refused": msgspec.structs.replace(issues, form_error="The newsletter is archived."),
    }
