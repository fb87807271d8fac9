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
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from io import StringIO
from typing import Literal, TextIO, TypeVar

import msgspec
import structlog
from liquid import BoundTemplate, Environment, RenderContext, Token, escape
from liquid.ast import BlockNode, ConditionalBlockNode, Node
from liquid.builtin.content import ContentNode
from liquid.builtin.content import Literal as ContentTag
from liquid.builtin.expressions import FilteredExpression, Identifier, Path
from liquid.builtin.expressions.logical import ContainsExpression
from liquid.builtin.output import Output as OutputTag
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.assign_tag import AssignNode, AssignTag
from liquid.builtin.tags.case_tag import CaseNode, CaseTag, MultiExpressionBlockNode
from liquid.builtin.tags.if_tag import IfNode, IfTag
from liquid.builtin.tags.unless_tag import UnlessNode, UnlessTag
from liquid.exceptions import LiquidError
from liquid.expression import Expression
from liquid.filter import with_context
from liquid.output import NullIO
from liquid.stringify import to_liquid_string
from liquid.undefined import UNDEFINED

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
WORK_MAX = 1_000_000
"""Units of work that one mail may take. A unit is about 20 ns: what follows was measured, each at its worst."""
CHAR_WORK, SLOW_FILTER_CHAR_WORK, ITEM_WORK = 2, 4, 20
"""A character that is merged, written or filtered; one that a slow filter works on; an item of a list."""
NODE_WORK, EXPRESSION_WORK, FILTER_WORK = 150, 60, 500
"""What a tag or output, a part of an expression, and a filter cost whatever they work on."""
COPIED_CHARS_PER_UNIT, ENCODED_CHARS_PER_UNIT = 16, 6
"""Text that is the same in every mail and only copied; text that has to be encoded for each."""
SEARCH_STEPS_PER_UNIT = 8
"""Looking for one text in another takes time by the product of their lengths, at worst."""
BRACKETS_MAX, DOTS_MAX = 4, 40
"""In one piece of markup: the engine takes quadratic time on deep paths."""
RENDERED_CHARS_MAX = 5 * 1024 * 1024
UNKNOWN_REPORTED_MAX = 20

VARIABLES = frozenset({"subscriber.name", "subscriber.email", "newsletter.name", "issue.title", "unsubscribe_url"})
TAGS = frozenset({"if", "unless", "case", "assign", "comment", "#"})
TITLE_VARIABLES = frozenset({"subscriber.name", "subscriber.email", "newsletter.name"})
"""Those that a title may have: it cannot hold itself, and a link that ends a subscription does not belong there."""
FILTERS = frozenset({
    "append", "capitalize", "default", "downcase", "escape", "escape_once", "first", "last", "lstrip",
    "newline_to_br", "prepend", "remove", "rstrip", "size", "slice", "split", "strip", "strip_newlines", "truncate",
    "truncatewords", "upcase", "url_encode",
})  # fmt: skip

Kind = Literal["html", "text"]
_PieceT = TypeVar("_PieceT", str, bytes)

_log = structlog.get_logger()

_SEARCHING_FILTERS = frozenset({"remove", "split"})
_SLOW_FILTERS = frozenset({"escape_once", "newline_to_br", "strip_newlines", "truncatewords", "url_encode"})
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


class TooMuchWorkError(TemplateError):
    """One mail would take more than its `Work`."""

    def __init__(self) -> None:
        super().__init__("It takes too much work: it has too many or too long outputs, conditions or filters")


class Work:
    """What is left of the work that one mail may take, in units (see `WORK_MAX`)."""

    __slots__ = ("_allowed", "left")

    def __init__(self, units: int = WORK_MAX) -> None:
        self._allowed = units
        self.left = units

    @property
    def used(self) -> int:
        return self._allowed - self.left

    def charge(self, units: int) -> None:
        """Raises `TooMuchWorkError`."""
        self.left -= units
        if self.left < 0:
            raise TooMuchWorkError


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
        self.render(values)
        context = self._context(values, Work())
        context.work.charge(self._base_work)
        for step in self._steps:
            if isinstance(step, Node):
                _render_every_branch(step, context)

    def _render(
        self,
        texts: list[_PieceT],
        values: MailValues,
        work: Work,
        piece: Callable[[str], _PieceT],
        inspect: Callable[[str], None] | None,
    ) -> list[_PieceT]:
        """The pieces of a mail: `texts` with what differs filled in, turned into a piece by `piece`."""
        context: _MailContext | None = None
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
            raise _too_long()
        if inspect is not None:
            for part in rendered:
                inspect(part)
        return pieces

    def _context(self, values: MailValues, work: Work) -> "_MailContext":
        return _MailContext(
            self._bound,
            work,
            globals={
                "subscriber": {"name": values.subscriber_name, "email": values.subscriber_email},
                "newsletter": {"name": values.newsletter_name},
                "issue": {"title": values.issue_title},
                "unsubscribe_url": values.unsubscribe_url,
            },
        )


