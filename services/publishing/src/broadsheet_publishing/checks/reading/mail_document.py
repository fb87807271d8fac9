"""The HTML of a mail as a tree, read once: links, pictures, style and visible text; pure."""

from collections.abc import Iterator
from typing import Final

import msgspec
from selectolax.lexbor import LexborHTMLParser, LexborNode

from broadsheet_publishing.checks.reading.style import Style, Styles, StyleSheet

_NOT_SHOWN: Final = frozenset({"head", "script", "style", "template", "title", "noscript", "textarea", "select"})
_ACTIVE: Final = frozenset({"script", "iframe", "object", "embed", "applet", "base"})
_FIRST_ELEMENTS: Final = 8
"""A `dir` on one of these is the mail's: some mail programs drop those of `<html>` and `<body>`."""
_BLOCKS: Final = frozenset({
    "address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "figure", "footer", "h1", "h2", "h3",
    "h4", "h5", "h6", "header", "hr", "li", "main", "ol", "p", "pre", "section", "table", "td", "th", "tr", "ul",
})  # fmt: skip


class Link(msgspec.Struct):
    """`label`: its text, with the alternative texts of pictures in it."""

    href: str
    attributes: dict[str, str | None]
    label: str = ""


class Image(msgspec.Struct, frozen=True):
    attributes: dict[str, str | None]
    in_link: bool


class Colours(msgspec.Struct, frozen=True):
    """What colours text has, as they are written; None: whatever the mail program takes."""

    text: str | None = None
    background: str | None = None


class Element(msgspec.Struct, frozen=True):
    """`style` is what its own attribute says."""

    tag: str
    attributes: dict[str, str | None]
    style: Style


class MailDocument:
    """Everything the checks need. The HTML must have passed `nesting.why_not_parsed`, and hold no Liquid."""

    def __init__(self, html: str) -> None:
        self.links: list[Link] = []
        self.images: list[Image] = []
        self.elements: list[Element] = []
        self.targets: set[str] = set()
        """Ids, and names of anchors: what `#…` may lead to."""
        self.active: list[str] = []
        """Elements and attributes that mail programs remove because they act."""
        self.language: str | None = None
        self.direction: str | None = None
        self.colours: dict[Colours, int] = {}
        """The pairs of colours that text has, and how many characters of it."""
        self.sheets: list[StyleSheet] = []
        self._texts: list[str] = []
        self._styles = Styles()
        tree = LexborHTMLParser(html)
        if tree.root is not None:
            self._read_sheets(tree)
            self._read(tree.root)
        self.text = "".join(self._texts)
        """Visible text; a line for each block."""

    def _read_sheets(self, tree: LexborHTMLParser) -> None:
        self.sheets = [self._styles.sheet(node.text(deep=True)) for node in tree.css("style")]

    def _read(self, root: LexborNode) -> None:
        # By the node's address: the link that it is in, the colours of text in it, and whether it is shown.
        links: dict[int, Link | None] = {}
        colours: dict[int, Colours] = {}
        hidden: set[int] = set()
        for node in root.traverse(include_text=True):
            parent = node.parent
            above = parent.mem_id if parent is not None else 0
            tag = node.tag or ""
            if tag == "-text":
                if above not in hidden:
                    self._read_text(node.text_content or "", links.get(above), colours.get(above, Colours()))
                continue
            if tag.startswith("-") or tag == "!doctype":
                continue
            attributes = node.attributes
            style = self._styles.inline(attributes.get("style") or "")
            element = Element(tag, attributes, style)
            self.elements.append(element)
            here = node.mem_id
            if above in hidden or tag in _NOT_SHOWN or "hidden" in attributes or style.hides:
                hidden.add(here)
            links[here] = self._read_element(element, links.get(above), is_hidden=here in hidden)
            colours[here] = self._colours_of(element, colours.get(above, Colours()))
            if tag in _BLOCKS and here not in hidden:
                self._texts.append("\n")

    def _read_element(self, element: Element, link: Link | None, *, is_hidden: bool) -> Link | None:
        """The link that the element's content is in."""
        tag, attributes = element.tag, element.attributes
        for name in ("id", *(("name",) if tag == "a" else ())):
            if attributes.get(name):
                self.targets.add(attributes[name] or "")
        if tag in _ACTIVE:
            self.active.append(f"<{tag}>")
        self.active += [name for name in attributes if name.startswith("on")]
        if tag in {"html", "body"} or (
            self.direction is None and tag in {"div", "table"} and len(self.elements) <= _FIRST_ELEMENTS
        ):
            self.direction = (attributes.get("dir") or self.direction or "").lower() or None
            self.language = (attributes.get("lang") or self.language or "").lower() or None
        if tag in {"a", "area"} and "href" in attributes:
            link = Link(attributes["href"] or "", attributes, attributes.get("aria-label") or "")
            if tag == "area":
                link.label += attributes.get("alt") or ""
            self.links.append(link)
        elif tag == "img":
            self.images.append(Image(attributes, in_link=link is not None))
            if link is not None:
                link.label += attributes.get("alt") or ""
        elif link is not None and not is_hidden:
            link.label += attributes.get("aria-label") or ""
        return link

    def _colours_of(self, element: Element, above: Colours) -> Colours:
        attributes = element.attributes
        text, background = above.text, above.background
        for style in (*(sheet.style_of(element.tag, attributes) for sheet in self.sheets), element.style):
            text = style.colour or text
            background = style.background or background
        text = (attributes.get("color") if element.tag == "font" else attributes.get("text")) or text
        background = attributes.get("bgcolor") or attributes.get("background") or background
        return above if (text, background) == (above.text, above.background) else Colours(text, background)

    def _read_text(self, text: str, link: Link | None, colours: Colours) -> None:
        self._texts.append(text)
        if link is not None:
            link.label += text
        shown = len(text.strip())
        if shown:
            self.colours[colours] = self.colours.get(colours, 0) + shown

    @property
    def is_whole(self) -> bool:
        """Whether all of its style was read."""
        return self._styles.is_whole and all(sheet.is_whole for sheet in self.sheets)

    def styles(self) -> Iterator[Style]:
        """Every different style of an attribute, and of a rule."""
        yield from self._styles.distinct()
        for sheet in self.sheets:
            yield from sheet.styles()
