"""Dates and spans of time as a language writes them, by the CLDR (Babel); pure."""

from datetime import date
from functools import lru_cache
from typing import Final

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.units import format_unit

from broadsheet_common.languages.language import Language, language_of

_WORLD_ENGLISH: Final = "en_001"
"""English that says no country: the day stands before the month, as on the pages of authors."""
_UNITS: Final = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def long_date(value: date, tag: str) -> str:
    """A day, its month in words, by a newsletter's language tag. Where our words are English, so are dates."""
    return format_date(value, format="long", locale=_locale(tag))


def duration_in_words(duration_s: int, language: Language = "en") -> str:
    """In the largest unit that fits, rounded down."""
    unit, unit_s = next((one for one in _UNITS if duration_s >= one[1]), _UNITS[-1])
    return format_unit(duration_s // unit_s, f"duration-{unit}", length="long", locale=language)


@lru_cache(maxsize=512)
def _locale(tag: str) -> Locale:
    words = language_of(tag)
    if tag.partition("-")[0].lower() == words != tag.lower():
        try:
            return Locale.parse(tag, sep="-")
        except (UnknownLocaleError, ValueError):
            pass  # a country that the CLDR does not know: as the language alone
    return Locale.parse(_WORLD_ENGLISH if words == "en" else words)
