"""The template language of issues: Liquid, cut down until no template can hang, grow without bound or read anything.

A contract between services: publishing refuses what does not parse here, delivery renders the same way. Allowed are
the variables in `VARIABLES`, the tags in `TAGS` (and `raw`) and the filters in `FILTERS`. There are no loops, ranges,
includes or arithmetic. Markup, values and the work of one mail are bounded, so that parsing and rendering are. A
template may name variables that no mail has; `Template.unknown_variables` tells, so that publishing can refuse them.

Work is counted, not timed: whatever is read, compared, written or handed to a filter is charged to the mail's `Work` by
its size. So a mail that is too much work fails on every machine and at every load alike, and one that is not never
fails because a machine is busy.

The whole markup is measured before python-liquid sees it, because its scanner takes quadratic time on markup that is
never closed or holds long runs of blanks.
"""

import re
from collections.abc import Callable
from functools import cache
from io import StringIO
from typing import Literal, TypeVar

import msgspec
import structlog
from liquid import BoundTemplate, Environment, escape
from liquid.ast import Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.output import OutputNode
from liquid.exceptions import LiquidError

from broadsheet_common.mail.template_engine import FILTERS, TAGS, MailContext, MailEnvironment, render_every_branch
from broadsheet_common.mail.template_work import (
    CHAR_WORK,
    COPIED_CHARS_PER_UNIT,
    ENCODED_CHARS_PER_UNIT,
    NODE_WORK,
    RENDERED_CHARS_MAX,
    TemplateError,
    Work,
    too_long,
)

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
BRACKETS_MAX, DOTS_MAX = 4, 40
"""In one piece of markup: the engine takes quadratic time on deep paths."""
UNKNOWN_REPORTED_MAX = 20
VARIABLES = frozenset({"subscriber.name", "subscriber.email", "newsletter.name", "issue.title", "unsubscribe_url"})
TITLE_VARIABLES = frozenset({"subscriber.name", "subscriber.email", "newsletter.name"})
"""Those that a title may have: it cannot hold itself, and a link that ends a subscription does not belong there."""
Kind = Literal["html", "text"]
_PieceT = TypeVar("_PieceT", str, bytes)
_log = structlog.get_logger()
_INNER_TAGS = frozenset({"else", "elsif", "when", "endif", "endunless", "endcase", "endcomment"})
_OPENING = re.compile(r"\{\{|\{%")
_TAG_NAME = re.compile(r"-?\s*(#|\w*)")
_END_RAW = re.compile(r"\{%-?\s*endraw\s*-?%\}")
_BLANK_RUN = re.compile(rf"\s{{{MARKUP_BLANKS_MAX + 1}}}")
_SPECIAL_IN_HTML = re.compile("[&<>'\"]")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")


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


class Merge(msgspec.Struct, frozen=True):
    """One of `VARIABLES` as it stands, escaped in HTML: this attribute of MailValues."""

    attribute: str


Step = str | Merge | Node


