"""The languages that a newsletter can have, as its settings offer them; pure.

Any tag (BCP 47) can be saved. Words of our own, on pages for readers and at the foot of mails, are in a few languages
and stay English in the others.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from broadsheet_common.languages.language import LANGUAGES

_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "en": "English", "de": "German", "fr": "French", "es": "Spanish",
        "ar": "Arabic", "bn": "Bengali", "bg": "Bulgarian", "ca": "Catalan", "zh-Hans": "Chinese, simplified",
        "zh-Hant": "Chinese, traditional", "hr": "Croatian", "cs": "Czech", "da": "Danish", "nl": "Dutch",
        "et": "Estonian", "fi": "Finnish", "el": "Greek", "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian",
        "is": "Icelandic", "id": "Indonesian", "ga": "Irish", "it": "Italian", "ja": "Japanese", "ko": "Korean",
        "lv": "Latvian", "lt": "Lithuanian", "ms": "Malay", "no": "Norwegian", "fa": "Persian", "pl": "Polish",
        "pt": "Portuguese", "pt-BR": "Portuguese, Brazil", "ro": "Romanian", "ru": "Russian", "sr": "Serbian",
        "sk": "Slovak", "sl": "Slovenian", "sw": "Swahili", "sv": "Swedish", "ta": "Tamil", "th": "Thai",
        "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu", "vi": "Vietnamese", "cy": "Welsh",
    }
)  # fmt: skip
"""The first ones have words of our own; the others are in the order of their names."""

LanguageGroup = tuple[str, tuple[tuple[str, str], ...]]
"""A heading, and tag and words of each language."""


def language_groups(saved: str) -> tuple[LanguageGroup, LanguageGroup]:
    """Those with words of our own and the others. `saved`: the tag that the newsletter has, which is offered too."""
    names = dict(_NAMES)
    if saved and saved not in names:
        primary = saved.partition("-")[0].lower()
        names[saved] = names.get(primary, "Another language")
    choices = [(tag, f"{name} ({tag})") for tag, name in names.items()]
    return (
        ("With Broadsheet in this language too", tuple(one for one in choices if has_own_words(one[0]))),
        ("With Broadsheet in English", tuple(one for one in choices if not has_own_words(one[0]))),
    )


def has_own_words(tag: str) -> bool:
    """Whether there is a catalogue for it."""
    return tag.partition("-")[0].lower() in LANGUAGES
