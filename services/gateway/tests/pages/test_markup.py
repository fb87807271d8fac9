"""What must hold for the HTML of every page in every state: accessible, well-formed, and safe under our CSP."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import wraps
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import get_type_hints

import msgspec
import pytest

from broadsheet_gateway.pages import Pages
from broadsheet_gateway.pages.preview_samples import sample_pages
from broadsheet_gateway.pages.views import PageView

_VOID = frozenset({"meta", "link", "input", "br", "hr", "img", "wbr"})
_SVG_EMPTY = frozenset({"path", "circle", "rect"})
_HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&amp;{{ 7*7 }}\u2028"


_IS_HOSTILE = ", hostile"


class Element(msgspec.Struct):
    tag: str
    attributes: dict[str, str]
    text: str = ""
    # Tags of the elements around it, the outermost first.
    around: tuple[str, ...] = ()


class ParsedPage(HTMLParser):
    """The elements of a page in document order; raises AssertionError for tags that do not nest."""

    def __init__(self, name: str, html: str, view: PageView) -> None:
        super().__init__(convert_charrefs=True)
        self.name = name
        self.view = view
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(html)
        self.close()
        assert self._open == [], f"left open: {[element.tag for element in self._open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute twice on <{tag}>: {names}"
        element = Element(tag, {name: value or "" for name, value in attrs}, around=tuple(o.tag for o in self._open))
        self.elements.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _SVG_EMPTY, f"<{tag}/> is not closed in HTML"
        self.handle_starttag(tag, attrs)
        self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1].tag == tag, f"</{tag}> inside <{self._open[-1].tag}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, *tags: str) -> list[Element]:
        return [element for element in self.elements if element.tag in tags]

    @property
    def ids(self) -> list[str]:
        return [element.attributes["id"] for element in self.elements if "id" in element.attributes]


def _hostile_value(value: object, hint: object) -> object:
    """The same value with every free text in it replaced by markup that tries to break out."""
    if isinstance(value, msgspec.Struct):
        return _hostile_struct(value)
    if isinstance(value, tuple):
        return tuple(_hostile_value(item, str if type(item) is str else None) for item in value)
    if isinstance(value, dict):
        return {key: _hostile_value(item, str if type(item) is str else None) for key, item in value.items()}
    return _HOSTILE if hint in {str, str | None} else value


def _hostile_struct(struct: msgspec.Struct) -> msgspec.Struct:
    hints = get_type_hints(type(struct))
    # Anchors and paths are made by us from a fixed alphabet; everything else is data.
    changes = {
        name: _hostile_value(getattr(struct, name), hints[name])
        for name in struct.__struct_fields__
        if name != "anchor" and not name.endswith("_path")
    }
    return msgspec.structs.replace(struct, **changes)


def _all_views() -> Iterator[tuple[str, PageView]]:
    for name, view in sample_pages().items():
        yield name, view
        hostile = _hostile_struct(view)
        assert isinstance(hostile, PageView)
        yield f"{name}{_IS_HOSTILE}", hostile


_VIEWS = dict(_all_views())


@pytest.fixture(scope="module")
def pages() -> Pages:
    return Pages()


@pytest.fixture(scope="module")
def parsed(pages: Pages) -> dict[str, ParsedPage]:
    return {name: ParsedPage(name, pages.render(view), view) for name, view in _VIEWS.items()}


def _faults(parsed: dict[str, ParsedPage], rule: Callable[[ParsedPage], None]) -> dict[str, str]:
    """What the rule finds, by the page's name."""
    found: dict[str, str] = {}
    for name, page in parsed.items():
        try:
            rule(page)
        except (AssertionError, LookupError, ValueError) as error:  # no such attribute, or not the one element
            found[name] = f"{type(error).__name__}: {error}"
    return found


def of_every_page(rule: Callable[[ParsedPage], None]) -> Callable[[dict[str, ParsedPage]], None]:
    """One test a rule, which names every page at fault: one test a page and rule is thousands of them."""

    @wraps(rule)
    def test(parsed: dict[str, ParsedPage]) -> None:
        assert _faults(parsed, rule) == {}

    del test.__wrapped__  # or pytest asks for the rule's argument
    return test


