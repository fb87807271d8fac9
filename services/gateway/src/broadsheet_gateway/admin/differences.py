"""What the second of two who edit one thing is shown: their own values beside those that are saved now."""

from collections.abc import Mapping
from typing import Final

import msgspec

NOTHING_IS_LOST: Final = (
    "Somebody else has changed {what} meanwhile. What you typed is still below, and nothing of it is saved yet. "
    "Compare, change what you like, and save again."
)


class Difference(msgspec.Struct, frozen=True):
    """A field that somebody else saved with another value than was typed. `anchor`: the field's id."""

    anchor: str
    label: str
    typed: str
    saved: str


def differences(
    labels: Mapping[str, str], typed: Mapping[str, str], saved: Mapping[str, str]
) -> tuple[Difference, ...]:
    """Of the fields that `labels` names, in its order."""
    return tuple(
        Difference(name, label, typed[name] or "empty", saved[name] or "empty")
        for name, label in labels.items()
        if typed[name].strip() != saved[name].strip()
    )
