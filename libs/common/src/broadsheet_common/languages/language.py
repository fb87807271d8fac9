"""Which of the languages that there are catalogues for fits a newsletter, or a browser.

A newsletter's language is any tag (BCP 47); words that are ours exist in four languages. English stands in for the
others, which the log says once for each.
"""

from functools import lru_cache
from typing import Final, Literal, get_args

import structlog

Language = Literal["en", "de", "fr", "es"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
FALLBACK: Final[Language] = "en"
TAG_CHARS_MAX: Final = 100
ACCEPT_CHARS_MAX: Final = 500
_NOTED_MAX: Final = 1_000
_KEPT: Final = 512

_noted: set[str] = set()
_log = structlog.get_logger()


def language_of(tag: str) -> Language:
    """The language of our words for a newsletter with this tag; English if there is no catalogue for it."""
    primary = tag[:TAG_CHARS_MAX].partition("-")[0].lower()
    found = _known(primary)
    if found is not None:
        return found
    if primary not in _noted and len(_noted) < _NOTED_MAX:
        _noted.add(primary)
        _log.warning("languages.no_catalogue", language=primary, shown=FALLBACK)
    return FALLBACK


@lru_cache(maxsize=_KEPT)
def language_asked_for(accept_language: str) -> Language:
    """The one that a browser likes best, by its `Accept-Language` (RFC 9110, 12.5.4); English if it likes none."""
    wanted: list[tuple[float, int, Language]] = []
    for place, item in enumerate(accept_language[:ACCEPT_CHARS_MAX].split(",")):
        tag, _, parameters = item.strip().partition(";")
        found = FALLBACK if tag == "*" else _known(tag.partition("-")[0].lower())
        quality = _quality(parameters)
        if found is not None and quality > 0:
            wanted.append((-quality, place, found))
    return min(wanted)[2] if wanted else FALLBACK


def _known(primary: str) -> Language | None:
    return next((one for one in LANGUAGES if one == primary), None)


def _quality(parameters: str) -> float:
    """What does not state a quality in order is worth nothing."""
    name, _, value = parameters.strip().partition("=")
    if not name:
        return 1.0
    try:
        quality = float(value)
    except ValueError:
        return 0.0
    return quality if name.strip() == "q" and 0 <= quality <= 1 else 0.0
