"""The template language of issues: Liquid, restricted so that no template can hang, grow without bound or read
anything.

A contract between services: publishing refuses what does not parse here, and delivery renders the same way.
Allowed are the variables in `VARIABLES`, attributes of subscribers, the tags in `TAGS` (and `raw`) and the filters in
`FILTERS`. There are no loops, ranges, includes or arithmetic. Markup, values and the work per mail are bounded, and
with them parsing and rendering. A template may name variables that no mail has; `Template.unknown_variables` lists
them, so that publishing can refuse them.

What is the same in all mails of an issue is filled in once (`Template.filled`).

Work is counted, not timed: everything that is read, compared, written or passed to a filter is charged to the
mail's `Work` by its size. So a mail that needs too much work fails on every machine under every load, and any
other mail never fails because a machine is busy.

All markup is measured before python-liquid sees it (`markup_bounds`).
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from io import StringIO
from typing import Literal, TypeVar

import msgspec
import structlog
from liquid import BoundTemplate, Environment, escape
from liquid.ast import Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import Filter, FilteredExpression, Path, PositionalArgument, StringLiteral
from liquid.builtin.output import OutputNode
from liquid.exceptions import LiquidError
from liquid.expression import Expression

from broadsheet_common.mail.markup_bounds import measure_markup, place_of
from broadsheet_common.mail.merge_fields import (
    SAMPLE_VALUES,
    SHARED_VARIABLES,
    TITLE_VARIABLES,
    VARIABLES,
    MailValues,
    attribute_of,
    field_of,
    globals_of,
    is_known,
    text_of,
    uses_tags,
)
from broadsheet_common.mail.template_engine import FILTERS, MailContext, MailEnvironment, render_every_branch
from broadsheet_common.mail.template_work import (
    CHAR_WORK,
    COPIED_CHARS_PER_UNIT,
    ENCODED_CHARS_PER_UNIT,
    ITEM_WORK,
    NODE_WORK,
    RENDERED_CHARS_MAX,
    TemplateError,
    Work,
    too_long,
)

SOURCE_BYTES_MAX = 5 * 1024 * 1024
"""Postmark takes at most 5 MB for each of HtmlBody and TextBody."""
UNKNOWN_REPORTED_MAX = 20
__all__ = ["SAMPLE_VALUES", "SHARED_VARIABLES", "TITLE_VARIABLES", "VARIABLES", "MailValues"]
Kind = Literal["html", "text"]
_PieceT = TypeVar("_PieceT", str, bytes)
_log = structlog.get_logger()
_json = msgspec.json.Encoder()
_SPECIAL_IN_HTML = re.compile("[&<>'\"]")


class UnknownVariable(msgspec.Struct, frozen=True):
    """A variable that no mail has, and where it is used first; line and column count from 1."""

    name: str
    line: int
    column: int


class Merge(msgspec.Struct, frozen=True):
    """A variable without filters but `default`, escaped in HTML. `field` names its field in MailValues."""

    field: str
    default: str = ""

    def text(self, values: MailValues) -> str:
        return getattr(values, self.field) or self.default


class MergeAttribute(msgspec.Struct, frozen=True):
    """An attribute of the subscriber without filters but `default`, escaped in HTML."""

    name: str
    default: str | None = None

    def text(self, values: MailValues) -> str:
        value = values.subscriber_attributes.get(self.name)
        if self.default is not None and (value is None or value is False or value == ""):
            return self.default
        return text_of(value)


Step = str | Merge | MergeAttribute | Node


class Template:
    """A parsed template. It is immutable, so tasks and threads may render it concurrently."""

    __slots__ = (
        "_assigned",
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
        assigned: frozenset[str],
        autoescape: bool,
    ) -> None:
        self._bound = bound
        self._assigned = assigned
        self._autoescape = autoescape
        self._steps = steps
        # The texts that all mails share, with an empty entry for each part that differs.
        self._texts = [step if isinstance(step, str) else "" for step in steps]
        self._json_texts: list[bytes] | None = None
        # The place of each part that differs, and what it is: told apart here, once, and not in each mail.
        self._differing: tuple[tuple[int, Merge | MergeAttribute | None, Node | None], ...] = tuple(
            (place, None, step) if isinstance(step, Node) else (place, step, None)
            for place, step in enumerate(steps)
            if not isinstance(step, str)
        )
        self._static_chars = sum(len(step) for step in steps if isinstance(step, str))
        self._base_work = NODE_WORK * len(steps) + self._static_chars // COPIED_CHARS_PER_UNIT
        self.unknown_variables = unknown_variables
        self.variables = variables

    @property
    def steps(self) -> "tuple[Step, ...]":
        """The parts of a mail in order: texts, merged variables, and nodes that the engine renders."""
        return self._steps

    def with_steps(self, steps: "tuple[Step, ...]") -> "Template":
        """The same template with texts or variables added."""
        return Template(
            self._bound,
            steps,
            self.unknown_variables,
            variables=self.variables,
            assigned=self._assigned,
            autoescape=self._autoescape,
        )

    def filled(self, values: MailValues, names: frozenset[str] = SHARED_VARIABLES) -> "Template":
        """The same template with these variables, and outputs that use no others, filled in once for all mails.

        What is left reads all values anew, so `values` must agree with those of each mail on `names`.

        Raises:
            TemplateError: as `render`.
        """
        fields = {field for name in names if (field := field_of(name)) is not None}
        never_assigned = frozenset(name for name in names if name.partition(".")[0] not in self._assigned)
        context = self._context(values, Work())
        filled: list[Step] = []
        for step in self._steps:
            if isinstance(step, Merge) and step.field in fields:
                context.work.charge(NODE_WORK)
                text = step.text(values)
                filled.append(_escaped(text) if self._autoescape else text)
            elif isinstance(step, OutputNode) and _only_reads(step.expression, never_assigned):
                filled.append(_render_node(step, context))
            else:
                filled.append(step)
        return self.with_steps(_joined(filled))

    @property
    def uses_tags(self) -> bool:
        return any(uses_tags(name) for name in self.variables)

    @property
    def attributes(self) -> frozenset[str]:
        """The names of the attributes that it uses."""
        return frozenset(name for variable in self.variables if (name := attribute_of(variable)) is not None)

    def render(self, values: MailValues, work: Work | None = None) -> str:
        """The mail's text. Its cost is charged to `work`, the work of the whole mail (default: of this text alone).

        Raises:
            TemplateError: the template cannot be rendered with these values (it compares text with a number, say).
            TooMuchWorkError: a TemplateError; the mail would take too much work.
        """
        work = work or Work()
        text = "".join(self._render(self._texts, values, work, str, None))
        work.charge(len(text) // ENCODED_CHARS_PER_UNIT)
        return text

    def render_json(
        self, values: MailValues, work: Work | None = None, inspect: Callable[[str], None] | None = None
    ) -> bytes:
        """The mail's text as a JSON string (RFC 8259) in UTF-8, including the quotes.

        The text that all mails share is escaped once, not for each mail. `inspect` is called with each text that
        the engine rendered.

        Raises:
            TemplateError: as `render`.
        """
        if self._json_texts is None:
            self._json_texts = [_in_json(text) for text in self._texts]
        return b"".join([b'"', *self._render(self._json_texts, values, work or Work(), _in_json, inspect), b'"'])

    def check(self, values: MailValues) -> None:
        """Find what would fail for every recipient, and too much work also in branches that these values do not
        take.

        Raises:
            TemplateError: as `render`.
        """
        # Not `render`: it also charges for encoding text that most mails have encoded once for all.
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
        """The pieces of a mail: `texts` with the differing parts filled in, each converted by `piece`."""
        context: MailContext | None = None
        pieces = texts.copy()
        rendered: list[str] = []
        chars = self._static_chars
        work.charge(self._base_work)
        for place, merge, node in self._differing:
            if merge is not None:
                text = merge.text(values)
                work.charge(len(text) * CHAR_WORK)
                if self._autoescape:
                    text = _escaped(text)
            else:
                assert node is not None, "a part that differs is one of both"
                context = context or self._context(values, work)
                text = _render_node(node, context)
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
        # Made before anything is read of them, and each read is charged besides.
        work.charge((len(values.subscriber_tags) + len(values.subscriber_attributes)) * ITEM_WORK)
        return MailContext(self._bound, work, globals=globals_of(values))


def _render_node(node: Node, context: "MailContext") -> str:
    buffer = StringIO()
    try:
        node.render(context, buffer)
    except TemplateError:
        raise
    except LiquidError as error:
        raise _template_error(error) from error
    except Exception as error:
        # The engine lets some Python errors through (recursion, conversions): the template is at fault.
        raise TemplateError(f"It cannot be rendered ({type(error).__name__})") from error
    return buffer.getvalue()


def _escaped(value: str) -> str:
    """Escape for HTML. Most values contain nothing to escape, and searching is faster than escaping."""
    return value if _SPECIAL_IN_HTML.search(value) is None else str(escape(value))


def _in_json(text: str) -> bytes:
    """Part of a JSON string: escaped, without the quotes around it."""
    # As a plain `str`: the encoder does not take subclasses such as EmailAddress.
    return _json.encode(str(text))[1:-1]


def _steps(bound: BoundTemplate, *, assigned: frozenset[str]) -> "tuple[Step, ...]":
    """The steps that make a mail. Plain text and plain variables, most of any template, are handled without the
    engine.

    `assigned`: names that the template assigns itself; the engine looks up whatever begins with one of them.
    """
    return tuple(_step(node, assigned) for node in bound.nodes)


def _step(node: Node, assigned: frozenset[str]) -> "Step":
    if isinstance(node, ContentNode):
        return str(node.text)
    if isinstance(node, OutputNode):
        expression = node.expression
        if type(expression) is FilteredExpression and type(expression.left) is Path:
            variable, default = str(expression.left), _only_default(expression.filters)
            if variable.partition(".")[0] in assigned or (expression.filters and default is None):
                return node
            if (field := field_of(variable)) is not None:
                return Merge(field, default or "")
            if (attribute := attribute_of(variable)) is not None:
                return MergeAttribute(attribute, default)
    return node


def _only_default(filters: Sequence[Filter] | None) -> str | None:
    """The text of `| default: "text"`, if that is the only filter. None too for a text with markup in it: a literal is
    not escaped, a merged value is.
    """
    if filters is None or len(filters) != 1 or filters[0].name != "default" or len(filters[0].args) != 1:
        return None
    argument = filters[0].args[0]
    if not isinstance(argument, PositionalArgument) or type(argument.value) is not StringLiteral:
        return None
    return None if _SPECIAL_IN_HTML.search(argument.value.value) else argument.value.value


def _only_reads(expression: Expression, names: frozenset[str]) -> bool:
    """Whether the expression reads no other variables than these."""
    if isinstance(expression, Path):
        return str(expression) in names
    return all(_only_reads(child, names) for child in expression.children())


def _joined(steps: Iterable[Step]) -> "tuple[Step, ...]":
    """The same steps, with neighbouring texts made one."""
    joined: list[Step] = []
    texts: list[str] = []
    for step in steps:
        if isinstance(step, str):
            texts.append(step)
            continue
        if texts:
            joined.append("".join(texts))
            texts = []
        joined.append(step)
    return (*joined, "".join(texts)) if texts else tuple(joined)


def parse(
    source: str, kind: Kind, *, attributes: frozenset[str] = frozenset(), without: frozenset[str] = frozenset()
) -> Template:
    """Parse the body of a mail; values merged into `html` are escaped.

    `attributes`: the names of the attributes that subscribers have; all others are unknown variables. A mail shows
    nothing for them, as for a value that a subscriber does not have. `without`: variables that these mails do not have.

    Raises:
        TemplateError: with the line, and a sentence for the author.
    """
    if len(source.encode("utf-8", "replace")) > SOURCE_BYTES_MAX:
        raise TemplateError(f"It is larger than {SOURCE_BYTES_MAX} bytes")
    measure_markup(source)
    try:
        bound = _environment(kind).from_string(source)
        analysis = bound.analyze(include_partials=False)
    except LiquidError as error:
        raise _template_error(error) from error
    except Exception as error:
        raise TemplateError(f"It cannot be parsed ({type(error).__name__})") from error
    for name, spans in analysis.filters.items():
        if name not in FILTERS:
            raise TemplateError(f"there is no filter `{name}`", *place_of(source, spans[0].index))
    unknown = sorted(
        (use.span.index, str(use))
        for uses in analysis.globals.values()
        for use in uses
        if str(use) in without or not is_known(str(use), attributes)
    )
    assigned = frozenset(name.partition(".")[0] for name in analysis.locals)
    return Template(
        bound,
        _steps(bound, assigned=assigned),
        tuple(UnknownVariable(name, *place_of(source, index)) for index, name in unknown[:UNKNOWN_REPORTED_MAX]),
        variables=frozenset(str(use) for uses in analysis.globals.values() for use in uses),
        assigned=assigned,
        autoescape=kind == "html",
    )


@cache
def _environment(kind: Kind) -> Environment:
    return MailEnvironment(autoescape=kind == "html")


def _template_error(error: LiquidError) -> TemplateError:
    # Not str(error), which splits the whole source to show the place.
    token = error.token
    is_placed = token is not None and token.start_index >= 0
    place = place_of(token.source, token.start_index) if token is not None and is_placed else (None, None)
    return TemplateError(str(error.message or type(error).__name__), *place)
