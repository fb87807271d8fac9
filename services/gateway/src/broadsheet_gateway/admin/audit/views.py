"""What the page of the audit log shows."""

from datetime import datetime
from typing import ClassVar

import msgspec

from broadsheet_gateway.admin.audit.action_words import ACTION_WORDS, KIND_WORDS, label_of
from broadsheet_gateway.pages.views import NO_ERRORS, AdminPageView, FieldErrors


class EntryRow(msgspec.Struct, frozen=True, kw_only=True):
    """`actor` and `person` by name, and `actor_code` and `person_code` as the log has them; `person` empty: the same.
    `sentence`: what was done, around the target, which is empty where the sentence does not name it. `target_code`: as
    the filters take it. `before` and `after` are JSON. `is_chained`: its hash is that of its text, and follows from the
    entry before it.
    """

    number: int
    at: datetime
    action: str
    sentence: tuple[str, str]
    target: str = ""
    target_path: str = ""
    target_code: str
    actor: str
    actor_code: str
    person: str = ""
    person_code: str = ""
    source: str
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
    next_query: str = ""
    export_query: str = ""
    end: str = ""
    errors: FieldErrors = NO_ERRORS

    @property
    def action_groups(self) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
        """For the choice of actions: heading, and code and words of each."""
        return tuple(
            (
                words[0].upper() + words[1:],
                tuple((action, label_of(action)) for action in ACTION_WORDS if action.partition(".")[0] == kind),
            )
            for kind, words in KIND_WORDS.items()
        )

    @property
    def target_kinds(self) -> tuple[tuple[str, str], ...]:
        return tuple((kind, words[0].upper() + words[1:]) for kind, words in KIND_WORDS.items())

    @property
    def broken(self) -> tuple[int, ...]:
        return tuple(entry.number for entry in self.entries if not entry.is_chained)
