"""The template engine: Liquid's nodes and tags, each of which charges for its work (see `template_work`)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TextIO

import structlog
from liquid import BoundTemplate, Environment, RenderContext, Token
from liquid.ast import BlockNode, ConditionalBlockNode, Node
from liquid.builtin.content import ContentNode
from liquid.builtin.content import Literal as ContentTag
from liquid.builtin.expressions import Identifier
from liquid.builtin.expressions.logical import ContainsExpression
from liquid.builtin.output import Output as OutputTag
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.assign_tag import AssignNode, AssignTag
from liquid.builtin.tags.case_tag import CaseNode, CaseTag, MultiExpressionBlockNode
from liquid.builtin.tags.if_tag import IfNode, IfTag
from liquid.builtin.tags.unless_tag import UnlessNode, UnlessTag
from liquid.expression import Expression
from liquid.filter import with_context
from liquid.output import NullIO
from liquid.stringify import to_liquid_string
from liquid.undefined import UNDEFINED

from broadsheet_common.mail.template_lexer import tokens_of
from broadsheet_common.mail.template_work import (
    CHAR_WORK,
    ENCODED_CHARS_PER_UNIT,
    EXPRESSION_WORK,
    FILTER_WORK,
    NODE_WORK,
    SEARCHING_FILTERS,
    SLOW_FILTER_CHAR_WORK,
    SLOW_FILTERS,
    VALUE_CHARS_MAX,
    TemplateError,
    TooMuchWorkError,
    Work,
    search_work,
    size_of,
)

_log = structlog.get_logger()

TAGS = frozenset({"if", "unless", "case", "assign", "comment", "#"})
FILTERS = frozenset({
    "append", "capitalize", "default", "downcase", "escape", "escape_once", "first", "last", "lstrip",
    "newline_to_br", "prepend", "remove", "rstrip", "size", "slice", "split", "strip", "strip_newlines", "truncate",
    "truncatewords", "upcase", "url_encode",
})  # fmt: skip
ENGINE_TAGS = frozenset({"content", "output", "illegal"})


class MailContext(RenderContext):
    """The state of one rendering. Every value that is read is charged here, whatever it is used for."""

    __slots__ = ("work",)

    def __init__(self, template: BoundTemplate, work: Work, *, globals: dict[str, object]) -> None:  # noqa: A002  # the engine's name
        super().__init__(template, globals=globals)
        self.work = work

    def get(self, path: list[object], *, token: Token | None, default: object = UNDEFINED) -> object:
        for segment in path:
            if isinstance(segment, str):
                self.work.charge(len(segment))
        value = super().get(path, token=token, default=default)
        self.work.charge(size_of(value))
        return value

    def charge_filter(self, value: object, *, char_work: int) -> None:
        """Charge for what a filter reads or writes. Raises `TemplateError` if it is too long, or too much work."""
        size = len(value) if isinstance(value, str | list) else 1
        if size > VALUE_CHARS_MAX:
            raise TemplateError(f"A filter's value is longer than {VALUE_CHARS_MAX} characters")
        self.work.charge(size_of(value) * char_work)


def _bounded(name: str, filter_: Callable[..., object]) -> Callable[..., object]:
    """The same filter, with its input, its arguments and its result charged to the rendering."""
    wants_environment = getattr(filter_, "with_environment", False)
    searches = name in SEARCHING_FILTERS
    char_work = SLOW_FILTER_CHAR_WORK if name in SLOW_FILTERS else CHAR_WORK

    @with_context
    def bounded(value: object, *arguments: object, context: MailContext, **options: object) -> object:
        context.work.charge(FILTER_WORK)
        context.charge_filter(value, char_work=char_work)
        for argument in arguments:
            context.charge_filter(argument, char_work=char_work)
            if searches:
                context.work.charge(search_work(value, argument))
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
    """`when` renders its block once for each of its values that matches: without a charge it would be a loop."""

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
    assert isinstance(context, MailContext)
    return context.work


def _conditions_work(condition: Expression, alternatives: Sequence[ConditionalBlockNode]) -> int:
    conditions = [condition, *(alternative.expression for alternative in alternatives)]
    for one in conditions:
        _charge_searches(one)
    return _expression_work(conditions)


class _Wanted(Expression):
    """The right side of `contains`: the whole search is charged just before it is done."""

    __slots__ = ("_text", "_wanted")

    def __init__(self, text: Expression, wanted: Expression) -> None:
        super().__init__(wanted.token)
        self._text = text
        self._wanted = wanted

    def __str__(self) -> str:
        return str(self._wanted)

    def evaluate(self, context: RenderContext) -> object:
        wanted = self._wanted.evaluate(context)
        _work_of(context).charge(search_work(self._text.evaluate(context), wanted))
        return wanted

    def children(self) -> list[Expression]:
        return [self._wanted]


def _charge_searches(expression: Expression) -> None:
    for child in expression.children():
        _charge_searches(child)
    if isinstance(expression, ContainsExpression):
        expression.right = _Wanted(expression.left, expression.right)


def render_every_branch(node: Node, context: MailContext) -> None:
    """Charge for the most expensive rendering of the node, whichever way its conditions go.

    Raises:
        TooMuchWorkError: no other error is raised, because an error in a branch that these values do not take may not
            occur for the recipients who do get this branch.
    """
    if isinstance(node, BlockNode):
        for inner in node.nodes:
            render_every_branch(inner, context)
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
        render_every_branch(branch, context)
        least_left = min(least_left, context.work.left)
    context.work.left = least_left


def _branches(node: Node) -> list[BlockNode] | None:
    if isinstance(node, IfNode | UnlessNode):
        found = [node.consequence, *(alternative.block for alternative in node.alternatives)]
        return [*found, node.default] if node.default is not None else found
    if isinstance(node, CaseNode):
        return [block.block if isinstance(block, MultiExpressionBlockNode) else block for block in node.blocks]
    return None


def _render_for_its_work(node: Node, context: MailContext) -> None:
    try:
        node.render(context, NullIO())
    except TooMuchWorkError:
        raise
    except Exception as error:  # noqa: BLE001  # see `render_every_branch`: only the work matters
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


class MailEnvironment(Environment):
    """Liquid with only `TAGS` and `FILTERS`. Its loader is empty, and no tag can use it."""

    block_nesting_limit = 20

    def tokenizer(self) -> Callable[[str], Iterator[Token]]:
        return tokens_of

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        for name in self.tags.keys() - TAGS - ENGINE_TAGS:
            del self.tags[name]
        for tag in (_ContentTag, _OutputTag, _AssignTag, _IfTag, _UnlessTag, _CaseTag):
            self.add_tag(tag)
        self.filters = {name: _bounded(name, self.filters[name]) for name in FILTERS}
