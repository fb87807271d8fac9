"""CSS as the checks need it: of each block of declarations, what it uses and which colours it sets; pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
import tinycss2
from tinycss2.color3 import parse_color

CSS_CHARS_MAX: Final = 200_000
"""Of a whole mail; more is not read. tinycss2 takes about a second for a megabyte."""
_BRACKETS_MAX: Final = 100
_RULES_MAX: Final = 5_000
_NO_COLOUR: Final = frozenset({"inherit", "initial", "unset", "revert", "currentcolor", "transparent", "none"})
_COMPONENTS: Final = frozenset({"function", "() block", "[] block", "{} block"})


class Style(msgspec.Struct, frozen=True):
    """`colour`, `background`: as they are written, if they are set to something of their own."""

    declarations: tuple[tuple[str, str], ...] = ()
    functions: frozenset[str] = frozenset()
    units: frozenset[str] = frozenset()
    colour: str | None = None
    background: str | None = None
    hides: bool = False


EMPTY_STYLE: Final = Style()


class StyleSheet(msgspec.Struct, frozen=True):
    """`simple`: style by a selector of one type, class, id or `*`: as far as the checks follow the cascade."""

    simple: dict[str, Style]
    all_styles: tuple[Style, ...]
    at_rules: frozenset[str]
    media_features: frozenset[str]
    pseudo: frozenset[str]
    is_whole: bool

    def style_of(self, tag: str, attributes: Mapping[str, str | None]) -> Style:
        if not self.simple:
            return EMPTY_STYLE
        names = ["*", tag, *(f".{one}" for one in (attributes.get("class") or "").split())]
        if attributes.get("id"):
            names.append(f"#{attributes['id']}")
        colour = background = None
        for name in names:
            if (style := self.simple.get(name)) is not None:
                colour, background = style.colour or colour, style.background or background
        return Style(colour=colour, background=background) if colour or background else EMPTY_STYLE

    def styles(self) -> Iterator[Style]:
        yield from self.all_styles


class Styles:
    """Reads style, each text once, and no more than `CSS_CHARS_MAX` in all; `is_whole` says whether that was all."""

    def __init__(self) -> None:
        self._known: dict[str, Style] = {"": EMPTY_STYLE}
        self._chars_left = CSS_CHARS_MAX
        self.is_whole = True

    def distinct(self) -> Iterator[Style]:
        yield from self._known.values()

    def inline(self, written: str) -> Style:
        known = self._known.get(written)
        if known is None:
            known = style_of(tinycss2.parse_blocks_contents(written)) if self._may_read(written) else EMPTY_STYLE
            self._known[written] = known
        return known

    def sheet(self, written: str) -> StyleSheet:
        if not self._may_read(written):
            return StyleSheet({}, (), frozenset(), frozenset(), frozenset(), is_whole=False)
        return _Sheet().read(tinycss2.parse_stylesheet(written, skip_comments=True, skip_whitespace=True))

    def _may_read(self, written: str) -> bool:
        self._chars_left -= len(written)
        may = self._chars_left >= 0 and sum(map(written.count, "([{")) <= max(_BRACKETS_MAX, len(written) // 8)
        self.is_whole = self.is_whole and may and _depth(written) <= _BRACKETS_MAX
        return may and _depth(written) <= _BRACKETS_MAX


def _depth(written: str) -> int:
    depth = deepest = 0
    for character in written:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}" and depth:
            depth -= 1
    return deepest


def style_of(nodes: Iterable[Any]) -> Style:
    """`nodes` as tinycss2 parses a block's contents."""
    declarations: list[tuple[str, str]] = []
    functions: set[str] = set()
    units: set[str] = set()
    colour = background = None
    hides = False
    for node in nodes:
        if node.type != "declaration":
            continue
        name, value = node.lower_name, tinycss2.serialize(node.value).strip()
        lowered = value.lower()
        declarations.append((name, lowered))
        _use(node.value, functions, units)
        if name == "color" and lowered not in _NO_COLOUR and parse_color(value) is not None:
            colour = value
        elif name in {"background", "background-color"} and (own := _background(node.value)) is not None:
            background = own
        elif (name, lowered) in {("display", "none"), ("visibility", "hidden")}:
            hides = True
    return Style(tuple(declarations), frozenset(functions), frozenset(units), colour, background, hides)


def _background(value: Iterable[Any]) -> str | None:
    """The colour that it sets; for a picture or a gradient, that it sets one."""
    for token in value:
        if token.type == "url" or (token.type == "function" and token.lower_name in {"url", "linear-gradient"}):
            return "a picture"
        colour = parse_color(token) if token.type in {"ident", "hash", "function"} else None
        if colour is not None and colour != "currentColor" and colour.alpha > 0:
            return str(token.serialize())
    return None


def _use(tokens: Iterable[Any], functions: set[str], units: set[str]) -> None:
    waiting = list(tokens)
    while waiting:
        token = waiting.pop()
        if token.type == "function":
            functions.add(token.lower_name)
            waiting += token.arguments
        elif token.type in _COMPONENTS:
            waiting += token.content
        elif token.type == "dimension":
            units.add(token.lower_unit)


class _Sheet:
    def __init__(self) -> None:
        self._simple: dict[str, Style] = {}
        self._styles: list[Style] = []
        self._at_rules: set[str] = set()
        self._media: set[str] = set()
        self._pseudo: set[str] = set()
        self._rules = 0

    def read(self, rules: Iterable[Any]) -> StyleSheet:
        self._read_rules(rules, at_top=True)
        return StyleSheet(
            self._simple,
            tuple(self._styles),
            frozenset(self._at_rules),
            frozenset(self._media),
            frozenset(self._pseudo),
            is_whole=self._rules <= _RULES_MAX,
        )

    def _read_rules(self, rules: Iterable[Any], *, at_top: bool) -> None:
        for rule in rules:
            self._rules += 1
            if self._rules > _RULES_MAX:
                return
            if rule.type == "qualified-rule":
                self._read_rule(rule, at_top=at_top)
            elif rule.type == "at-rule":
                self._read_at_rule(rule)

    def _read_rule(self, rule: Any, *, at_top: bool) -> None:
        style = style_of(tinycss2.parse_blocks_contents(rule.content))
        self._styles.append(style)
        selector = tinycss2.serialize(rule.prelude)
        after_colon = False
        for token in rule.prelude:
            if after_colon and token.type in {"ident", "function"}:
                self._pseudo.add(token.lower_value if token.type == "ident" else token.lower_name)
            after_colon = token.type == "literal" and token.value == ":"
        if at_top and (style.colour or style.background):
            for one in selector.split(","):
                name = one.strip()
                if not any(mark in name for mark in " >+~:[\\") and sum(map(name.count, ".#")) <= 1:
                    self._simple[name if name[:1] in {".", "#"} else name.lower()] = style

    def _read_at_rule(self, rule: Any) -> None:
        name = rule.lower_at_keyword
        self._at_rules.add(name)
        if name == "media":
            for block in rule.prelude:
                if block.type == "() block":
                    self._media |= {token.lower_value for token in block.content if token.type == "ident"}
        if rule.content is not None and name in {"media", "supports"}:
            self._read_rules(
                tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True), at_top=False
            )
        elif rule.content is not None and name == "font-face":
            self._styles.append(style_of(tinycss2.parse_blocks_contents(rule.content)))
