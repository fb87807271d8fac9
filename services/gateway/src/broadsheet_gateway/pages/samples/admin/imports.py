"""Sample data of the pages on imports and exports."""

from datetime import UTC, datetime

import msgspec

from broadsheet_gateway.admin.exports.views import ExportsPage
from broadsheet_gateway.admin.imports.import_form import typed_of
from broadsheet_gateway.admin.imports.import_views import (
    Attribute,
    CellNote,
    Counts,
    Import,
    ImportedFile,
    ImportStatus,
    Skipped,
    UndecidedColumn,
    Undo,
    column_rows,
)
from broadsheet_gateway.admin.imports.reject_views import (
    RejectedRow,
    RejectReason,
    RejectsView,
    field_name,
    reject_views,
)
from broadsheet_gateway.admin.imports.views import ImportPage, ImportsPage, NewImportPage, TypedImport
from broadsheet_gateway.admin.newsletter_facts import NewsletterFacts
from broadsheet_gateway.pages.flashes import FlashCode
from broadsheet_gateway.pages.views import PageView, SignedIn

_MAX = 1024**3
_GROUND = "They ticked the box at the spring fair of 2026, beside the name of the newsletter."
_KEY = "c2FtcGxlLXNhbXBsZQ"
_NEWSLETTERS = (
    NewsletterFacts(id=1, name="The Systems Letter"),
    NewsletterFacts(id=3, name="Harbour Notes", archived_at=datetime(2026, 1, 1, tzinfo=UTC)),
)
_ATTRIBUTES = (Attribute("city", "City"), Attribute("joined", "Joined on"))
_SURVEY = "A title that is as long as the titles of surveys are, with a question in it: how did you hear of us?"
_FILE = ImportedFile(
    format="csv", bytes=1_843_200, encoding="windows-1252", delimiter=";",
    columns=("E-Mail", "Full name", "Standing", "City", _SURVEY),
)  # fmt: skip
_MAPPING = dict.fromkeys(_FILE.columns or ()) | {
    "E-Mail": "email",
    "Full name": "name",
    "City": "attribute:city",
}
_STANDING = UndecidedColumn(
    "Standing", "Its title may say who left, and its values do not tell.", {"active": 812, "former": 44, "—": 3}
)
_FIRST_ROWS = (
    (
        "ada@example.com", "Ada Lovelace", "active", "London",
        "At the spring fair, from a friend who has read it for years, tells everybody of it and still do…",
    ),
    ("grace@example.com", "Grace Hopper", "former", "=HYPERLINK(1)", "<b>Twice</b>, & gladly"),
    ("dalia@example.com", "דליה כהן", "active", "תל אביב", ""),
    ("unbroken@example.com", "Averylongnamewithoutanyblankinitthatgoesonandonandon", "—", "", "3"),
    ("li@example.com", "李 小龙", "active", "香港", "广告"),
)  # fmt: skip
_NO_DOT = "E-Mail: The part after the @ needs a dot: no mail goes to a top-level domain."
_REJECTED = (
    RejectedRow(7, 8, _NO_DOT, "E-Mail", ("ada@example", "Ada Lovelace", "active", "London", "")),
    RejectedRow(
        12, 13, "Standing: This status is not known. It must be confirmed, pending or unsubscribed.", "Standing",
        ("grace@example.com", "Grace Hopper", "perhaps", "New York", "<b>Twice</b>"),
    ),
    RejectedRow(
        40, 52, "The row has 7 cells, the first row 5.", None,
        ("dalia@example.com", "Cohen", "Dalia", "active", "תל אביב and more"),
    ),
    RejectedRow(41, 53, "E-Mail: An e-mail address is needed.", "E-Mail", ("", "Nobody", "active", "Bern", "")),
    RejectedRow(99, 140, "A cell is too long.", None, ("x" * 2_000, "", "", "", ""), is_cut=True),
)  # fmt: skip
_REASONS = (
    RejectReason("E-Mail: An e-mail address is needed.", 20),
    RejectReason(_NO_DOT, 14),
    RejectReason("The row has 7 cells, the first row 5.", 3),
)
_COUNTS = Counts(
    rows=20_412, created=18_900, updated=412, unchanged=640, rejected=37,
    skipped=Skipped(duplicate=120, unsubscribed=290, suppressed=13),
)  # fmt: skip


