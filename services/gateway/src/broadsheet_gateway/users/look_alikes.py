"""User names that could be taken for somebody else's; pure. Who chooses one must not look like an owner.

It is what can be said without a table of all confusable characters (UTS 39): names that are of one script throughout
and look alike by chance remain.
"""

import re
import unicodedata
from typing import Final

_SIGNS: Final = frozenset(" ._-+'")
_MIXED_UP: Final = frozenset({"LATIN", "CYRILLIC", "GREEK"})
"""Scripts whose letters look like each other's."""
_INVISIBLE: Final = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Letters and marks that are shown as nothing (Default_Ignorable_Code_Point)."""


def find_look_alike_fault(username: str) -> str | None:
    """A sentence for the field; None: it is written plainly."""
    if any(unicodedata.category(char)[0] not in "LMN" and char not in _SIGNS for char in username):
        return "It may hold letters, digits, blanks, and the signs . _ - + '"
    if _INVISIBLE.search(username) or unicodedata.normalize("NFKC", username) != username:
        return "It has characters that look like others, or like nothing. Write it with plain letters."
    if len({_script(char) for char in username} & _MIXED_UP) > 1:
        return "It mixes letters of scripts that look alike. Write it in one of them."
    return None


def _script(char: str) -> str:
    """The first word of the character's name, such as LATIN."""
    return unicodedata.name(char, "").partition(" ")[0]
