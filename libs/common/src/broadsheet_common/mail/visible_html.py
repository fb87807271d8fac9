"""What a reader of an HTML mail sees: whether a link is visible, and where visible content can be added; pure.

One pass over the text with the tokenizer's rules of the HTML standard
(https://html.spec.whatwg.org/#tokenization). No tree is built, so deep or broken markup takes linear time too.
Doubtful content counts as not visible: comments (including Outlook's conditional ones), what is in a hidden
element or in one that no mail program shows, markup that is never closed, and what follows it.
"""

import html
import re
from typing import Final

import msgspec

TAGS_MAX: Final = 10_000
"""Content after this many tags is not read, and counts as not visible. A mail of 100 KB has about 2,000."""

_SPACE: Final = r"[ \t\n\f\r]"
_VALUE: Final = r"""(?:"[^"]*+"|'[^']*+'|[^ \t\n\f\r"'>][^ \t\n\f\r>]*+)"""
_ATTRIBUTE: Final = rf"[^ \t\n\f\r/>=][^ \t\n\f\r/>=]*+(?:{_SPACE}*+={_SPACE}*+{_VALUE})?+"
TAG: Final = re.compile(rf"<(/?)([a-zA-Z][^ \t\n\f\r/>]*+)((?:[ \t\n\f\r/]++|{_ATTRIBUTE})*+)>")
"""One whole tag: `/` of an end, its name, and its attributes as they are written."""
ATTRIBUTES: Final = re.compile(rf"([^ \t\n\f\r/>=][^ \t\n\f\r/>=]*+)(?:{_SPACE}*+={_SPACE}*+({_VALUE}))?+")
_COMMENT_END: Final = re.compile("--!?>")
_MAY_HIDE: Final = re.compile("hidden|style", re.IGNORECASE | re.ASCII)
_WORD: Final = re.compile(r"\w")
_CSS_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
_CSS_RULE: Final = re.compile(r"([^{}]*+)\{([^{}]*+)\}")
_HIDING: Final = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|opacity\s*:\s*0(?:\.0*)?(?![.\d])|mso-hide\s*:\s*all"
    r"|(?<![-\w])(?:max-)?(?:width|height)\s*:\s*0(?:\.0*)?(?:px|em|rem|pt|%)?(?![.\w%])|text-indent\s*:\s*-"
    r"|(?<![-\w])(?:left|top|right|bottom)\s*:\s*-\d{3}|(?<![-\w])clip(?:-path)?\s*:"
)
_HIDING_TEXT: Final = re.compile(
    r"font-size\s*:\s*0(?:\.0*)?(?:px|em|rem|pt|%)?(?![.\w%])|(?<![-\w])color\s*:\s*transparent"
)

# In the element's own style attribute: no style sheet has precedence over it.
_SHOWN_FOR_SURE: Final = re.compile(r"^display:inline!important(?:;|$)")

_VOID: Final = frozenset(
    {
        "area",
        "base",
        "basefont",
        "bgsound",
        "br",
        "col",
        "embed",
        "frame",
        "hr",
        "img",
        "input",
        "keygen",
        "link",
        "meta",
        "param",
        "source",
        "track",
        "wbr",
    }
)
_RAW_TEXT: Final = frozenset({"iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp"})
_UNSEEN: Final = frozenset(
    {
        "audio",
        "canvas",
        "datalist",
        "details",
        "dialog",
        "map",
        "math",
        "noscript",
        "object",
        "optgroup",
        "option",
        "select",
        "svg",
        "template",
        "video",
    }
)
_FOREIGN: Final = frozenset({"math", "svg"})
_ENDS_ALL: Final = frozenset({"frameset", "plaintext"})


class SeenHtml(msgspec.Struct, frozen=True):
    """`text` is the visible text, with entities decoded. `footer_at` is an index at which an added paragraph is
    visible, near the end if possible; None if everything is hidden. `is_everybodys`: see `look_at_html`.
    `is_closed`: the source does not affect how anything after it is shown.
    """

    shows_link: bool
    text: str
    footer_at: int | None
    is_everybodys: bool
    is_closed: bool


class Marks(msgspec.Struct, frozen=True):
    """Placeholder characters for what differs between mails: `value` for an escaped value, `part` for any markup."""

    value: str
    part: str


def look_at_html(source: str, url: str, *, marks: Marks | None = None, tags_max: int = TAGS_MAX) -> SeenHtml:
    """Whether `source` contains a visible link to `url`, with words to click on.

    The result `is_everybodys`, valid for all mails, if what replaces the marks cannot change what is visible. So
    values may only be in text and in quoted values of attributes that hide nothing; parts, if they are closed,
    only in visible text outside links.
    """
    return _Look(source, url, marks, tags_max).seen()