def _render_node(node: Node, context: "_MailContext") -> str:
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


def _too_long() -> TemplateError:
    return TemplateError(f"It renders to more than {RENDERED_CHARS_MAX} characters")


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


class _MailContext(RenderContext):
    """The state of one rendering. Whatever is read is charged here, whatever is done with it then."""

    __slots__ = ("work",)

    def __init__(self, template: BoundTemplate, work: Work, *, globals: dict[str, object]) -> None:  # noqa: A002  # the engine's name
        super().__init__(template, globals=globals)
        self.work = work

    def get(self, path: list[object], *, token: Token | None, default: object = UNDEFINED) -> object:
        for segment in path:
            if isinstance(segment, str):
                self.work.charge(len(segment))
        value = super().get(path, token=token, default=default)
        self.work.charge(_size(value))
        return value

    def charge_filter(self, value: object, *, char_work: int) -> None:
        """Count what a filter reads or writes. Raises `TemplateError` when it is too long, or too much work."""
        size = len(value) if isinstance(value, str | list) else 1
        if size > VALUE_CHARS_MAX:
            raise TemplateError(f"A filter's value is longer than {VALUE_CHARS_MAX} characters")
        self.work.charge(_size(value) * char_work)


def _size(value: object) -> int:
    """In units of work. What the items of a list hold was charged when it was made."""
    if isinstance(value, str):
        return len(value)
    return len(value) * ITEM_WORK if isinstance(value, list) else 1


def _search_work(text: object, wanted: object) -> int:
    return len(text) * len(wanted) // SEARCH_STEPS_PER_UNIT if isinstance(text, str) and isinstance(wanted, str) else 0


def _bounded(name: str, filter_: Callable[..., object]) -> Callable[..., object]:
    """The same filter, its input, its arguments and its result charged to the rendering."""
    wants_environment = getattr(filter_, "with_environment", False)
    searches = name in _SEARCHING_FILTERS
    char_work = SLOW_FILTER_CHAR_WORK if name in _SLOW_FILTERS else CHAR_WORK

    @with_context
    def bounded(value: object, *arguments: object, context: _MailContext, **options: object) -> object:
        context.work.charge(FILTER_WORK)
        context.charge_filter(value, char_work=char_work)
        for argument in arguments:
            context.charge_filter(argument, char_work=char_work)
            if searches:
                context.work.charge(_search_work(value, argument))
        if wants_environment:
            options["environment"] = context.env
        result = filter_(value, *arguments, **options)
        context.charge_filter(result, char_work=char_work)
        return result

    return bounded


def _expression_work(expressions: Iterable[Expression]) -> int:
    return sum(EXPRESSION_WORK + _expression_work(expression.children()) for expression in expressions)


