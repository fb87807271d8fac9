"""How many words a text has, and how long reading it takes, by script; pure.

Chinese and Japanese put no blanks between words, so each of their characters counts as one, as word processors do.
Rates are those of adults who read silently: Trauzettel-Klosinski and Dietz, "Standardized Assessment of Reading
Performance: The New International Reading Speed Texts IReST" (2012); for scripts that it does not have, its mean.
"""

from typing import Final

import msgspec
import regex  # type: ignore[import-untyped]  # it ships no types

_WORDS_A_MINUTE: Final = {"Arabic": 138, "Hebrew": 187, "Cyrillic": 184, "Greek": 184, "Latin": 220, "other": 184}
_CHINESE_A_MINUTE: Final = 255
_JAPANESE_A_MINUTE: Final = 357
_HAN: Final = regex.compile(r"\p{Han}")
_KANA: Final = regex.compile(r"[\p{Hiragana}\p{Katakana}]")
_UNSPACED: Final = regex.compile(r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]+")
_CHARS_OF_AN_UNSPACED_WORD: Final = 5
_WORD: Final = regex.compile(
    r"(?:(?![\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}])[\p{L}\p{N}\p{M}])"
    r"(?:(?![\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}])[\p{L}\p{N}\p{M}'\u2019\-])*+"
)
_SCRIPTS: Final = {name: regex.compile(rf"\p{{{name}}}") for name in ("Latin", "Cyrillic", "Greek", "Arabic", "Hebrew")}


class Length(msgspec.Struct, frozen=True):
    words: int
    seconds: int


def words_of(text: str) -> list[str]:
    """Words of scripts with blanks, and single characters of Chinese and Japanese; lower case."""
    lowered = text.lower()
    return [*_WORD.findall(lowered), *_HAN.findall(lowered), *_KANA.findall(lowered), *_UNSPACED.findall(lowered)]


def length_of(text: str) -> Length:
    minutes = 0.0
    words = 0
    for word in _WORD.findall(text):
        words += 1
        script = next((name for name, one in _SCRIPTS.items() if one.match(word)), "other")
        minutes += 1 / _WORDS_A_MINUTE[script]
    han, kana = len(_HAN.findall(text)), len(_KANA.findall(text))
    # Japanese has both, and its Chinese characters are read at its rate.
    minutes += (han + kana) / _JAPANESE_A_MINUTE if kana else han / _CHINESE_A_MINUTE
    unspaced = sum(-(-len(run) // _CHARS_OF_AN_UNSPACED_WORD) for run in _UNSPACED.findall(text))
    minutes += unspaced / _WORDS_A_MINUTE["other"]
    return Length(words + han + kana + unspaced, round(minutes * 60))
