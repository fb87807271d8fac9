"""What the pages on imports show."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import msgspec

from broadsheet_gateway.admin.imports.import_views import ColumnRow, ExistingPolicy, GivenState, Import
from broadsheet_gateway.admin.imports.reject_views import RejectsView
from broadsheet_gateway.admin.newsletter_facts import NewsletterFacts
from broadsheet_gateway.pages.views import NO_ERRORS, AdminPageView, FieldErrors

CHARSETS: tuple[tuple[str, str], ...] = (
    ("", "Find out"),
    ("utf-8", "UTF-8"),
    ("windows-1252", "Western (Windows-1252)"),
    ("iso-8859-15", "Western with euro sign (ISO 8859-15)"),
    ("mac-roman", "Western (Mac)"),
    ("windows-1250", "Central European (Windows-1250)"),
    ("iso-8859-2", "Central European (ISO 8859-2)"),
    ("windows-1251", "Cyrillic (Windows-1251)"),
    ("koi8-r", "Cyrillic (KOI8-R)"),
    ("windows-1253", "Greek (Windows-1253)"),
    ("windows-1254", "Turkish (Windows-1254)"),
    ("windows-1255", "Hebrew (Windows-1255)"),
    ("windows-1256", "Arabic (Windows-1256)"),
    ("windows-1257", "Baltic (Windows-1257)"),
    ("windows-1258", "Vietnamese (Windows-1258)"),
    ("shift_jis", "Japanese (Shift JIS)"),
    ("euc-kr", "Korean (EUC-KR)"),
    ("gb18030", "Chinese (GB 18030)"),
    ("big5", "Chinese (Big5)"),
)
"""The text encodings that a file may be declared to have, as the API names them; empty: none is declared."""


class ImportsPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/imports`. `imports` None: the service does not answer. `names`: those of newsletters, by id."""

    template: ClassVar[str] = "imports/imports.html"

    imports: tuple[Import, ...] | None
    names: Mapping[int, str]
    next_cursor: str | None = None
    is_first_page: bool = True
    may_write: bool = True


class TypedImport(msgspec.Struct, frozen=True):
    """What a form says about the people of a file. `tags`: separated by commas."""

    consent_basis: str = ""
    newsletter: str = ""
    state: GivenState = "pending"
    existing: ExistingPolicy = "fill"
    tags: str = ""
    charset: str = ""


class NewImportPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/imports/new`, and its POST answered with faults.

    Fields of `errors`: file, consent_basis, newsletter, tags. `max_bytes`: the largest file that the gateway takes.
    """

    template: ClassVar[str] = "imports/new_import.html"
    charsets: ClassVar[tuple[tuple[str, str], ...]] = CHARSETS

    newsletters: tuple[NewsletterFacts, ...]
    typed: TypedImport = TypedImport()
    idempotency_key: str
    max_bytes: int
    errors: FieldErrors = NO_ERRORS
    form_error: str = ""


Step = Literal["columns", "start", "undo", "stop", "mend"]


class ImportPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/imports/{id}`, and its forms answered with faults.

    Fields of `errors`: column_1 and so on, consent_basis, tags, sure; cell_7_0 and so on for the first column of row 7.
    `error_in` says which form they belong to. `columns` are those of the form, and `first_rows` the file's, a cell for
    each; None: they could not be asked. `attributes_known` False: their labels could not be asked. `rejects` None: the
    page has none.
    """

    template: ClassVar[str] = "imports/import.html"

    job: Import
    newsletter_name: str
    columns: tuple[ColumnRow, ...] = ()
    first_rows: tuple[tuple[str, ...], ...] | None = ()
    rejects: RejectsView | None = None
    typed: TypedImport = TypedImport()
    attributes_known: bool = True
    may_write: bool = True
    idempotency_key: str
    error_in: Step = "columns"
    errors: FieldErrors = NO_ERRORS
    form_error: str = ""