def test_a_rule_names_the_pages_that_break_it(parsed: dict[str, ParsedPage]) -> None:
    def rule(page: ParsedPage) -> None:
        assert page is not parsed["home"]
        assert page.ids[0] is not None

    assert set(_faults(dict.fromkeys(("home", "login"), parsed["home"]), rule)) == {"home", "login"}
    assert set(_faults({name: parsed[name] for name in ("home", "login")}, rule)) == {"home"}


def _subclasses(kind: type[PageView]) -> Iterator[type[PageView]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def test_every_view_has_a_sample_and_every_page_template_a_view() -> None:
    views = {kind for kind in _subclasses(PageView) if "template" in vars(kind)}
    assert {type(view) for view in sample_pages().values()} == views
    for_readers = {"readers/public.html", "readers/own.html", "readers/archive.html"}
    bases = {"layout.html", "product.html", "admin.html", "account/account.html", *for_readers}
    folder = Path(str(files("broadsheet_gateway.pages").joinpath("templates")))
    templates = {
        path.relative_to(folder).as_posix() for path in folder.rglob("*.html") if not path.name.startswith("_")
    }
    assert {kind.template for kind in views} == templates - bases


@of_every_page
def test_language_title_and_landmarks_are_there(page: ParsedPage) -> None:
    (html,) = page.all("html")
    assert html.attributes["lang"] == page.view.language_tag
    assert html.attributes.get("dir", "ltr") == page.view.direction
    (body,) = page.all("body")
    # Where English stands in for a language without a catalogue, screen readers are told so.
    assert body.attributes.get("lang", html.attributes["lang"].partition("-")[0]) == page.view.words
    (title,) = (element for element in page.all("title") if "svg" not in element.around)
    assert title.text.strip()
    assert [element.attributes.get("id") for element in page.all("main")] == ["main"]
    assert len([element for element in page.all("header") if element.around == ("html", "body")]) == 1
    unnamed = [nav for nav in page.all("nav", "aside") if not {"aria-label", "aria-labelledby"} & set(nav.attributes)]
    assert unnamed == []


@of_every_page
def test_the_first_link_skips_to_the_content(page: ParsedPage) -> None:
    assert page.all("a")[0].attributes["href"] == "#main"


@of_every_page
def test_one_h1_and_no_level_is_jumped(page: ParsedPage) -> None:
    levels = [int(element.tag[1]) for element in page.all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels)), levels
    assert all(element.text.strip() for element in page.all("h1", "h2", "h3", "h4"))


@of_every_page
def test_ids_are_unique_and_references_lead_somewhere(page: ParsedPage) -> None:
    assert [name for name, count in Counter(page.ids).items() if count > 1] == []
    ids = set(page.ids)
    for element in page.elements:
        for attribute in ("aria-describedby", "aria-labelledby", "for", "popovertarget"):
            assert set(element.attributes.get(attribute, "").split()) <= ids, (attribute, element)
        href = element.attributes.get("href", "")
        if element.tag == "a" and href.startswith("#"):
            assert href[1:] in ids, href


@of_every_page
def test_every_control_has_a_label_and_every_button_a_name(page: ParsedPage) -> None:
    forms = [form.attributes["id"] for form in page.all("form") if "id" in form.attributes]
    labelled = [label.attributes["for"] for label in page.all("label") if label.text.strip()]
    for control in page.all("input", "textarea", "select"):
        if control.attributes.get("type") != "hidden":
            assert labelled.count(control.attributes["id"]) == 1, control
            assert "form" in control.around or control.attributes.get("form") in forms, control
    for button in page.all("button"):
        assert button.text.strip()
        # A button that submits nothing opens something; without scripts the browser does that for it.
        assert (button.attributes["type"] == "submit") == ("popovertarget" not in button.attributes), button


@of_every_page
def test_every_link_has_a_name(page: ParsedPage) -> None:
    """Also of something that has no name yet, such as a draft without a title."""
    if page.name.endswith(_IS_HOSTILE):
        return
    for link in page.all("a"):
        assert link.text.strip() or link.attributes.get("aria-label", "").strip(), link


@of_every_page
def test_a_message_at_a_field_is_tied_to_it(page: ParsedPage) -> None:
    messages = [name for name in page.ids if name.endswith("-error")]
    for message in messages:
        (control,) = (e for e in page.elements if e.attributes.get("id") == message.removesuffix("-error"))
        assert control.attributes["aria-invalid"] == "true"
        assert message in control.attributes["aria-describedby"].split()


