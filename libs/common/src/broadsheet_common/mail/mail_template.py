"""The template language of issues: Liquid, cut down until no template can hang, grow without bound or read anything.

A contract between services: publishing refuses what does not parse here, delivery renders the same way. Allowed are
the variables in `VARIABLES`, the tags in `TAGS` (and `raw`) and the filters in `FILTERS`. There are no loops, ranges,
includes or arithmetic. Markup, values and the work of filters are bounded, so that parsing and rendering are. A
template may name variables that no mail has; `Template.unknown_variables` tells, so that publishing can refuse them.

The whole markup is measured before python-liquid sees it, because its scanner takes quadratic time on markup that is
never closed or holds long runs of blanks.
"""

import re
from collections.abc import Callable
from functools import cache
from io import StringIO
from typing import Literal, TypeVar

import msgspec
from liquid import BoundTemplate, Environment, RenderContext, escape
from liquid.ast import Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.output import OutputNode
from liquid.exceptions import LiquidError
from liquid.filter import with_context

SOURCE_BYTES_MAX = 5 * 1024 * 1024
"""Postmark takes at most 5 MB for each of HtmlBody and TextBody."""
MARKUP_COUNT_MAX = 1_000
"""`{{ … }}` and `{% … %}` in one template."""
MARKUP_CHARS_MAX = 500
"""Length of one of them; the engine parses about 500,000 characters of markup a second."""
MARKUP_TOTAL_CHARS_MAX = 100_000
"""Length of all of them."""
MARKUP_BLANKS_MAX = 40
"""Blanks in a row within one of them."""
VALUE_CHARS_MAX = 20_000
"""Length of a merged value, or of what a filter makes of one."""
FILTER_CHARS_MAX = 2_000_000
"""What all filters of one rendering may read and write; an item of a list counts as `ITEM_CHARS` characters."""
ITEM_CHARS = 20
BRACKETS_MAX, DOTS_MAX = 4, 40
"""In one piece of markup: the engine takes quadratic time on deep paths."""
RENDERED_CHARS_MAX = 5 * 1024 * 1024
UNKNOWN_REPORTED_MAX = 20

VARIABLES = frozenset({"subscriber.name", "subscriber.email", "newsletter.name", "issue.title", "unsubscribe_url"})
TAGS = frozenset({"if", "unless", "case", "assign", "comment", "#"})
FILTERS = frozenset({
    "append", "capitalize", "default", "downcase", "escape", "escape_once", "first", "last", "lstrip",
    "newline_to_br", "prepend", "remove", "rstrip", "size", "slice", "split", "strip", "strip_newlines", "truncate",
    "truncatewords", "upcase", "url_encode",
})  # fmt: skip

Kind = Literal["html", "text"]
_PieceT = TypeVar("_PieceT", str, bytes)

_INNER_TAGS = frozenset({"else", "elsif", "when", "endif", "endunless", "endcase", "endcomment"})
_ENGINE_TAGS = frozenset({"content", "output", "illegal"})
_OPENING = re.compile(r"\{\{|\{%")
_TAG_NAME = re.compile(r"-?\s*(#|\w*)")
_END_RAW = re.compile(r"\{%-?\s*endraw\s*-?%\}")
_BLANK_RUN = re.compile(rf"\s{{{MARKUP_BLANKS_MAX + 1}}}")
_SPECIAL_IN_HTML = re.compile("[&<>'\"]")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")


class TemplateError(ValueError):
    """The template cannot be used. `line` counts from 1 and is None when the fault has no place."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message if line is None else f"Line {line}: {message}")
        self.line = line


class MailValues(msgspec.Struct, frozen=True):
    """What is merged into one mail, as plain text: escaping is the template's work."""

    subscriber_name: str
    subscriber_email: str
    newsletter_name: str
    issue_title: str
    unsubscribe_url: str


SAMPLE_VALUES = MailValues(
    subscriber_name="Ada Lovelace",
    subscriber_email="ada@example.com",
    newsletter_name="Newsletter",
    issue_title="Title",
    unsubscribe_url="https://example.com/unsubscribe/sample",
)
"""For previews, and for finding at publish time what fails whoever it is sent to."""


class UnknownVariable(msgspec.Struct, frozen=True):
    """A variable that no mail has, and the line that uses it."""

    name: str
    line: int


