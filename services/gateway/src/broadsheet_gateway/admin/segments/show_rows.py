"""Rows as the page shows them: each with the choices that it has. Pure."""

import re
from collections.abc import Iterable
from datetime import date
from typing import Final

from broadsheet_gateway.admin.newsletter_facts import name_of
from broadsheet_gateway.admin.segments.asked import Known
from broadsheet_gateway.admin.segments.condition_words import (
    ATTRIBUTE,
    FIELD_WORDS,
    OF_A_NEWSLETTER,
    Entry,
    comparison_of,
    comparisons_of,
)
from broadsheet_gateway.admin.segments.filter_rows import (
    DEPTH_MAX,
    Condition,
    Control,
    Fault,
    Group,
    Path,
)
from broadsheet_gateway.admin.segments.views import Choice, ChoiceGroup, ConditionRow, GroupRow
from broadsheet_gateway.pages.times import stored_date

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATES: Final = frozenset({"date", "two_dates"})


def control_id(control: Control, path: Path) -> str:
    return f"{control}_r" + "".join(f"-{place}" for place in path)


def field_choices(known: Known) -> tuple[ChoiceGroup, ...]:
    """What a condition can look at."""
    fixed = tuple(
        ChoiceGroup(heading, tuple(Choice(value, text) for value, text in entries)) for heading, entries in FIELD_WORDS
    )
    if not known.attributes:
        return fixed
    own = tuple(Choice(f"{ATTRIBUTE}{one.name}", one.label) for one in known.attributes)
    return (*fixed, ChoiceGroup("Attributes", own))


_ID_DIGITS_MAX: Final = 18


def is_number(text: str) -> bool:
    """Whether it could be an id."""
    return text.isascii() and text.isdigit() and len(text) <= _ID_DIGITS_MAX


def newsletter_choices(group: Group, known: Known) -> tuple[Choice, ...]:
    """With those that conditions name and that could not be asked."""
    choices = [Choice(str(one.id), one.label) for one in known.newsletters]
    return (*choices, *_unknown("Newsletter", (row.of for row in _conditions(group)), choices))


def issue_choices(group: Group, known: Known) -> tuple[Choice, ...]:
    """The newest issues, and those that conditions name."""
    choices = [Choice(str(one.id), one.title) for one in known.issues]
    named = (
        row.value
        for row in _conditions(group)
        if (found := comparison_of(row.what, row.op, known.types)) is not None and found.entry == "issue"
    )
    return (*choices, *_unknown("Issue", named, choices))


def show_group(group: Group, known: Known, *, path: Path = (), new: Path | None = None) -> GroupRow:
    """`new`: the row that was just added."""
    return GroupRow(
        path=path,
        title=_title("Group", path) if path else "Conditions",
        mode=group.mode,
        parts=tuple(
            show_group(part, known, path=(*path, place), new=new)
            if isinstance(part, Group)
            else _show(part, known, (*path, place), is_new=(*path, place) == new)
            for place, part in enumerate(group.parts)
        ),
        may_nest=len(path) + 1 < DEPTH_MAX,
    )


def error_texts(faults: Iterable[Fault], shown: GroupRow) -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    """The messages by the ids of their controls, and what each control is called, in the order of the page. A message
    for a control that its row does not show is at the row's first one; one for a group is at the list of its kind.
    """
    errors: dict[str, str] = {}
    labels: list[tuple[str, str]] = []
    for fault in faults:
        row = _row(shown, fault.path)
        if isinstance(row, GroupRow):
            name = f"mode_r{''.join(f'-{place}' for place in row.path)}"
        else:
            name = control_id(_shown_control(row, fault.control), row.path)
        if name not in errors:
            errors[name] = fault.detail
            labels.append((name, row.title))
    return errors, tuple(labels)


def _shown_control(row: ConditionRow, control: Control) -> Control:
    is_there = {
        "what": True,
        "op": bool(row.comparisons),
        "of": row.has_newsletter,
        "value": row.entry != "none",
        "to": row.entry in {"two_numbers", "two_dates"},
    }
    return control if is_there[control] else "what"


def _row(shown: GroupRow, path: Path) -> ConditionRow | GroupRow:
    found: ConditionRow | GroupRow = shown
    for place in path:
        if isinstance(found, GroupRow):
            found = found.parts[place]
    return found


def _show(row: Condition, known: Known, path: Path, *, is_new: bool) -> ConditionRow:
    comparisons = comparisons_of(row.what, known.types)
    # A row that has just been told what to look at begins with the first comparison.
    chosen = comparison_of(row.what, row.op, known.types) or (comparisons[0] if comparisons else None)
    return ConditionRow(
        path=path,
        title=_title("Condition", path),
        what=row.what if comparisons else "",
        what_text=next(
            (one.text for group in field_choices(known) for one in group.choices if one.value == row.what), row.what
        ),
        op=chosen.key if chosen else "",
        op_text=chosen.label if chosen else "",
        of=row.of,
        of_text=name_of(int(row.of), known.newsletters) if is_number(row.of) else "",
        value=row.value,
        value_text=_value_text(row, known, chosen.entry if chosen else "none"),
        to=row.to,
        to_text=stored_date(row.to) if chosen is not None and chosen.entry in _DATES else row.to,
        entry=chosen.entry if chosen else "none",
        has_newsletter=row.what in OF_A_NEWSLETTER,
        has_date_picker=chosen is not None
        and chosen.entry in _DATES
        and all(not one or _is_day(one) for one in (row.value, row.to)),
        comparisons=tuple(Choice(one.key, one.label) for one in comparisons),
        is_new=is_new,
    )


def _value_text(row: Condition, known: Known, entry: Entry) -> str:
    if entry == "issue":
        return next((f"“{one.title}”" for one in known.issues if str(one.id) == row.value), f"Issue {row.value}")
    lines = row.value.split("\n")
    return ", ".join(map(stored_date, lines) if entry in _DATES or entry == "dates" else lines)


def _is_day(text: str) -> bool:
    """Whether a date picker would show it; it would drop anything else."""
    if _DAY.fullmatch(text) is None:
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _title(kind: str, path: Path) -> str:
    return f"{kind} {'.'.join(str(place + 1) for place in path)}"


def _conditions(group: Group) -> Iterable[Condition]:
    for part in group.parts:
        if isinstance(part, Group):
            yield from _conditions(part)
        else:
            yield part


def _unknown(kind: str, named: Iterable[str], choices: Iterable[Choice]) -> tuple[Choice, ...]:
    there = {one.value for one in choices}
    return tuple(Choice(one, f"{kind} {one}") for one in dict.fromkeys(named) if one.isdecimal() and one not in there)
