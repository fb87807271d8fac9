"""Reads the forms of a page as a browser would submit them."""

from html.parser import HTMLParser

import msgspec


class Form(msgspec.Struct):
    """`fields` holds what is submitted if nothing is changed: hidden values, preset texts, chosen options."""

    action: str
    method: str
    fields: dict[str, str]


class _FormParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._open: Form | None = None
        self._textarea: str | None = None
        self._select: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        got = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = Form(got.get("action", ""), got.get("method", "get").lower(), {})
            self.forms.append(self._open)
        elif self._open is None:
            return
        elif tag == "input":
            self._input(self._open, got, {name for name, _ in attrs})
        elif tag == "textarea" and "name" in got:
            self._textarea = got["name"]
            self._open.fields[got["name"]] = ""
        elif tag == "select" and "name" in got:
            self._select = got["name"]
        elif tag == "option" and self._select is not None:
            chosen = any(name == "selected" for name, _ in attrs)
            if chosen or self._select not in self._open.fields:
                self._open.fields[self._select] = got.get("value", "")

    def _input(self, form: Form, got: dict[str, str], names: set[str]) -> None:
        name = got.get("name")
        kind = got.get("type", "text").lower()
        if name is None or kind in {"submit", "button", "image", "reset", "file"}:
            return
        if kind in {"checkbox", "radio"}:
            if "checked" in names:
                form.fields[name] = got.get("value", "on")
            return
        form.fields[name] = got.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None
        elif tag == "textarea":
            self._textarea = None
        elif tag == "select":
            self._select = None

    def handle_data(self, data: str) -> None:
        if self._open is not None and self._textarea is not None:
            self._open.fields[self._textarea] += data


def post_form(html: str, *, action: str) -> Form | None:
    """The first form of the page that posts to this path, or None."""
    parser = _FormParser()
    parser.feed(html)
    parser.close()
    for form in parser.forms:
        if form.method == "post" and form.action.split("?", 1)[0] == action:
            return form
    return None