class Template:
    """A parsed template; it never changes, so any number of tasks and threads may render it at once."""

    __slots__ = ("_autoescape", "_bound", "_json_steps", "_steps", "unknown_variables")

    def __init__(
        self, bound: BoundTemplate, unknown_variables: tuple[UnknownVariable, ...], *, assigns: bool, autoescape: bool
    ) -> None:
        self._bound = bound
        self._autoescape = autoescape
        self._steps = _steps(bound, assigns=assigns)
        self._json_steps: tuple[bytes | _Merge | Node, ...] | None = None
        self.unknown_variables = unknown_variables

    def render(self, values: MailValues) -> str:
        """The mail's text.

        Raises:
            TemplateError: the template cannot be rendered with these values (comparing text with a number, say).
        """
        text = "".join(self._render(self._steps, values, str))
        if len(text) > RENDERED_CHARS_MAX:
            raise _too_long()
        return text

    def render_json(self, values: MailValues) -> bytes:
        """The mail's text as a JSON string (RFC 8259) in UTF-8, quotes included.

        Most of a mail is the same for everybody: that is escaped once, and not again for each mail.

        Raises:
            TemplateError: as `render`.
        """
        if self._json_steps is None:
            self._json_steps = tuple(_in_json(step) if isinstance(step, str) else step for step in self._steps)
        literal = b"".join([b'"', *self._render(self._json_steps, values, _in_json), b'"'])
        # Escapes only lengthen it: what is short enough with them needs no counting without them.
        if len(literal) > RENDERED_CHARS_MAX and len(msgspec.json.decode(literal, type=str)) > RENDERED_CHARS_MAX:
            raise _too_long()
        return literal

    def _render(
        self, steps: "tuple[_PieceT | _Merge | Node, ...]", values: MailValues, piece: Callable[[str], _PieceT]
    ) -> list[_PieceT]:
        """The pieces of a mail: `steps` that are pieces as they are, the others turned into one by `piece`."""
        context: _MailContext | None = None
        pieces: list[_PieceT] = []
        try:
            for step in steps:
                if isinstance(step, _Merge):
                    value: str = getattr(values, step.attribute)
                    pieces.append(piece(_escaped(value) if self._autoescape else value))
                elif isinstance(step, str | bytes):
                    pieces.append(step)
                else:
                    context = context or self._context(values)
                    buffer = StringIO()
                    step.render(context, buffer)
                    pieces.append(piece(buffer.getvalue()))
        except TemplateError:
            raise
        except LiquidError as error:
            raise _template_error(error) from error
        except Exception as error:
            # The engine lets a few of Python's own errors through (recursion, conversions): the template is at fault.
            raise TemplateError(f"It cannot be rendered ({type(error).__name__})") from error
        return pieces

    def _context(self, values: MailValues) -> "_MailContext":
        return _MailContext(
            self._bound,
            globals={
                "subscriber": {"name": values.subscriber_name, "email": values.subscriber_email},
                "newsletter": {"name": values.newsletter_name},
                "issue": {"title": values.issue_title},
                "unsubscribe_url": values.unsubscribe_url,
            },
        )


def _escaped(value: str) -> str:
    """For HTML. Most values hold nothing to escape, and looking for it is quicker than escaping."""
    return value if _SPECIAL_IN_HTML.search(value) is None else str(escape(value))


def _in_json(text: str) -> bytes:
    """A stretch of a JSON string: escaped, without the quotes around it."""
    # Of `str` itself: an address is a kind of it, which the encoder does not take.
    return msgspec.json.encode(str(text))[1:-1]


def _too_long() -> TemplateError:
    return TemplateError(f"It renders to more than {RENDERED_CHARS_MAX} characters")


class _Merge(msgspec.Struct, frozen=True):
    """One of `VARIABLES` as it stands, escaped in HTML: this attribute of MailValues."""

    attribute: str


def _steps(bound: BoundTemplate, *, assigns: bool) -> "tuple[str | _Merge | Node, ...]":
    """What to do for a mail: the plain parts, which are most of any template, are taken out of the engine's hands.

    A template that assigns may give a variable another value, so the engine does all of it.
    """
    if assigns:
        return tuple(bound.nodes)
    return tuple(_step(node) for node in bound.nodes)


def _step(node: Node) -> "str | _Merge | Node":
    if type(node) is ContentNode:
        return str(node.text)
    if type(node) is OutputNode:
        expression = node.expression
        if type(expression) is FilteredExpression and not expression.filters and type(expression.left) is Path:
            variable = str(expression.left)
            if variable in VARIABLES:
                return _Merge(variable.replace(".", "_"))
    return node


class _MailContext(RenderContext):
    """The state of one rendering, with what is left of the filters' allowance."""

    __slots__ = ("filter_chars_left",)

    def __init__(self, template: BoundTemplate, *, globals: dict[str, object]) -> None:  # noqa: A002  # the engine's name
        super().__init__(template, globals=globals)
        self.filter_chars_left = FILTER_CHARS_MAX

    def charge(self, value: object) -> None:
        """Count what a filter reads or writes. Raises `TemplateError` when it is too much."""
        size = len(value) if isinstance(value, str | list) else 1
        self.filter_chars_left -= size * ITEM_CHARS if isinstance(value, list) else size
        if size > VALUE_CHARS_MAX:
            raise TemplateError(f"A filter's value is longer than {VALUE_CHARS_MAX} characters")
        if self.filter_chars_left < 0:
            raise TemplateError("Its filters have too much to do")


