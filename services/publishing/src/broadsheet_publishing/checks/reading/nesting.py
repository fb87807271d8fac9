"""Whether HTML may be parsed into a tree: parsers take seconds for what is nested very deep; pure.

One pass over the tags, in linear time. The depth is an estimate that follows the parser's rules closely for HTML that
people and programs write; what is made to deceive it is bounded by `TAGS_MAX`, at which the parser takes a second.
"""

import re
from typing import Final

from broadsheet_common.mail.visible_html import ATTRIBUTES, TAG, TAGS_MAX

HTML_BYTES_MAX: Final = 1024 * 1024
"""Ten times what Gmail shows."""
DEPTH_MAX: Final = 512
"""Browsers stop there too."""
ATTRIBUTES_MAX: Final = 200
"""Of one tag: the parser compares each with each."""
_REOPENED_MAX: Final = 200_000
"""Elements that a parser opens again because a `<b>` or `<font>` was never closed: copies of them in each block."""

_MARKUP: Final = re.compile(r"<(?:!--|/?([a-zA-Z][^ \t\n\f\r/>]*+)|[!?]|/(?!$))")
_COMMENT_END: Final = re.compile("--!?>")
_VOID: Final = frozenset({
    "area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "input", "keygen", "link",
    "meta", "param", "source", "track", "wbr",
})  # fmt: skip
_END_LEFT_OUT: Final = frozenset({
    "p", "td", "th", "tr", "tbody", "thead", "tfoot", "colgroup", "caption", "html", "head", "body",
})  # fmt: skip
_ITEMS: Final = {"li": frozenset({"li"}), "dd": frozenset({"dd", "dt"}), "dt": frozenset({"dd", "dt"})}
_FORMATTING: Final = frozenset({
    "a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u",
})  # fmt: skip
_RAW_TEXT: Final = frozenset({"iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp"})
_RAW_TEXT_END: Final = {name: re.compile(rf"</{name}", re.IGNORECASE | re.ASCII) for name in _RAW_TEXT}
_FOREIGN: Final = frozenset({"svg", "math"})
_BARRIERS: Final = frozenset({
    "applet", "button", "marquee", "object", "select", "svg", "math", "table", "template",
})  # fmt: skip
"""An end tag in one of these does not close what is outside of it."""
_STAYS_WITHIN: Final = frozenset({"applet", "button", "marquee", "object", "select"})
_SPECIAL: Final = frozenset({
    "address", "article", "aside", "blockquote", "center", "details", "dialog", "dir", "div", "dl", "fieldset",
    "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "li", "dd",
    "dt", "listing", "main", "menu", "nav", "ol", "plaintext", "pre", "search", "section", "summary", "ul",
    *_BARRIERS, *_RAW_TEXT,
})  # fmt: skip
"""Their end tags close what is open within them; those of other elements close nothing that is around one of these."""


def why_not_parsed(html: str) -> str | None:
    """A sentence if the HTML should not be parsed; None: it may be."""
    if len(html) > HTML_BYTES_MAX or len(html.encode("utf-8", "replace")) > HTML_BYTES_MAX:
        return f"The HTML has more than {HTML_BYTES_MAX} bytes."
    return Scan(html).fault()


class Scan:
    def __init__(self, html: str, *, depth_max: int = DEPTH_MAX) -> None:
        self._html = html
        self._depth_max = depth_max
        self._open: list[str] = []
        self._formatting = 0
        self._reopened = 0
        self._foreign = False
        # How many elements were open when a `<p>` began that has not ended.
        self._paragraph: int | None = None
        self.deepest = 0

    def fault(self) -> str | None:  # noqa: C901  # one pass over the text: what each piece of markup does
        html, position, tags = self._html, 0, 0
        while (found := _MARKUP.search(html, position)) is not None:
            if found[1] is None:
                if html.startswith("<![CDATA[", found.start()):
                    return "The HTML has a CDATA section, which mail programs read in different ways."
                end = self._end_of_comment(found)
                if end is None:
                    return None
                position = end
                continue
            tags += 1
            if tags > TAGS_MAX:
                return f"The HTML has more than {TAGS_MAX} tags."
            tag = TAG.match(html, found.start())
            if tag is None:
                return "A tag of the HTML is never closed, or broken."
            position = tag.end()
            if sum(1 for _ in ATTRIBUTES.finditer(tag[3])) > ATTRIBUTES_MAX:
                return f"A tag of the HTML has more than {ATTRIBUTES_MAX} attributes."
            name = tag[2].lower()
            if tag[1]:
                self._close(name)
                continue
            if (fault := self._begin(name)) is not None:
                return fault
            if name in _RAW_TEXT and not self._foreign:
                text_end = _RAW_TEXT_END[name].search(html, position)
                if text_end is None:
                    return None
                position = text_end.start()
        return None

    def _end_of_comment(self, found: re.Match[str]) -> int | None:
        """Also of what parsers take as a comment: `<!x>`, `<?x>`, `</3>`."""
        html, start = self._html, found.start()
        if html.startswith("<!--", start):
            for empty in ("<!-->", "<!--->"):
                if html.startswith(empty, start):
                    return start + len(empty)
            closing = _COMMENT_END.search(html, start + 4)
            return closing.end() if closing else None
        end = html.find(">", start)
        return end + 1 if end >= 0 else None

    def _begin(self, name: str) -> str | None:
        self._foreign = self._foreign or name in _FOREIGN
        self._reopened += self._formatting
        if name in {"frameset", "plaintext"}:
            return f"The HTML has a <{name}>, after which no mail program shows anything."
        if name == "p":
            self._paragraph = len(self._open)
        # Within SVG any element may hold any other.
        if self._foreign or not (name in _VOID or name in _END_LEFT_OUT):
            if name in _ITEMS and self._open and self._open[-1] in _ITEMS[name]:
                self._open.pop()
            self._open.append(name)
            self._formatting += name in _FORMATTING
            self.deepest = max(self.deepest, len(self._open))
        if self.deepest > self._depth_max:
            return f"The HTML is nested more than {self._depth_max} levels deep."
        if self._reopened > _REOPENED_MAX:
            return "Too many of the HTML's tags are never closed."
        return None

    def _close(self, name: str) -> None:
        if name in _END_LEFT_OUT and not self._foreign:
            self._paragraph = None if name == "p" else self._paragraph
            return
        open_ = self._open
        for place in range(len(open_) - 1, -1, -1):
            if open_[place] == name:
                break
            above = open_[place]
            if above in _STAYS_WITHIN or (above in _BARRIERS and name not in _BARRIERS):
                return
            if above in _SPECIAL and name not in _SPECIAL and name not in _FORMATTING:
                return
        else:
            return
        if self._paragraph is not None and self._paragraph > place and name not in _FORMATTING:
            if name not in _SPECIAL:
                return
            self._paragraph = None
        # A `<b>` within it is opened again behind it; the end of a form, a drawing or formatting closes only that.
        closes_alone = name in _FORMATTING or name in _FOREIGN or name == "form"
        within = open_[place + 1 :]
        open_[place:] = within if closes_alone else [one for one in within if one in _FORMATTING]
        self._formatting = (
            sum(one in _FORMATTING for one in open_) if within else self._formatting - (name in _FORMATTING)
        )
        self._foreign = self._foreign and any(one in _FOREIGN for one in open_)
