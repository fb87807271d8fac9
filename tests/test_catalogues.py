"""The catalogues say all that the code and the templates look up, in each language, and nothing else."""

import re
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po
from jinja2.ext import babel_extract

from broadsheet_common.languages.catalogue import load_catalogues
from broadsheet_common.languages.language import LANGUAGES

ROOT = Path(__file__).parents[1]
GATEWAY = ROOT / "services/gateway/src/broadsheet_gateway"
MAIL = ROOT / "libs/common/src/broadsheet_common/mail"
SUBSCRIPTIONS = ROOT / "services/subscriptions/src/broadsheet_subscriptions"

_PLACEHOLDER = re.compile(r"%\(\w+\)s")
_TAG = re.compile(r"</?\w[^>]*>")


_KEYWORDS = {"translate": None, "marked": None}
_TEMPLATE_KEYWORDS = ("_",)
_OPTIONS = {"silent": "false", "trimmed": "false"}


def ids_of_code(folder: Path) -> set[str]:
    """Of every module in the folder and below."""
    return set(_of_modules(folder))


def ids_of_templates(folder: Path) -> dict[str, set[str]]:
    """Of every template in the folder and below, by the template's name."""
    return {
        path.relative_to(folder).as_posix(): {
            found
            for _, _, message, _ in babel_extract(BytesIO(path.read_bytes()), _TEMPLATE_KEYWORDS, (), _OPTIONS)
            if (found := _first(message)) is not None
        }
        for path in folder.rglob("*.html")
    }


def _of_modules(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*.py"):
        for _, message, _, _ in extract("python", BytesIO(path.read_bytes()), _KEYWORDS):
            if (found := _first(message)) is not None:
                yield found


def _first(message: object) -> str | None:
    """A call's own text, where it fills in values too; None for a text that only a run knows."""
    first = message[0] if isinstance(message, tuple) else message
    return first if isinstance(first, str) else None


def _of_gateway() -> set[str]:
    return ids_of_code(GATEWAY).union(*ids_of_templates(GATEWAY / "pages/templates").values())


PARTS: dict[str, tuple[str, Path, Callable[[], set[str]]]] = {
    "gateway": ("broadsheet_gateway.pages.for_readers", GATEWAY / "pages/for_readers/catalogues", _of_gateway),
    "mail": ("broadsheet_common.mail", MAIL / "catalogues", lambda: ids_of_code(MAIL)),
    "subscriptions": (
        "broadsheet_subscriptions",
        SUBSCRIPTIONS / "catalogues",
        lambda: ids_of_code(SUBSCRIPTIONS),
    ),
}
TRANSLATED = tuple(language for language in LANGUAGES if language != "en")


def _read(part: str, language: str) -> Catalog:
    return read_po(BytesIO((PARTS[part][1] / f"{language}.po").read_bytes()), locale=language, abort_invalid=True)


@pytest.fixture(params=[(part, language) for part in PARTS for language in TRANSLATED], ids="-".join)
def catalogue(request: pytest.FixtureRequest) -> tuple[str, Catalog]:
    part, language = request.param
    return part, _read(part, language)


def test_every_text_is_in_it_and_none_that_nobody_looks_up(catalogue: tuple[str, Catalog]) -> None:
    part, read = catalogue
    wanted = PARTS[part][2]()
    assert len(wanted) > 3
    assert {str(message.id) for message in read if message.id} == wanted
    assert not read.obsolete


def test_none_is_fuzzy_or_empty(catalogue: tuple[str, Catalog]) -> None:
    _, read = catalogue
    assert [message.id for message in read if message.id and (message.fuzzy or not message.string)] == []


def test_placeholders_and_tags_are_those_of_the_english_text(catalogue: tuple[str, Catalog]) -> None:
    _, read = catalogue
    for message in read:
        source, text = str(message.id), str(message.string)
        if source:
            assert sorted(_PLACEHOLDER.findall(text)) == sorted(_PLACEHOLDER.findall(source)), source
            assert sorted(_TAG.findall(text)) == sorted(_TAG.findall(source)), source
            # A text may stand in an attribute, and is not escaped there.
            bare = _TAG.sub("", text)
            assert not set(bare) & set('<>"&'), source


def test_every_text_differs_from_the_english_one_but_for_words_that_are_the_same(
    catalogue: tuple[str, Catalog],
) -> None:
    _, read = catalogue
    same = {str(message.id) for message in read if message.id and message.id == message.string}
    assert same <= {"Name", "Feed", "Pages", "Newsletters", "Error", "Error:"}


@pytest.mark.parametrize("part", PARTS)
def test_what_a_process_loads_is_what_the_files_say(part: str) -> None:
    loaded = load_catalogues(PARTS[part][0])
    assert set(loaded) == set(LANGUAGES)
    for language in TRANSLATED:
        for message in _read(part, language):
            if message.id:
                assert loaded[language](str(message.id)) == message.string
