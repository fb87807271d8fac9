"""What the list of faults above a form says: the names that people see at the fields, and a way to each of them."""

from html.parser import HTMLParser

import msgspec
import pytest

from broadsheet_gateway.pages import Pages
from broadsheet_gateway.pages.preview_samples import sample_pages

_VOID = frozenset({"meta", "link", "input", "br", "wbr", "hr", "img"})
# The fault of a hidden field, which nobody can correct where it is.
_WITHOUT_A_FIELD = frozenset({"The form carries no key. Load the page again and send it from there."})


class _Element(msgspec.Struct):
    tag: str
    attributes: dict[str, str]
    around: "tuple[_Element, ...]"
    text: str = ""


class _Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[_Element] = []
        self._open: list[_Element] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = _Element(tag, {name: value or "" for name, value in attrs}, tuple(self._open))
        self.elements.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Parts of pictures, which hold nothing."""

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002  # they nest, as test_markup.py says
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def inside(self, outer: _Element, tag: str) -> list[_Element]:
        return [one for one in self.elements if one.tag == tag and outer in one.around]

    def names_of(self, control: _Element) -> list[str]:
        """What a control is called where it stands: its label, and the heading of the group that it is in."""
        number = control.attributes["id"]
        names = [one.text for one in self.elements if one.tag == "label" and one.attributes.get("for") == number]
        groups = [one for one in (control, *control.around) if one.tag == "fieldset"]
        names += [legend.text for group in groups for legend in self.inside(group, "legend")[:1]]
        return [name.strip() for name in names]


def _summaries() -> dict[str, _Page]:
    pages = Pages()
    drawn = {name: _Page(pages.render(view)) for name, view in sample_pages().items()}
    return {name: page for name, page in drawn.items() if _items(page)}


def _items(page: _Page) -> list[_Element]:
    titles = [one for one in page.elements if one.attributes.get("id") == "error-summary-title"]
    return [item for title in titles for item in page.inside(title.around[-1], "li")]


_SUMMARIES = _summaries()


@pytest.fixture(params=list(_SUMMARIES))
def page(request: pytest.FixtureRequest) -> _Page:
    return _SUMMARIES[request.param]


def test_each_fault_leads_to_its_field(page: _Page) -> None:
    ids = {one.attributes["id"] for one in page.elements if "id" in one.attributes}
    for item in _items(page):
        targets = [link.attributes["href"].removeprefix("#") for link in page.inside(item, "a")]
        assert item.text in _WITHOUT_A_FIELD or len(targets) == 1, item.text
        assert set(targets) <= ids


def test_a_fault_is_named_as_its_field_is(page: _Page) -> None:
    """Or, as that of a box, begins with its message. A name may say more than the label, or less: its beginning."""
    for item in _items(page):
        for link in page.inside(item, "a"):
            (control,) = (
                one for one in page.elements if one.attributes.get("id") == link.attributes["href"].removeprefix("#")
            )
            is_box = control.tag == "input" and control.attributes.get("type") == "checkbox"
            name = link.text.partition(":")[0]
            names = page.names_of(control)
            assert is_box or any(name.startswith(one) or one.startswith(name) for one in names), (link.text, names)


def test_whatever_is_at_fault_is_marked(page: _Page) -> None:
    for item in _items(page):
        for link in page.inside(item, "a"):
            (control,) = (
                one for one in page.elements if one.attributes.get("id") == link.attributes["href"].removeprefix("#")
            )
            assert control.attributes.get("aria-invalid") == "true", link.text
            assert any("field-invalid" in one.attributes.get("class", "") for one in (control, *control.around)), link


def test_messages_show_code_as_code(page: _Page) -> None:
    assert "`" not in "".join(item.text for item in _items(page))
