"""Rules for a new password. Pure; hashing is in `password_hashing`.

Common passwords are refused by rule, not by a list of leaked ones: with twelve characters and more, those that
people pick are a common word with digits or signs around it, a common word repeated, or a run of the keyboard.
"""

import re
from enum import StrEnum

LENGTH_MIN = 12
LENGTH_MAX = 128

_DISTINCT_MIN = 5
_RUN_MIN = 3
_RUN_SOURCES = (
    "abcdefghijklmnopqrstuvwxyz" * 2,
    "01234567890" * 12,
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "q1w2e3r4t5y6u7i8o9p0",
)
_COMMON_WORDS = (
    "administrator", "newsletter", "broadsheet", "basketball", "trustnoone", "changeme", "football", "iloveyou",
    "passwords", "password", "passwort", "princess", "sunshine", "superman", "baseball", "computer", "internet",
    "letmein", "michael", "mustang", "shadow", "welcome", "whatever", "charlie", "starwars", "freedom", "default",
    "hunter", "batman", "dragon", "flower", "killer", "master", "monkey", "qwerty", "secret", "soccer", "summer",
    "winter", "spring", "autumn", "ninja", "admin", "hello", "login", "please", "super", "guest", "lovely", "access",
    "user", "root", "pass", "test", "love", "john", "azerty", "qwertz", "asdf", "zxcv", "abc", "mail", "email", "the",
    "my", "is", "a", "i", "you", "me", "new", "this", "our",
)  # fmt: skip
_LEET = str.maketrans("013457@$!", "oieastasi")


class PasswordFault(StrEnum):
    """Why a new password is refused, in the order of the checks."""

    MISMATCH = "mismatch"
    LENGTH = "length"
    COMMON = "common"


def find_fault(password: str, repeated: str, *, username: str) -> PasswordFault | None:
    """The first fault of a new password that was typed twice; None when it may be used."""
    if password != repeated:
        return PasswordFault.MISMATCH
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        return PasswordFault.LENGTH
    if is_common(password, username=username):
        return PasswordFault.COMMON
    return None


def is_common(password: str, *, username: str) -> bool:
    """Whether `password` would be among an attacker's first few million guesses."""
    folded = password.casefold()
    if len(set(folded)) < _DISTINCT_MIN:
        return True
    if _is_run(folded):
        return True
    words = [username.casefold(), *_COMMON_WORDS]
    core = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", folded)
    return _is_made_of(folded, words) or _is_made_of(core.translate(_LEET), words)


def _is_run(text: str) -> bool:
    """Only runs of keyboard rows or of the alphabet, forward or backward, of three characters or more."""
    sources = [line for source in _RUN_SOURCES for line in (source, source[::-1])]
    reachable = {0}
    for end in range(_RUN_MIN, len(text) + 1):
        if any(start in reachable and any(text[start:end] in line for line in sources) for start in range(end - 2)):
            reachable.add(end)
    return len(text) in reachable


def _is_made_of(text: str, words: list[str]) -> bool:
    """Only common words, once digits, signs and blanks are removed; or only digits."""
    letters = re.sub(r"[\W\d_]", "", text)
    if not letters:
        return text.isdecimal()
    reachable = {0}
    for end in range(1, len(letters) + 1):
        if any(w and end - len(w) in reachable and letters[end - len(w) : end] == w for w in words):
            reachable.add(end)
    return len(letters) in reachable