@of_every_page
def test_nothing_that_the_content_security_policy_refuses(page: ParsedPage) -> None:
    (body,) = page.all("body")
    # Sent issues have a policy of their own: pictures, and in designed mails style. Their links lead anywhere.
    shows_mail = "archive" in body.attributes["class"].split()
    assert page.all("style", "object", "embed", "base", *(() if shows_mail else ("img",))) == []
    for frame in page.all("iframe"):
        # What is in it has a policy of its own; and it runs no scripts here, whatever that policy says.
        assert frame.attributes["title"]
        assert frame.attributes["src"].startswith("/admin/")
        allowed = {"allow-popups", "allow-popups-to-escape-sandbox", "allow-same-origin"}
        assert set(frame.attributes["sandbox"].split()) <= allowed
    for element in page.elements:
        refused = [name for name in element.attributes if name.startswith("on") or name == "style"]
        assert refused in ([], ["style"] if shows_mail else []), element
        if shows_mail and (element.tag in {"a", "img"} or element.attributes.get("rel") == "canonical"):
            continue
        if element.tag == "a" and "external" in element.attributes.get("rel", "").split():
            # To the provider that people sign in by, whose addresses are checked when it is asked for them; to the
            # local inbox, which a setting names; and to what the advice of a check names.
            continue
        for attribute in ("src", "href", "action", "formaction"):
            address = element.attributes.get(attribute, "/")
            assert address.startswith(("/", "#")), (element.tag, address)
            assert not address.startswith("//"), (element.tag, address)
    assert all(script.attributes["src"].startswith("/static/") and not script.text for script in page.all("script"))


def test_every_asset_that_a_page_names_exists(parsed: dict[str, ParsedPage], pages: Pages) -> None:
    named = {
        element.attributes.get("src") or element.attributes.get("href") or ""
        for page in parsed.values()
        for element in page.elements
    }
    assets = {address for address in named if address.startswith("/static/")}
    assert assets
    for address in assets:
        file = pages.static_file(address.removeprefix("/static/"))
        assert file is not None, address
        assert file.content, address


@of_every_page
def test_states_are_told_in_words_not_by_colour_alone(page: ParsedPage) -> None:
    told = [e for e in page.elements if {"chip", "notice", "sending"} & set(e.attributes.get("class", "").split())]
    assert all(element.text.strip() for element in told)
    assert all(svg.attributes["aria-hidden"] == "true" for svg in page.all("svg"))
    bars = [element for element in page.elements if element.attributes.get("role") == "progressbar"]
    assert all(bar.attributes["aria-label"] and bar.attributes["aria-valuenow"] for bar in bars)


@of_every_page
def test_session_forms_carry_the_token(page: ParsedPage) -> None:
    """A form that only looks for something is a GET, and carries none: the address that it makes can be passed on. A
    form of the method `dialog` is of the browser alone: it has no address to be sent to.
    """
    posts = [form for form in page.all("form") if form.attributes["method"] == "post"]
    looks = [form for form in page.all("form") if form.attributes["method"] == "get"]
    stays = [form for form in page.all("form") if form.attributes["method"] == "dialog"]
    assert len(posts) + len(looks) + len(stays) == len(page.all("form"))
    assert not any("action" in form.attributes for form in stays)
    assert all(form.attributes.get("role") == "search" or "aria-label" in form.attributes for form in looks)
    admin_forms = [form for form in posts if form.attributes["action"].startswith("/admin/")]
    tokens = [e for e in page.all("input") if e.attributes.get("name") == "csrf_token" and e.attributes["value"]]
    assert len(tokens) == len(admin_forms)


@of_every_page
def test_hostile_text_is_shown_as_text(page: ParsedPage) -> None:
    assert not [script for script in page.all("script") if "alert" in script.text]
    if not page.name.endswith(_IS_HOSTILE):
        return
    (body,) = page.all("body")
    attribute_values = [value for element in page.elements for value in element.attributes.values()]
    is_shown = any(_HOSTILE in text for text in (body.text, *attribute_values))
    has_free_text = _VIEWS[page.name] != _VIEWS[page.name.removesuffix(_IS_HOSTILE)]
    assert is_shown == has_free_text
