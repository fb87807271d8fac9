"""The rows of the form as its fields: read, and changed by its buttons. Pure.

A field's name is a control and a place: `value_r-0-2` is the value of the third row in the first group. So the names
alone say how the groups stand in each other.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, Literal, cast

import msgspec

from broadsheet_common.http.problems import MalformedRequestError
from broadsheet_gateway.admin.segments.filter_rows import (
    CONDITIONS_MAX,
    DEPTH_MAX,
    GROUPS_MAX,
    Condition,
    Control,
    Group,
    Mode,
    Path,
    count_parts,
)

_FIELD: Final = re.compile(r"(mode|what|op|of|value|to)_r((?:-[0-9]{1,3})*)")
_BUTTON: Final = re.compile(r"(add|group|remove):r((?:-[0-9]{1,3})*)")
_MODES: Final = frozenset({"all", "any", "none"})
_CONTROLS: Final[tuple[Control, ...]] = ("what", "op", "of", "value", "to")
FIELDS_MAX: Final = (CONDITIONS_MAX + 1) * len(_CONTROLS) + (GROUPS_MAX + 1) + 10
"""Of the whole form, with its other fields."""

Step = Literal["add", "group", "remove"]


class Button(msgspec.Struct, frozen=True):
    """A button that changes the rows: `path` is the group to add to, or what is removed."""

    step: Step
    path: Path


def read_button(text: str) -> Button | None:
    found = _BUTTON.fullmatch(text)
    return None if found is None else Button(cast("Step", found[1]), _path(found[2]))


def read_rows(fields: Mapping[str, str]) -> Group:
    """The rows in the order of their numbers, which may have gaps. Without any: an empty group.

    Raises `MalformedRequestError` for what the form cannot have sent.
    """
    held: dict[Path, dict[str, str]] = {}
    for name, value in fields.items():
        if (found := _FIELD.fullmatch(name)) is not None:
            held.setdefault(_path(found[2]), {})[found[1]] = value
    if any(len(path) > DEPTH_MAX for path in held):
        raise MalformedRequestError("The groups of the form are too deep.")
    if any(path and "mode" not in held.get(path[:-1], {}) for path in held):
        raise MalformedRequestError("A condition of the form stands in no group.")
    read = _group((), held)
    conditions, groups = count_parts(read)
    if conditions > CONDITIONS_MAX or groups > GROUPS_MAX:
        raise MalformedRequestError("The form has too many conditions.")
    return read


def press(group: Group, button: Button) -> tuple[Group, Path | None]:
    """The rows after a button, and the row that is new. They stay as they are where there is no room, or where the
    button's row is not there.
    """
    conditions, groups = count_parts(group)
    if button.step == "remove":
        return (_without(group, button.path) if button.path else group), None
    target = _find(group, button.path)
    if not isinstance(target, Group):
        return group, None
    is_group = button.step == "group"
    has_room = conditions < CONDITIONS_MAX and (
        not is_group or (groups < GROUPS_MAX and len(button.path) + 1 < DEPTH_MAX)
    )
    if not has_room:
        return group, None
    new = Group("any", (Condition(),)) if is_group else Condition()
    place = (*button.path, len(target.parts))
    return _with(group, button.path, new), (*place, 0) if is_group else place


def _group(path: Path, held: Mapping[Path, Mapping[str, str]]) -> Group:
    mode = held.get(path, {}).get("mode", "all")
    inner = sorted(one for one in held if len(one) == len(path) + 1 and one[:-1] == path)
    return Group(
        cast("Mode", mode) if mode in _MODES else "all",
        tuple(
            _group(one, held)
            if "mode" in held[one]
            else Condition(**{control: held[one].get(control, "") for control in _CONTROLS})
            for one in inner
        ),
    )


def _path(text: str) -> Path:
    return tuple(int(part) for part in text.split("-")[1:])


def _find(group: Group, path: Path) -> Condition | Group | None:
    found: Condition | Group = group
    for place in path:
        if not isinstance(found, Group) or place >= len(found.parts):
            return None
        found = found.parts[place]
    return found


def _with(group: Group, path: Path, new: Condition | Group) -> Group:
    if not path:
        return Group(group.mode, (*group.parts, new))
    return _replaced(group, path[0], lambda inner: _with(inner, path[1:], new))


def _without(group: Group, path: Path) -> Group:
    if len(path) == 1:
        return Group(group.mode, tuple(part for place, part in enumerate(group.parts) if place != path[0]))
    return _replaced(group, path[0], lambda inner: _without(inner, path[1:]))


def _replaced(group: Group, place: int, change: Callable[[Group], Group]) -> Group:
    return Group(
        group.mode,
        tuple(
            change(part) if number == place and isinstance(part, Group) else part
            for number, part in enumerate(group.parts)
        ),
    )