class _Look:
    def __init__(self, source: str, url: str, marks: Marks | None, tags_max: int) -> None:
        self._source = source
        self._url = url
        self._marks = marks
        self._tags_left = tags_max
        self._is_everybodys = True
        self._is_broken = False
        self._all_hidden = False
        # The outermost hidden element, and the elements open within it.
        self._hidden: list[str] = []
        self._in_condition = False
        self._texts: list[str] = []
        self._link: list[str] | None = None
        self._link_names: set[str] = set()
        self._links: list[set[str]] = []
        self._css: list[str] = []
        self._end_at: int | None = None
        self._begin_at = 0

    def seen(self) -> SeenHtml:
        source, position = self._source, 0
        while True:
            opening = source.find("<", position)
            self._read_text(position, len(source) if opening < 0 else opening)
            if opening < 0:
                break
            end = self._read_markup(opening)
            if end is None:
                self._is_broken = True
                break
            position = end
        is_closed = not (self._is_broken or self._hidden or self._in_condition or self._css or self._link is not None)
        self._end_link()
        return SeenHtml(
            shows_link=not self._all_hidden and self._shows_link(),
            text=html.unescape("".join(self._texts)),
            footer_at=self._footer_at(),
            is_everybodys=self._is_everybodys,
            is_closed=is_closed,
        )

    def _shows_link(self) -> bool:
        hidden_by_css = self._hidden_by_css() if self._links and self._css else frozenset()
        return any(not names & hidden_by_css for names in self._links)

    def _footer_at(self) -> int | None:
        if self._all_hidden:
            return None
        if self._end_at is not None:
            return self._end_at
        is_seen_at_the_end = not (self._is_broken or self._hidden or self._in_condition)
        return len(self._source) if is_seen_at_the_end else self._begin_at

    def _read_text(self, start: int, end: int) -> None:
        if self._marks is not None and (self._hidden or self._in_condition or self._link is not None):
            self._no_part_in(self._source[start:end])
        if start < end and not self._hidden and not self._in_condition:
            text = self._source[start:end]
            self._texts.append(text)
            if self._link is not None:
                self._link.append(text)

    def _no_part_in(self, text: str) -> None:
        if self._marks is not None and self._marks.part in text:
            self._is_everybodys = False

    def _no_mark_in(self, text: str) -> None:
        if self._marks is not None and (self._marks.part in text or self._marks.value in text):
            self._is_everybodys = False

    def _read_markup(self, start: int) -> int | None:
        """The index after the markup; None if its end cannot be determined."""
        source = self._source
        if source.startswith("<!--", start):
            return self._read_comment(start)
        following = source[start + 1 : start + 2]
        letter = source[start + 2 : start + 3] if following == "/" else following
        if letter.isascii() and letter.isalpha():
            self._tags_left -= 1
            tag = TAG.match(source, start)
            if tag is None or self._tags_left < 0:
                return None
            return self._read_tag(tag)
        if following in {"!", "?"} or (following == "/" and letter):
            end = source.find(">", start)
            if end < 0:
                return None
            self._no_mark_in(source[start:end])
            self._read_condition(source[start + 2 : end])
            if following == "!" and source[start + 2 : start + 9].lower() == "doctype" and not self._begin_at:
                self._begin_at = end + 1
            return end + 1
        if not letter:
            # What is added after the end may turn this into a tag.
            return None
        # A mark may stand for a letter, which would begin a tag.
        self._no_mark_in(following + letter)
        self._read_text(start, start + 1)
        return start + 1

    def _read_comment(self, start: int) -> int | None:
        source = self._source
        for empty in ("<!-->", "<!--->"):
            if source.startswith(empty, start):
                return start + len(empty)
        end = _COMMENT_END.search(source, start + 4)
        if end is None:
            return None
        self._no_part_in(source[start : end.end()])
        self._read_condition(source[start + 4 : end.start()])
        return end.end()

    def _read_condition(self, comment: str) -> None:
        """`<![if !mso]>` or `<!--[if !mso]><!-->`: the following content is for some mail programs only."""
        said = comment.strip(" \t\n\f\r!-<>").lower()
        if not said.startswith("["):
            return
        self._no_mark_in(comment)
        # A condition that ends in the same comment affects nothing after it.
        self._in_condition = "[endif" not in said and (self._in_condition or said.startswith("[if"))

    def _read_tag(self, tag: re.Match[str]) -> int | None:
        is_end, name, written = bool(tag[1]), tag[2].lower(), tag[3]
        if self._marks is not None:
            self._no_part_in(tag[0])
            if self._marks.value in tag[0] and not _only_in_harmless_values(written, self._marks.value):
                self._is_everybodys = False
        if is_end:
            return self._read_end(name, tag)
        if name in _ENDS_ALL:
            return None
        if name in _RAW_TEXT:
            return self._read_raw_text(name, tag.end())
        if self._hidden or name in _UNSEEN:
            self._read_within_hidden(name, written)
        elif name == "a" or _MAY_HIDE.search(written):
            return self._read_attributes(name, written, tag.end())
        elif name == "body" and not self._in_condition:
            self._begin_at = tag.end()
        return tag.end()

    def _read_within_hidden(self, name: str, written: str) -> None:
        outermost = self._hidden[0] if self._hidden else name
        closes_itself = written.endswith("/") and outermost in _FOREIGN
        if name not in _VOID and not closes_itself:
            self._hidden.append(name)

    def _read_attributes(self, name: str, written: str, end: int) -> int | None:
        attributes = _attributes(written)
        style = attributes.get("style", "")
        is_hidden = "hidden" in attributes or _hides(style) or (name == "a" and _hides(style, text_too=True))
        if name == "a":
            self._end_link()
        if is_hidden:
            if name in {"html", "body"}:
                self._all_hidden = True
                return None
            if name not in _VOID:
                self._hidden = [name]
            return end
        if name == "a" and not self._in_condition and attributes.get("href", "").strip(" \t\n\f\r") == self._url:
            self._link = []
            self._link_names = {"a", f"#{attributes.get('id', '')}"}
            self._link_names |= {f".{word}" for word in attributes.get("class", "").split()}
            if _SHOWN_FOR_SURE.search(style):
                self._link_names = set()
        elif self._link is not None and _hides(style, text_too=True) and name not in _VOID:
            self._hidden = [name]
        if name == "body" and not self._in_condition:
            self._begin_at = end
        return end

    def _read_end(self, name: str, tag: re.Match[str]) -> int | None:
        if self._hidden:
            if name != self._hidden[-1]:
                # Browsers repair such nesting in other ways, so the end of the hidden element cannot be determined.
                return None
            self._hidden.pop()
        elif name == "a":
            self._end_link()
        elif name in {"body", "html"} and not self._in_condition and (name == "body" or self._end_at is None):
            self._end_at = tag.start()
        return tag.end()

    def _read_raw_text(self, name: str, start: int) -> int | None:
        end = _raw_text_end(name).search(self._source, start)
        if end is None:
            return None
        text = self._source[start : end.start()]
        if name == "style":
            self._css.append(text)
        self._no_part_in(text)
        if name not in {"title", "textarea"}:
            self._no_mark_in(text)
        return None if name == "script" and "<!--" in text else end.end()

    def _end_link(self) -> None:
        if self._link is not None and _WORD.search(html.unescape("".join(self._link))):
            self._links.append(self._link_names)
        self._link = None

    def _hidden_by_css(self) -> frozenset[str]:
        """Elements, classes and ids that a style sheet hides, at least in some mail programs."""
        css = _CSS_COMMENT.sub(" ", "\n".join(self._css))
        names: set[str] = set()
        for rule in _CSS_RULE.finditer(css):
            if _hides(rule[2], text_too=True):
                for selector in rule[1].split(","):
                    words = re.findall(r"(?:^|[.#])[\w-]+", selector.strip().split()[-1] if selector.strip() else "")
                    names.update(words[-1:])
        return frozenset(names)


