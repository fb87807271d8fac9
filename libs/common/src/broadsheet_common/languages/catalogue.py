"""Translations from .po files, read when a process starts: there is no build step, and none is read in a request.

A catalogue's message ids are the English texts. What a program finds out only when it runs (a refusal's words) is
looked up as it is, and stays English if it is not there.
"""

from collections.abc import Collection, Mapping
from importlib.resources import files
from io import BytesIO
from types import MappingProxyType

from babel.messages.pofile import PoFileError, read_po

from broadsheet_common.languages.language import FALLBACK, LANGUAGES, Language

FOLDER = "catalogues"


class CatalogueError(Exception):
    """A catalogue is missing or cannot be read: the process does not start."""


class Catalogue:
    """The texts of one package in one language."""

    __slots__ = ("_texts", "language")

    def __init__(self, language: Language, texts: Mapping[str, str]) -> None:
        self.language = language
        self._texts = texts

    def __call__(self, text: str, /, **values: object) -> str:
        """The text in this language, with `%(name)s` filled in. It is not escaped."""
        found = self._texts.get(text, text)
        return found % values if values else found

    @property
    def texts(self) -> Collection[str]:
        """All texts in this language; none for English, which is in the code."""
        return self._texts.values()

    def __contains__(self, text: str) -> bool:
        """Whether it is translated; of English, every text is."""
        return self.language == FALLBACK or text in self._texts


Catalogues = Mapping[Language, Catalogue]


def load_catalogues(package: str) -> Catalogues:
    """Those in the folder `catalogues` of a package, `de.po` and so on. Raises CatalogueError."""
    found: dict[Language, Catalogue] = {FALLBACK: Catalogue(FALLBACK, {})}
    for language in LANGUAGES:
        if language != FALLBACK:
            found[language] = Catalogue(language, _read(package, language))
    return MappingProxyType(found)


def _read(package: str, language: Language) -> Mapping[str, str]:
    name = f"{package}: {FOLDER}/{language}.po"
    try:
        content = files(package).joinpath(FOLDER, f"{language}.po").read_bytes()
        read = read_po(BytesIO(content), locale=language, abort_invalid=True)
    except (OSError, PoFileError, ValueError) as error:
        raise CatalogueError(f"{name} cannot be read: {error}") from error
    return MappingProxyType(
        {
            message.id: message.string
            for message in read
            if isinstance(message.id, str) and isinstance(message.string, str) and message.id and message.string
        }
    )


def marked(text: str) -> str:
    """The text itself: a mark for texts that are looked up later, so that catalogues are known to need them."""
    return text