def _at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


def _job(status: ImportStatus, **changes: object) -> Import:
    job = Import(
        id=12,
        newsletter_id=1,
        status=status,
        consent_basis=_GROUND,
        tags=("fair-2026", "paper"),
        mapping=_MAPPING,
        file=_FILE,
        bytes_read=_FILE.bytes,
        counts=_COUNTS,
        created_at=_at(12, 9),
        started_at=_at(12, 9),
        finished_at=_at(12, 9, 1),
    )
    return msgspec.structs.replace(job, **changes)


def import_samples(signed_in: SignedIn) -> dict[str, PageView]:
    checked = _job(
        ImportStatus.CHECKED,
        dry_run=True,
        notes=(CellNote("Joined on", "It is no date.", 14, (7, 19, 204)),),
        remarks=("The sheet “People” was read; the others were not.", "Two lines before the titles were not read."),
    )
    undecided = msgspec.structs.replace(checked, undecided_columns=(_STANDING,), notes=(), remarks=())
    running = _job(ImportStatus.RUNNING, bytes_read=770_000, finished_at=None)
    done = _job(ImportStatus.DONE)
    failed = _job(
        ImportStatus.FAILED,
        status_reason="The file is neither UTF-8 nor UTF-16, and its words are not possible in Windows-1252. Name its "
        "encoding.",
        counts=Counts(),
        file=ImportedFile(bytes=4_321, is_kept=False),
        mapping=None,
        dry_run=True,
    )
    undone = _job(
        ImportStatus.UNDONE, undo=Undo(removed=18_870, restored=412, kept={"changed_since": 0, "left_since": 30})
    )
    mapped = msgspec.structs.replace(done, mapping=_MAPPING | {"Standing": "state"})
    typed = {field_name(7, 0): "ada@example,org", field_name(7, 1): "Ada King"}

    def rejects(**changes: object) -> RejectsView:
        given = changes.pop("typed", {})
        view = RejectsView(
            rows=reject_views(mapped, _REJECTED, may_mend=bool(changes.get("may_mend", True)), typed=given),  # type: ignore[arg-type] # a sample's own
            reasons=_REASONS,
            next_cursor="sample",
            may_mend=True,
        )
        return msgspec.structs.replace(view, **changes)

    wide_file = msgspec.structs.replace(_FILE, columns=tuple(f"Column {number}" for number in range(1, 41)))
    wide = msgspec.structs.replace(checked, file=wide_file, mapping={"Column 1": "email"}, notes=(), remarks=())
    without_addresses = _job(
        ImportStatus.FAILED,
        status_reason="No column holds e-mail addresses. Columns found: “E-Mail”, “Full name”.",
        counts=Counts(),
        mapping=_MAPPING | {"E-Mail": None},
        dry_run=True,
    )
    page = ImportPage(
        signed_in=signed_in,
        job=checked,
        newsletter_name="The Systems Letter",
        columns=column_rows(checked, _ATTRIBUTES),
        first_rows=_FIRST_ROWS,
        rejects=rejects(),
        typed=typed_of(checked),
        idempotency_key=_KEY,
    )

    def of(job: Import, **changes: object) -> ImportPage:
        if "rejects" not in changes:
            changes["rejects"] = rejects() if job.counts.rejected and not job.status.is_moving else None
        return msgspec.structs.replace(page, job=job, columns=column_rows(job, _ATTRIBUTES), **changes)

    return {
        "imports": ImportsPage(
            signed_in=signed_in,
            flashes=(FlashCode.IMPORT_CANCELLED,),
            imports=(
                msgspec.structs.replace(running, id=15),
                msgspec.structs.replace(undecided, id=14, newsletter_id=7),
                msgspec.structs.replace(failed, id=13),
                done,
                msgspec.structs.replace(undone, id=11),
            ),
            names={1: "The Systems Letter"},
            next_cursor="sample",
        ),
        "imports-none": ImportsPage(signed_in=signed_in, imports=(), names={}),
        "imports-unavailable": ImportsPage(signed_in=signed_in, imports=None, names={}),
        "import-new": NewImportPage(
            signed_in=signed_in, newsletters=_NEWSLETTERS, idempotency_key=_KEY, max_bytes=_MAX
        ),
        "import-new-alone": NewImportPage(signed_in=signed_in, newsletters=(), idempotency_key=_KEY, max_bytes=_MAX),
        "import-new-errors": NewImportPage(
            signed_in=signed_in,
            newsletters=_NEWSLETTERS,
            typed=TypedImport(newsletter="3", tags="fair, paper", existing="skip", charset="koi8-r"),
            idempotency_key=_KEY,
            max_bytes=_MAX,
            errors={"file": "Choose a file.", "consent_basis": "Say why these people may be written to."},
        ),
        "import-new-refused": NewImportPage(
            signed_in=signed_in,
            newsletters=_NEWSLETTERS,
            typed=TypedImport(consent_basis=_GROUND, state="confirmed"),
            idempotency_key=_KEY,
            max_bytes=_MAX,
            form_error="A service that this needs does not answer.",
        ),
        "import-checked": page,
        "import-undecided": of(undecided),
        "import-undecided-errors": of(undecided, errors={"column_3": "Choose what this column says."}),
        "import-start-errors": msgspec.structs.replace(
            page, error_in="start", errors={"sure": "Tick the box to start."}
        ),
        "import-start-unsent": msgspec.structs.replace(
            page,
            rejects=rejects(typed=typed),
            error_in="start",
            form_error="Nothing was started: a row that you corrected was not sent yet. It is still here.",
        ),
        "import-running": of(running),
        "import-uploading": of(
            _job(
                ImportStatus.UPLOADING,
                file=ImportedFile(),
                counts=Counts(),
                mapping=None,
                finished_at=None,
                bytes_read=0,
            )
        ),
        "import-queued": of(_job(ImportStatus.QUEUED, counts=Counts(), finished_at=None, bytes_read=0)),
        "import-done": of(done),
        "import-undo-errors": of(done, error_in="undo", errors={"sure": "Tick the box to undo the import."}),
        "import-failed": of(failed),
        "import-no-addresses": of(without_addresses),
        "import-wide": of(wide, first_rows=(tuple(f"cell {number}" for number in range(1, 41)),), rejects=None),
        "import-without-first-rows": of(checked, first_rows=None),
        "import-mend-errors": of(
            mapped,
            rejects=rejects(typed=typed),
            error_in="mend",
            errors={field_name(7, 0): "The part after the @-sign contains invalid characters: ','."},
        ),
        "import-mend-refused": of(
            mapped,
            rejects=rejects(cursor="sample", reason=_NO_DOT),
            error_in="mend",
            form_error="A service that this needs does not answer.",
        ),
        "import-rejects-unavailable": of(done, rejects=RejectsView(rows=None)),
        "import-rejects-gone": of(done, rejects=RejectsView(rows=())),
        "import-rejects-too-wide": of(done, rejects=rejects(may_mend=False)),
        "import-cancelled": of(_job(ImportStatus.CANCELLED)),
        "import-undone": of(undone),
        "import-stop-refused": of(done, error_in="stop", form_error="The import is done."),
        "import-reader": of(checked, may_write=False, rejects=rejects(may_mend=False)),
        "exports": ExportsPage(signed_in=signed_in, newsletters=_NEWSLETTERS),
        "exports-alone": ExportsPage(signed_in=signed_in, newsletters=()),
        "exports-to-confirm": ExportsPage(signed_in=signed_in, newsletters=(), is_recent=False),
        "exports-errors": ExportsPage(
            signed_in=signed_in,
            newsletters=_NEWSLETTERS,
            format="jsonl",
            errors={"newsletter": "Choose one of the list."},
        ),
    }
