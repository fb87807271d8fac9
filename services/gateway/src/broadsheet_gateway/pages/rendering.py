"""From a view to HTML. One `Pages` an application: templates are compiled when it is made, none in a request.

Templates are compiled once, and made for each language: what differs is only where their words are looked up.
"""

import re
from collections.abc import Mapping, MutableMapping
from datetime import date
from types import CodeType
from typing import Any, Final

import jinja2
import msgspec
from markupsafe import Markup

from broadsheet_common.languages.catalogue import Catalogue
from broadsheet_common.languages.local_forms import long_date
from broadsheet_common.languages.reader_texts import paragraphs
from broadsheet_gateway.admin.navigation import open_groups
from broadsheet_gateway.pages.flashes import flash_text, flash_tone
from broadsheet_gateway.pages.for_readers.accent_sheet import find_accent_sheet
from broadsheet_gateway.pages.for_readers.words import CATALOGUES
from broadsheet_gateway.pages.static_files import StaticFile, load_static_files
from broadsheet_gateway.pages.times import instant, planned, zone_name
from broadsheet_gateway.pages.views import PageView

_MAY_BREAK_AFTER: Final = re.compile(r"(?<=[@._+])(?=.)")
_SHORT_ADDRESS_LENGTH_MAX: Final = 20
"""Fits any column for people, and stays in one piece."""


class Pages:
    """Renders views, and holds the static files that the pages point to."""

    def __init__(self, *, static_prefix: str = "/static/") -> None:
        """Raises `jinja2.TemplateSyntaxError` for a template that does not compile: at start, not on a visit."""
        self._static_prefix = static_prefix
        self._static_files = load_static_files()
        self._static_by_address = {file.name: file for file in self._static_files.values()}
        source = jinja2.PackageLoader("broadsheet_gateway.pages", "templates")
        self._codes = _compiled(source)
        self._templates = {language: self._of_language(source, catalogue) for language, catalogue in CATALOGUES.items()}

    def _of_language(self, source: jinja2.BaseLoader, catalogue: Catalogue) -> Mapping[str, jinja2.Template]:
        environment = _environment(_Compiled(self._codes))
        environment.install_gettext_callables(  # type: ignore[attr-defined]  # of the extension
            catalogue, _one_form, newstyle=True
        )
        environment.globals["translated"] = catalogue
        environment.globals["static_url"] = self.static_url
        environment.globals["open_groups"] = open_groups
        environment.globals["flash_text"] = flash_text
        environment.globals["flash_tone"] = flash_tone
        return {name: environment.get_template(name) for name in source.list_templates()}

    def render(self, view: PageView) -> str:
        return self._templates[view.words][view.template].render(view=view)

    def static_url(self, plain_name: str) -> str:
        found = self._static_files.get(plain_name) or find_accent_sheet(plain_name)
        if found is None:
            raise KeyError(plain_name)
        return self._static_prefix + found.name

    def static_file(self, name: str) -> StaticFile | None:
        """The file at `/static/{name}`, where `name` holds the hash; None for any other."""
        return self._static_by_address.get(name) or find_accent_sheet(name)

    @property
    def static_files(self) -> tuple[StaticFile, ...]:
        return tuple(self._static_files.values())


class _Compiled(jinja2.BaseLoader):
    """Templates that were compiled before, by name."""

    def __init__(self, codes: Mapping[str, CodeType]) -> None:
        self._codes = codes

    def load(
        self,
        environment: jinja2.Environment,
        name: str,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002
    ) -> jinja2.Template:
        if name not in self._codes:
            raise jinja2.TemplateNotFound(name)
        return jinja2.Template.from_code(environment, self._codes[name], {} if globals is None else globals)


def _environment(loader: jinja2.BaseLoader) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        cache_size=-1,
        extensions=["jinja2.ext.i18n"],
    )
    environment.filters["number"] = _number
    environment.filters["with_code"] = _with_code
    environment.filters["instant"] = instant
    environment.filters["planned"] = planned
    environment.filters["zone_name"] = zone_name
    environment.filters["address"] = _address
    environment.filters["plain_date"] = _plain_date
    environment.filters["long_date"] = long_date
    environment.filters["paragraphs"] = paragraphs
    environment.tests["unset"] = _is_unset
    return environment


def _compiled(source: jinja2.PackageLoader) -> Mapping[str, CodeType]:
    environment = _environment(source)
    codes = {}
    for name in source.list_templates():
        text, path, _ = source.get_source(environment, name)
        codes[name] = environment.compile(text, name, path)
    return codes


def _one_form(singular: str, plural: str, count: int) -> str:
    """Pages have no text whose form depends on a number: it is written so that one form fits all."""
    raise TypeError(f"a text in two forms: {singular!r}, {plural!r}, for {count}")


def _is_unset(value: object) -> bool:
    return value is msgspec.UNSET


def _number(value: int) -> str:
    return f"{value:,}"


def _address(value: str) -> Markup:
    """An e-mail address, host or name of a key: where a line ends within it, it ends after one of `@._+`."""
    pieces = [value] if len(value) <= _SHORT_ADDRESS_LENGTH_MAX else _MAY_BREAK_AFTER.split(value)
    return Markup("<wbr>").join(pieces)


def _plain_date(value: date) -> str:
    return f"{value:%-d %B %Y}"


_CODE: Final = re.compile(r"`([^`]+)`")


def _with_code(text: str) -> Markup:
    """What stands between backticks as code: services write their messages so, for the API and for pages alike."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(Markup.escape(text))))  # noqa: S704  # escaped