class Template:
    """A parsed template; it never changes, so any number of tasks and threads may render it at once."""

    __slots__ = (
        "_autoescape",
        "_base_work",
        "_bound",
        "_differing",
        "_json_texts",
        "_static_chars",
        "_steps",
        "_texts",
        "unknown_variables",
        "variables",
    )

    def __init__(
        self,
        bound: BoundTemplate,
        steps: tuple[Step, ...],
        unknown_variables: tuple[UnknownVariable, ...],
        *,
        variables: frozenset[str],
        autoescape: bool,
    ) -> None:
        self._bound = bound
        self._autoescape = autoescape
        self._steps = steps
        # The texts of all mails, with a place kept for each part that differs.
        self._texts = [step if isinstance(step, str) else "" for step in steps]
        self._json_texts: list[bytes] | None = None
        self._differing = tuple(
            (place, step.attribute if isinstance(step, Merge) else step)
            for place, step in enumerate(steps)
            if not isinstance(step, str)
        )
        self._static_chars = sum(len(step) for step in steps if isinstance(step, str))
        self._base_work = NODE_WORK * len(steps) + self._static_chars // COPIED_CHARS_PER_UNIT
        self.unknown_variables = unknown_variables
        self.variables = variables

    @property
    def steps(self) -> "tuple[Step, ...]":
        """What a mail is made of, in order: texts, merged variables, and what the engine has to render."""
        return self._steps

    def with_steps(self, steps: "tuple[Step, ...]") -> "Template":
        """The same template with texts or variables added."""
        return Template(
            self._bound, steps, self.unknown_variables, variables=self.variables, autoescape=self._autoescape
        )

    def render(self, values: MailValues, work: Work | None = None) -> str:
        """The mail's text. What it takes is charged to `work`, which is the mail's (default: of this text alone).

        Raises:
            TemplateError: the template cannot be rendered with these values (comparing text with a number, say).
            TooMuchWorkError: which is one of these.
        """
        work = work or Work()
        text = "".join(self._render(self._texts, values, work, str, None))
        work.charge(len(text) // ENCODED_CHARS_PER_UNIT)
        return text

    def render_json(
        self, values: MailValues, work: Work | None = None, inspect: Callable[[str], None] | None = None
    ) -> bytes:
        """The mail's text as a JSON string (RFC 8259) in UTF-8, quotes included.

        Most of a mail is the same for everybody: that is escaped once, and not again for each mail. `inspect` is
        shown each text that the engine rendered.

        Raises:
            TemplateError: as `render`.
        """
        if self._json_texts is None:
            self._json_texts = [_in_json(text) for text in self._texts]
        return b"".join([b'"', *self._render(self._json_texts, values, work or Work(), _in_json, inspect), b'"'])

    def check(self, values: MailValues) -> None:
        """Find what fails whoever it is sent to, also where it stands in a branch that these values do not take.

        Raises:
            TemplateError: as `render`.
        """
        # Not `render`: that also pays for encoding text which most mails have encoded once for all.
        self._render(self._texts, values, Work(), str, None)
        context = self._context(values, Work())
        context.work.charge(self._base_work)
        for step in self._steps:
            if isinstance(step, Node):
                render_every_branch(step, context)

    def _render(
        self,
        texts: list[_PieceT],
        values: MailValues,
        work: Work,
        piece: Callable[[str], _PieceT],
        inspect: Callable[[str], None] | None,
    ) -> list[_PieceT]:
        """The pieces of a mail: `texts` with what differs filled in, turned into a piece by `piece`."""
        context: MailContext | None = None
        pieces = texts.copy()
        rendered: list[str] = []
        chars = self._static_chars
        work.charge(self._base_work)
        text: str
        for place, step in self._differing:
            if isinstance(step, str):
                text = getattr(values, step)
                work.charge(len(text) * CHAR_WORK)
                if self._autoescape:
                    text = _escaped(text)
            else:
                context = context or self._context(values, work)
                text = _render_node(step, context)
                rendered.append(text)
            chars += len(text)
            pieces[place] = piece(text)
        if chars > RENDERED_CHARS_MAX:
            raise too_long()
        if inspect is not None:
            for part in rendered:
                inspect(part)
        return pieces

    def _context(self, values: MailValues, work: Work) -> "MailContext":
        return MailContext(
            self._bound,
            work,
            globals={
                "subscriber": {"name": values.subscriber_name, "email": values.subscriber_email},
                "newsletter": {"name": values.newsletter_name},
                "issue": {"title": values.issue_title},
                "unsubscribe_url": values.unsubscribe_url,
            },
        )


def _render_node(node: Node, context: "MailContext") -> str:
    buffer = StringIO()
    try:
        node.render(context, buffer)
    except TemplateError:
        raise
    except LiquidError as error:
        raise _template_error(error) from error
    except Exception as error:
        # The engine lets a few of Python's own errors through (recursion, conversions): the template is at fault.
        raise TemplateError(f"It cannot be rendered ({type(error).__name__})") from error
    return buffer.getvalue()


def _escaped(value: str) -> str:
    """For HTML. Most values hold nothing to escape, and looking for it is quicker than escaping."""
    return value if _SPECIAL_IN_HTML.search(value) is None else str(escape(value))


def _in_json(text: str) -> bytes:
    """A stretch of a JSON string: escaped, without the quotes around it."""
    # Of `str` itself: an address is a kind of it, which the encoder does not take.
    return msgspec.json.encode(str(text))[1:-1]


def _steps(bound: BoundTemplate, *, assigned: frozenset[str]) -> "tuple[Step, ...]":
    """What to do for a mail: the plain parts, which are most of any template, are taken out of the engine's hands.

    `assigned`: names that the template gives a value itself; what begins with one of them is the engine's to look up.
    """
    return tuple(_step(node, assigned) for node in bound.nodes)


def _step(node: Node, assigned: frozenset[str]) -> "Step":
    if isinstance(node, ContentNode):
        return str(node.text)
    if isinstance(node, OutputNode):
        expression = node.expression
        if type(expression) is FilteredExpression and not expression.filters and type(expression.left) is Path:
            variable = str(expression.left)
            if variable in VARIABLES and variable.partition(".")[0] not in assigned:
                return Merge(variable.replace(".", "_"))
    return node


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
        _steps(bound, assigned=frozenset(name.partition(".")[0] for name in analysis.locals)),
        tuple(UnknownVariable(name, _line_at(source, index)) for index, name in unknown[:UNKNOWN_REPORTED_MAX]),
        variables=frozenset(str(use) for uses in analysis.globals.values() for use in uses),
        autoescape=kind == "html",
    )


@cache
def _environment(kind: Kind) -> Environment:
    return MailEnvironment(autoescape=kind == "html")


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
