"""What no text that anybody sends may hold, in whichever field of whichever route.

NUL cannot be stored (Postgres), a lone surrogate is no character, and bidirectional controls (UAX #9; see also
CVE-2021-42574) make a name or a title read as something else than it is. Bidirectional controls are refused, not
shown: text in right-to-left scripts needs none of them in a single line. Bodies of mails may hold them.
"""

import re

NUL = "\0"
_SURROGATE = re.compile("[\ud800-\udfff]")
_BIDI_CONTROL = re.compile("[\u202a-\u202e\u2066-\u2069]")
_SUSPECT = re.compile("[\0\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def find_text_fault(text: str, *, may_hold_bidi: bool = False) -> str | None:
    """A sentence on what is wrong, to be shown at the field; None when nothing is."""
    if not _SUSPECT.search(text):
        return None
    if NUL in text:
        return "It may not hold a NUL character."
    if _SURROGATE.search(text):
        return "It may hold only whole characters (it holds an unpaired surrogate)."
    found = _BIDI_CONTROL.search(text)
    if found is None or may_hold_bidi:
        return None
    return f"It may not hold characters that change the direction of text (U+{ord(found[0]):04X})."


def without_bidi_controls(text: str) -> str:
    """For text that must not be lost to them: names in an imported file."""
    return _BIDI_CONTROL.sub("", text)