_RAW_TEXT_ENDS: Final = {
    name: re.compile(rf"</{name}[ \t\n\f\r/][^>]*+>|</{name}>", re.IGNORECASE | re.ASCII) for name in _RAW_TEXT
}


def _raw_text_end(name: str) -> re.Pattern[str]:
    return _RAW_TEXT_ENDS[name]


def _attributes(written: str) -> dict[str, str]:
    """Attributes by name. If a name comes twice, the first counts, as in browsers."""
    found: dict[str, str] = {}
    for match in ATTRIBUTES.finditer(written):
        value = match[2] or ""
        unquoted = value[1:-1] if value[:1] in {'"', "'"} else value
        found.setdefault(match[1].lower(), html.unescape(unquoted))
    return found


def _hides(style: str, *, text_too: bool = False) -> bool:
    if not style:
        return False
    plain = _CSS_COMMENT.sub("", style).lower()
    # An escape may spell any property or value.
    return "\\" in plain or bool(_HIDING.search(plain)) or (text_too and bool(_HIDING_TEXT.search(plain)))


_HARMLESS: Final = frozenset({"alt", "href", "src", "title", "aria-label", "content", "value"})


def _only_in_harmless_values(written: str, merged: str) -> bool:
    rest = written
    for match in ATTRIBUTES.finditer(written):
        if merged in match[0]:
            value = match[2] or ""
            is_quoted = value[:1] in {'"', "'"}
            if not is_quoted or match[1].lower() not in _HARMLESS or merged in match[1]:
                return False
            rest = rest.replace(match[0], "")
    return merged not in rest
