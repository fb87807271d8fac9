"""The search of the list: read from the page's address, and turned into the API's. Pure."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from broadsheet_common.http.problems import as_sentence
from broadsheet_gateway.admin.subscribers.views import Filters
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError

_SEARCHES: Final = ("email_prefix", "email", "name_prefix")
_STATES: Final = frozenset({"pending", "confirmed", "unsubscribed"})
_YES_OR_NO: Final = frozenset({"true", "false"})
_TEXT_CHARS_MAX: Final = 1_000
_ID_DIGITS_MAX: Final = 18


def read_filters(query: Mapping[str, str]) -> Filters:
    """Whatever the form cannot have sent counts as not given."""
    by = query.get("by", "")
    return Filters(
        q=query.get("q", "").strip()[:_TEXT_CHARS_MAX],
        by=by if by in _SEARCHES else _SEARCHES[0],
        newsletter_id=_id(query.get("newsletter_id", "")),
        state=_one_of(query.get("state", ""), _STATES),
        tag=query.get("tag", "").strip()[:_TEXT_CHARS_MAX],
        segment_id=_id(query.get("segment_id", "")),
        suppressed=_one_of(query.get("suppressed", ""), _YES_OR_NO),
    )


def api_query(filters: Filters, *, cursor: str | None) -> dict[str, str | None]:
    """Of `GET /api/v1/subscribers`; what is empty is not asked for."""
    return {
        filters.by: filters.q,
        "newsletter_id": filters.newsletter_id,
        "state": filters.state,
        "tag": filters.tag,
        "segment_id": filters.segment_id,
        "suppressed": filters.suppressed,
        "cursor": cursor,
    }


def page_query(filters: Filters, *, cursor: str | None) -> str:
    """Of our own page."""
    given = {
        "q": filters.q,
        "by": filters.by if filters.q else "",
        "newsletter_id": filters.newsletter_id,
        "state": filters.state,
        "tag": filters.tag,
        "segment_id": filters.segment_id,
        "suppressed": filters.suppressed,
        "cursor": cursor or "",
    }
    return urlencode({name: value for name, value in given.items() if value})


def faults_of(refusal: UpstreamRefusalError, filters: Filters) -> dict[str, str]:
    """By the fields of the form; a fault that belongs to none is at the search itself."""
    faults: dict[str, str] = {}
    for problem in refusal.problem.errors:
        name = problem.pointer.strip("/").partition("/")[0]
        field = "q" if name in _SEARCHES else name
        faults.setdefault(field if hasattr(filters, field) else "q", as_sentence(problem.detail))
    return faults or {"q": as_sentence(refusal.problem.detail or refusal.problem.title)}


def is_record_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _ID_DIGITS_MAX and int(text) > 0


def _id(text: str) -> str:
    return text if is_record_id(text) else ""


def _one_of(text: str, allowed: frozenset[str]) -> str:
    return text if text in allowed else ""
