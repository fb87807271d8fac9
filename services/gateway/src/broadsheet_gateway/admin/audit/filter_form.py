"""What the form of the audit log asks for; pure."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from urllib.parse import urlencode

import msgspec

from broadsheet_common.contracts.audit import AUDIT_ACTIONS
from broadsheet_gateway.admin.audit.action_words import KIND_WORDS
from broadsheet_gateway.admin.audit.views import AuditFilter
from broadsheet_gateway.audit.interface import Wanted
from broadsheet_gateway.pages.times import find_zone

WORD_CHARS_MAX: Final = 100


def read_filter(query: Mapping[str, str]) -> AuditFilter:
    names = AuditFilter.__struct_fields__
    return AuditFilter(**{name: query.get(name, "").strip()[:WORD_CHARS_MAX] for name in names})


def wanted_of(given: AuditFilter, zone: str) -> tuple[Wanted, dict[str, str]]:
    """What to ask for, and what is wrong with the form, by field: that part is left out. Days are those of the zone."""
    errors: dict[str, str] = {}
    if given.action and given.action not in AUDIT_ACTIONS:
        errors["action"] = "There is no such action."
    if given.target_kind and given.target_kind not in KIND_WORDS:
        errors["target_kind"] = "There is no such kind."
    wanted = Wanted(
        since=_start_of(given.since, zone, "since", errors),
        until=_start_of(given.until, zone, "until", errors, days_later=1),
        actor=given.actor or None,
        person=given.person or None,
        action=None if "action" in errors else given.action or None,
        target_kind=None if "target_kind" in errors else given.target_kind or None,
        target_id=given.target_id or None,
    )
    return wanted, errors


def _start_of(day: str, zone: str, name: str, errors: dict[str, str], *, days_later: int = 0) -> datetime | None:
    if not day:
        return None
    try:
        first = date.fromisoformat(day) + timedelta(days=days_later)
        return datetime.combine(first, time.min, find_zone(zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        errors[name] = "This is not a date. Write it as in 2027-01-31."
        return None


def export_query(wanted: Wanted) -> str:
    """Of the API's file with the same entries; empty for all of them."""
    given = {
        name: value.isoformat() if isinstance(value, datetime) else str(value)
        for name, value in msgspec.structs.asdict(wanted).items()
        if value is not None
    }
    return f"?{urlencode(given)}" if given else ""


def page_query(given: AuditFilter, cursor: str) -> str:
    query = {name: value for name, value in msgspec.structs.asdict(given).items() if value} | {"cursor": cursor}
    return f"?{urlencode(query)}"
