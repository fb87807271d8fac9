"""The form that makes a key; pure."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final

import msgspec

from broadsheet_common.http.problems import FieldProblem, InvalidInputError, as_sentence
from broadsheet_gateway.api_keys.api import NAME_CHARS_MAX, NEWSLETTERS_MAX
from broadsheet_gateway.http.forms import Form
from broadsheet_gateway.pages.times import find_zone

FIELDS_MAX: Final = 400
"""One for each scope and each newsletter that is offered."""
_SCOPE: Final = "scope_"
_NEWSLETTER: Final = "newsletter_"
_NAMES: Final[Mapping[str, str]] = {"expires_at": "expires_on"}


class TypedKey(msgspec.Struct, frozen=True):
    """As it was typed. `newsletters` empty: all of them."""

    name: str = ""
    expires_on: str = ""
    ticked: frozenset[str] = frozenset()
    chosen: frozenset[int] = frozenset()

    @property
    def newsletter_ids(self) -> list[int] | None:
        return sorted(self.chosen) or None


def read_key_form(form: Form) -> TypedKey:
    ticked = {name.removeprefix(_SCOPE) for name in form.fields if name.startswith(_SCOPE)}
    numbers = (name.removeprefix(_NEWSLETTER) for name in form.fields if name.startswith(_NEWSLETTER))
    return TypedKey(
        name=form.text("name"),
        expires_on=form.text("expires_on").strip(),
        ticked=frozenset(ticked),
        chosen=frozenset(int(one) for one in numbers if one.isascii() and one.isdigit() and len(one) < 19),  # noqa: PLR2004
    )


def find_name_fault(name: str) -> dict[str, str]:
    """By its field; empty for a name that may be one."""
    if not name.strip():
        return {"name": "A name is needed."}
    if len(name) > NAME_CHARS_MAX:
        return {"name": f"A name has at most {NAME_CHARS_MAX} characters."}
    return {}


def find_faults(typed: TypedKey) -> dict[str, str]:
    faults = find_name_fault(typed.name)
    if not typed.ticked:
        faults["scopes"] = "Tick at least one thing that the key may do."
    if len(typed.chosen) > NEWSLETTERS_MAX:
        faults["newsletter_ids"] = f"At most {NEWSLETTERS_MAX} newsletters."
    return faults


def parse_last_day(text: str, zone: str) -> datetime | None:
    """The end of that day in the time zone; None if there is no day. Raises `InvalidInputError`."""
    if not text:
        return None
    try:
        next_day = date.fromisoformat(text) + timedelta(days=1)
        return datetime.combine(next_day, datetime.min.time(), find_zone(zone)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidInputError(
            errors=(FieldProblem("/expires_on", "This is not a date. Write it as in 2027-01-31."),)
        ) from error


def errors_of(error: InvalidInputError) -> dict[str, str]:
    """By the fields of the form: `/scopes/3` is `scopes`."""
    found: dict[str, str] = {}
    for problem in error.errors:
        name = problem.pointer.strip("/").partition("/")[0]
        found.setdefault(_NAMES.get(name, name), as_sentence(problem.detail))
    return found