def _bounded(filter_: Callable[..., object]) -> Callable[..., object]:
    """The same filter, its input and its result charged to the rendering."""
    wants_environment = getattr(filter_, "with_environment", False)

    @with_context
    def bounded(value: object, *arguments: object, context: _MailContext, **options: object) -> object:
        context.charge(value)
        if wants_environment:
            options["environment"] = context.env
        result = filter_(value, *arguments, **options)
        context.charge(result)
        return result

    return bounded


class _MailEnvironment(Environment):
    """Liquid with only `TAGS` and `FILTERS`; its loader is empty, and nothing could ask it."""

    block_nesting_limit = 20

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        for name in self.tags.keys() - TAGS - _ENGINE_TAGS:
            del self.tags[name]
        self.filters = {name: _bounded(self.filters[name]) for name in FILTERS}


def parse(source: str, kind: Kind) -> Template:
    """Parse the body of a mail; values merged into `html` are escaped.

    Raises:
        TemplateError: with the line, and a sentence for the author.
    """
    if len(source.encode("utf-8", "replace")) > SOURCE_BYTES_MAX:
        raise TemplateError(f"It is larger than {SOURCE_BYTES_MAX} bytes")
    _measure_markup(source)
    try:
        bound = _environment(kind).from_string(source)
        analysis = bound.analyze(include_partials=False)
    except LiquidError as error:
        raise _template_error(error) from error
    except Exception as error:
        raise TemplateError(f"It cannot be parsed ({type(error).__name__})") from error
    for name, spans in analysis.filters.items():
        if name not in FILTERS:
            raise TemplateError(f"there is no filter `{name}`", _line_at(source, spans[0].index))
    unknown = sorted(
        (use.span.index, str(use)) for uses in analysis.globals.values() for use in uses if str(use) not in VARIABLES
    )
    return Template(
        bound,
        tuple(UnknownVariable(name, _line_at(source, index)) for index, name in unknown[:UNKNOWN_REPORTED_MAX]),
        assigns=bool(analysis.locals),
        autoescape=kind == "html",
    )


@cache
def _environment(kind: Kind) -> Environment:
    return _MailEnvironment(autoescape=kind == "html")


def _measure_markup(source: str) -> None:
    """Refuse, in one pass, what would make the engine's scanner or a rendering slow, and every tag that is not ours."""
    position, count, chars = 0, 0, 0
    while (opening := _OPENING.search(source, position)) is not None:
        is_tag = opening.group() == "{%"
        closing = source.find("%}" if is_tag else "}}", opening.end(), opening.end() + MARKUP_CHARS_MAX)
        markup = source[opening.end() : max(closing, opening.end())]
        position = closing + 2
        count, chars = count + 1, chars + len(markup)
        fault: str | None = None
        if closing < 0:
            fault = f"`{opening.group()}` is not closed within {MARKUP_CHARS_MAX} characters"
        elif count > MARKUP_COUNT_MAX or chars > MARKUP_TOTAL_CHARS_MAX:
            fault = f"there are more than {MARKUP_COUNT_MAX} pieces or {MARKUP_TOTAL_CHARS_MAX} characters of markup"
        elif is_tag and _tag_name(markup) == "raw":
            # The engine gives out what stands up to `endraw` as it is, so it is not measured either.
            end = _END_RAW.search(source, position)
            fault = "`raw` has no `endraw`" if end is None else None
            position = end.end() if end is not None else position
        else:
            fault = _fault_of(markup, is_tag=is_tag)
        if fault is not None:
            raise TemplateError(fault, _line_at(source, opening.start()))


def _fault_of(markup: str, *, is_tag: bool) -> str | None:
    if _BLANK_RUN.search(markup):
        return f"there are more than {MARKUP_BLANKS_MAX} blanks in a row"
    unquoted = _QUOTED.sub("", markup)
    if ".." in unquoted:
        return "ranges are not supported"
    if unquoted.count("[") > BRACKETS_MAX or unquoted.count(".") > DOTS_MAX:
        return f"there are more than {BRACKETS_MAX} brackets or {DOTS_MAX} dots"
    if is_tag and (name := _tag_name(markup)) not in TAGS | _INNER_TAGS:
        return f"there is no tag `{name}`" if name else "a tag has no name"
    return None


def _tag_name(markup: str) -> str:
    match = _TAG_NAME.match(markup)
    return match[1] if match else ""


def _template_error(error: LiquidError) -> TemplateError:
    # Not str(error): that draws the place by splitting the whole source.
    token = error.token
    place = _line_at(token.source, token.start_index) if token is not None and token.start_index >= 0 else None
    return TemplateError(str(error.message or type(error).__name__), place)


def _line_at(source: str, index: int) -> int:
    return source.count("\n", 0, index) + 1
