"""Judges by its words whether a text was read in the encoding in which it was written, pure.

Every eight-bit encoding turns nearly all bytes into letters, so that a name is never unreadable, only wrong:
`René` of an old Mac is `RenŽ` in Windows-1252, and `Dvořák` of Prague is `Dvoøák`. A word is possible if all its
accented letters belong to one language that is written in this encoding, and if its capitals stand where capitals
can stand.
"""

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

_WESTERN: Final = (
    "äöüßé", "éèêëàâîïôûùçœæÿ", "áéíóúüñ", "àèéìíîòóùú", "áàâãçéêíóôúü", "àçèéíïòóúü", "áéëïíóöúüĳèê", "åäöéüà",
    "æøåéèêóòôâ",
    "áðéíóúýþæö", "áéíóú", "ëç",
)  # fmt: skip
_CENTRAL: Final = ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "čćđšž", "ăâîșțşţ", "äöüßé")
_CYRILLIC: Final = (
    "абвгдежзийклмнопрстуфхцчшщъыьэюяё",
    "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя",
    "абвгдђежзијклљмнњопрстћуфхцчџш",
)
LETTERS: Final[dict[str, tuple[frozenset[str], ...]]] = {
    name: tuple(frozenset(alphabet) for alphabet in alphabets)
    for name, alphabets in {
        "windows-1252": _WESTERN,
        "mac-roman": _WESTERN,
        "windows-1250": _CENTRAL,
        "windows-1251": _CYRILLIC,
        "koi8-r": _CYRILLIC,
        "windows-1253": ("αβγδεζηθικλμνξοπρστυφχψωάέήίόύώϊϋΐΰς",),
        "windows-1254": ("çğıöşüâîûi̇",),  # noqa: RUF001
        "windows-1257": ("ąčęėįšųūž", "āčēģīķļņšūž", "äöüõšž"),
        "cp850": _WESTERN,
    }.items()
}
"""Letters other than a to z, for the encodings that are compared; each alphabet is that of a language."""
SAMPLE_WORDS_MAX: Final = 4_000
_WORD: Final = re.compile(rb"[A-Za-z\x80-\xff]*[\x80-\xff][A-Za-z\x80-\xff]*")
# Characters that stand beside or inside words in any language.
_PUNCTUATION: Final = frozenset("\u00a0’‘“”„‚–—…«»‹›·•°º²³€£©®™§¿¡½¼¾×")  # noqa: RUF001
_FIRST_OTHER_SCRIPT: Final = "\u0370"
"""Greek begins here. No word mixes Greek or Cyrillic letters with Latin ones."""
_INSIDE_WORDS: Final = frozenset("’‘·\u00ad\u00a0–—")  # noqa: RUF001


def words_of(piece: bytes) -> Iterable[bytes]:
    """Runs of letters that are not all ASCII."""
    return (found.group() for found in _WORD.finditer(piece))


def share_of_possible(words: Iterable[bytes], encoding: str, codec: str) -> float:
    """The share of the words that are possible; 0 if one of them cannot be decoded."""
    possible = total = 0
    for word in words:
        try:
            text = word.decode(codec)
        except UnicodeDecodeError:
            return 0.0
        total += 1
        possible += is_possible(text, LETTERS[encoding])
    return possible / total if total else 1.0


def is_possible(word: str, alphabets: tuple[frozenset[str], ...]) -> bool:
    """Whether the word is possible. Punctuation divides it into parts, and only some of it may stand between
    letters.
    """
    part = ""
    for place, char in enumerate(word):
        if char.isalpha():
            part += char
            continue
        if char not in _PUNCTUATION:
            return False
        touches = bool(part) and place + 1 < len(word) and word[place + 1].isalpha()
        if touches and char not in _INSIDE_WORDS:
            return False
        # An opening quote cannot directly follow a word, and a currency sign cannot directly precede one.
        if part and char in "‘“„‚«‹¿¡¼½¾²³×" and char not in "²³":  # noqa: RUF001
            return False
        if not part and char in "£€§©®™" and place + 1 < len(word) and word[place + 1].isalpha():
            return False
        if part and not _is_possible_part(part, alphabets):
            return False
        part = ""
    return not part or _is_possible_part(part, alphabets)


def _is_possible_part(word: str, alphabets: tuple[frozenset[str], ...]) -> bool:
    # Portuguese has õ only before e. Elsewhere õ may be Hungarian ő read as Windows-1252, so only `õe` is accepted
    # here.
    accented = {char for char in word.lower().replace("õe", "oe") if not char.isascii()}
    if max(accented, default="") >= _FIRST_OTHER_SCRIPT and any(map(str.isascii, word)):
        return False
    if accented and not any(accented <= alphabet for alphabet in alphabets):
        return False
    # Not possible: an accented capital after a small letter (`RenŽ`), or inside a word that is not mostly capitals
    # (`MŸller`).
    for before, char in pairwise(word):
        if not char.isascii() and char.isupper() and before.islower():
            return False
    has_small = any(char.islower() for char in word)
    return not (
        has_small and any(not char.isascii() and char.isupper() for char in word[1:]) and not _is_capital_run(word)
    )


def _is_capital_run(word: str) -> bool:
    """Whether the word has more capitals than small letters: `DÜRENer`."""
    return sum(char.isupper() for char in word) > sum(char.islower() for char in word)


def is_double_encoded(word: bytes) -> bool:
    """Whether it is UTF-8 that was read as Windows-1252 and written as UTF-8 again: `RenÃ©`."""
    try:
        once = word.decode()
        twice = once.encode("windows-1252").decode()
    except UnicodeError:
        return False
    return len(twice) < len(once) and all(char.isalpha() or char.isspace() or char in _PUNCTUATION for char in twice)
