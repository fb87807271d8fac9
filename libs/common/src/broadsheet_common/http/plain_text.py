"""Characters that no text in any request may contain.

Postgres cannot store NUL, an unpaired surrogate is not a character, and bidirectional controls (UAX #9; see also
CVE-2021-42574) make a name or a title look different from what it is. Bidirectional controls are refused rather
than shown: a single line of right-to-left text does not need them. Bodies of mails may contain them.
"""

import re

NUL = "\0"
_BIDI_CONTROL = re.compile("[\u202a-\u202e\u2066-\u2069]")


def find_text_fault(text: str, *, may_hold_bidi: bool = False) -> str | None:
    """A sentence that says what is wrong, to be shown at the field; None if nothing is."""
    if NUL in text:
        return "It may not hold a NUL character."
    # Texts are megabytes: a pattern takes 10 ms for each, what Python does in one call a hundredth of that.
    if text.isascii():
        return None
    if not _is_whole(text):
        return "It may hold only whole characters (it holds an unpaired surrogate)."
    found = None if may_hold_bidi else _BIDI_CONTROL.search(text)
    if found is None:
        return None
    return f"It may not hold characters that change the direction of text (U+{ord(found[0]):04X})."


def is_storable(text: str) -> bool:
    """Whether Postgres can store it: it has neither a NUL character nor an unpaired surrogate."""
    return NUL not in text and _is_whole(text)


def _is_whole(text: str) -> bool:
    """Whether it has no unpaired surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def without_bidi_controls(text: str) -> str:
    """For text that must not be refused because of them: names in an imported file."""
    return _BIDI_CONTROL.sub("", text)