class _ChargedContent(ContentNode):
    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        _work_of(context).charge(NODE_WORK + len(self.text) // ENCODED_CHARS_PER_UNIT)
        return super().render_to_output(context, buffer)


class _ChargedOutput(OutputNode):
    __slots__ = ("_work",)

    def __init__(self, token: Token, expression: Expression) -> None:
        super().__init__(token, expression)
        self._work = NODE_WORK + _expression_work([expression])

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        work = _work_of(context)
        work.charge(self._work)
        text = to_liquid_string(self.expression.evaluate(context), context.autoescape)
        work.charge(len(text) * CHAR_WORK)
        return buffer.write(text)


class _ChargedAssign(AssignNode):
    __slots__ = ("_work",)

    def __init__(self, token: Token, *, name: Identifier, expression: Expression) -> None:
        super().__init__(token, name=name, expression=expression)
        self._work = NODE_WORK + _expression_work([expression])

    def render_to_output(self, context: RenderContext, _: TextIO) -> int:
        _work_of(context).charge(self._work)
        return super().render_to_output(context, _)


class _ChargedIf(IfNode):
    __slots__ = ("_work",)

    def __init__(
        self,
        token: Token,
        condition: Expression,
        consequence: BlockNode,
        alternatives: list[ConditionalBlockNode],
        default: BlockNode | None,
    ) -> None:
        super().__init__(token, condition, consequence, alternatives, default)
        self._work = NODE_WORK + _conditions_work(condition, alternatives)

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        _work_of(context).charge(self._work)
        return super().render_to_output(context, buffer)


class _ChargedUnless(UnlessNode):
    __slots__ = ("_work",)

    def __init__(
        self,
        token: Token,
        condition: Expression,
        consequence: BlockNode,
        alternatives: list[ConditionalBlockNode] | None = None,
        default: BlockNode | None = None,
    ) -> None:
        super().__init__(token, condition, consequence, alternatives, default)
        self._work = NODE_WORK + _conditions_work(condition, self.alternatives)

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        _work_of(context).charge(self._work)
        return super().render_to_output(context, buffer)


class _ChargedCase(CaseNode):
    """`when` renders its block once for each of its values that fits: without a charge that would be a loop."""

    __slots__ = ("_work",)

    def __init__(
        self, token: Token, expression: Expression, blocks: "list[MultiExpressionBlockNode | BlockNode]"
    ) -> None:
        super().__init__(token, expression, blocks)
        compared = [block.expression for block in blocks if isinstance(block, MultiExpressionBlockNode)]
        self._work = NODE_WORK * (1 + len(blocks)) + _expression_work(compared)
        for any_of in compared:
            _charge_searches(any_of)

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        _work_of(context).charge(self._work)
        return super().render_to_output(context, buffer)


def _work_of(context: RenderContext) -> Work:
    assert isinstance(context, _MailContext)
    return context.work


def _conditions_work(condition: Expression, alternatives: Sequence[ConditionalBlockNode]) -> int:
    conditions = [condition, *(alternative.expression for alternative in alternatives)]
    for one in conditions:
        _charge_searches(one)
    return _expression_work(conditions)


class _Wanted(Expression):
    """The right side of `contains`: charged for the search as a whole, just before it is done."""

    __slots__ = ("_text", "_wanted")

    def __init__(self, text: Expression, wanted: Expression) -> None:
        super().__init__(wanted.token)
        self._text = text
        self._wanted = wanted

    def __str__(self) -> str:
        return str(self._wanted)

    def evaluate(self, context: RenderContext) -> object:
        wanted = self._wanted.evaluate(context)
        _work_of(context).charge(_search_work(self._text.evaluate(context), wanted))
        return wanted

    def children(self) -> list[Expression]:
        return [self._wanted]


def _charge_searches(expression: Expression) -> None:
    for child in expression.children():
        _charge_searches(child)
    if isinstance(expression, ContainsExpression):
        expression.right = _Wanted(expression.left, expression.right)


def _render_every_branch(node: Node, context: _MailContext) -> None:
    """Charge for whatever a rendering of the node could do, whichever way its conditions go: for the dearest branch.

    Raises:
        TooMuchWorkError: and nothing else. An error in a branch that these values do not take may be one that
            whoever is sent this branch does not meet.
    """
    if isinstance(node, BlockNode):
        for inner in node.nodes:
            _render_every_branch(inner, context)
        return
    branches = _branches(node)
    if branches is None:
        _render_for_its_work(node, context)
        return
    # The conditions, and the branch that these values take.
    before = context.work.left
    _render_for_its_work(node, context)
    least_left = context.work.left
    for branch in branches:
        context.work.left = before
        _render_every_branch(branch, context)
        least_left = min(least_left, context.work.left)
    context.work.left = least_left


def _branches(node: Node) -> list[BlockNode] | None:
    if isinstance(node, IfNode | UnlessNode):
        found = [node.consequence, *(alternative.block for alternative in node.alternatives)]
        return [*found, node.default] if node.default is not None else found
    if isinstance(node, CaseNode):
        return [block.block if isinstance(block, MultiExpressionBlockNode) else block for block in node.blocks]
    return None


def _render_for_its_work(node: Node, context: _MailContext) -> None:
    try:
        node.render(context, NullIO())
    except TooMuchWorkError:
        raise
    except Exception as error:  # noqa: BLE001  # see `_render_every_branch`: only the work is looked at
        _log.debug("template.branch_fails", error=type(error).__name__)


class _ContentTag(ContentTag):
    node_class = _ChargedContent


class _OutputTag(OutputTag):
    node_class = _ChargedOutput


class _AssignTag(AssignTag):
    node_class = _ChargedAssign


class _IfTag(IfTag):
    node_class = _ChargedIf


class _UnlessTag(UnlessTag):
    node_class = _ChargedUnless


class _CaseTag(CaseTag):
    node_class = _ChargedCase


class _MailEnvironment(Environment):
    """Liquid with only `TAGS` and `FILTERS`; its loader is empty, and nothing could ask it."""

    block_nesting_limit = 20

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        for name in self.tags.keys() - TAGS - _ENGINE_TAGS:
            del self.tags[name]
        for tag in (_ContentTag, _OutputTag, _AssignTag, _IfTag, _UnlessTag, _CaseTag):
            self.add_tag(tag)
        self.filters = {name: _bounded(name, self.filters[name]) for name in FILTERS}


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
