"""The message ids that a package's code and templates look up in its catalogues."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel.messages.extract import extract
from jinja2.ext import babel_extract

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
