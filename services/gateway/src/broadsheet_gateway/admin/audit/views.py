"""What the page of the audit log shows."""

from datetime import datetime
from typing import ClassVar

import msgspec

from broadsheet_gateway.pages.views import NO_ERRORS, AdminPageView, FieldErrors


class EntryRow(msgspec.Struct, frozen=True, kw_only=True):
    """`actor` and `person` by name, as far as they have one. `before` and `after` are JSON. `is_chained`: its hash is
    that of its text, and follows from the entry before it.
    """

    number: int
    at: datetime
    action: str
    actor: str
    person: str
    source: str
    target: str
    newsletter: str
    before: str
    after: str
    hash: str
    is_chained: bool


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """As it was typed. `since` and `until` are days in the zone of the page, both included."""

    since: str = ""
    until: str = ""
    actor: str = ""
    person: str = ""
    action: str = ""
    target_kind: str = ""
    target_id: str = ""

    @property
    def is_any(self) -> bool:
        return any(msgspec.structs.astuple(self))


class AuditPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/audit`. `end`: number and hash of the newest entry, to be kept elsewhere; empty without one.
    `next_query` and `export_query`: of the next page, and of the file with all of it; with a question mark.
    """

    template: ClassVar[str] = "audit/list.html"

    entries: tuple[EntryRow, ...]
    filter: AuditFilter = AuditFilter()
    actions: tuple[str, ...] = ()
    next_query: str = ""
    export_query: str = ""
    end: str = ""
    errors: FieldErrors = NO_ERRORS

    @property
    def broken(self) -> tuple[int, ...]:
        return tuple(entry.number for entry in self.entries if not entry.is_chained)
