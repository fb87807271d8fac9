"""Markdown becomes HTML and plain text, both from the same tokens; pure.

CommonMark with tables, strikethrough, footnotes, bare addresses as links, HTML, and attributes in braces after a link
or a picture (`{.button}`, `{width=300}`). Quotes and dashes stay as they were typed. In code, Liquid is shown as it was
written, because code shows what stands in it. For a value that looks like code, an author writes
`<code>{{ … }}</code>`.
"""

from collections.abc import MutableMapping, Sequence
from functools import cache
from typing import Final, cast

import msgspec
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from mdit_py_plugins.attrs import attrs_plugin
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.gfm_autolink import gfm_autolink_plugin

from broadsheet_publishing.compiling.compiled_issue import Fault
from broadsheet_publishing.compiling.liquid_shield import Covered, Shield, shortened
from broadsheet_publishing.compiling.script import FAULTS_MAX, runs_script, script_fault, script_in

NESTING_MAX: Final = 20
"""Of lists and quotes. What is deeper is text."""
LIQUID_BLOCK: Final = "liquid_block"
"""The type of a token that holds Liquid tags alone: between blocks, and between the rows of a table."""
_ALLOWED_ATTRIBUTES: Final = ("class", "id", "width", "height", "lang", "dir")
_FITS_THE_SCREEN: Final = "max-width:100%;height:auto"
_OPENERS: Final = frozenset({"if", "unless", "case"})
_ADDRESS_OF: Final = {"link_open": "href", "image": "src"}


class MarkdownPage(msgspec.Struct, frozen=True):
    """`html` has words in the place of Liquid; so have `tokens`, of which the plain text is made."""

    html: str
    tokens: list[Token]


def read_markdown(covered: Covered, shield: Shield) -> MarkdownPage:
    """Liquid in code is noted in `shield.literal`."""
    env: MutableMapping[str, object] = {"shield": shield}
    tokens = _parser().parse(covered.text, env)
    for token in _all(tokens):
        if token.type in {"code_inline", "code_block", "fence"}:
            shield.literal.update(shield.numbers_in(token.content))
    html = _parser().renderer.render(tokens, _parser().options, env)
    return MarkdownPage(cast("str", html), tokens)


def html_of_markdown(text: str) -> str:
    """The text alone as HTML, without a layout."""
    shield = Shield(text)
    return shield.restore_html(read_markdown(shield.cover("content", text), shield).html)


def script_in_markdown(page: MarkdownPage, covered: Covered, shield: Shield) -> list[Fault]:
    """As `script_in`. Within a paragraph, the line is the paragraph's first."""
    lines = covered.text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    faults: list[Fault] = []
    for block in page.tokens:
        start = starts[block.map[0]] if block.map else None
        place = covered.place(start) if start is not None else None
        for token in (block, *(block.children or ())):
            if token.type in {"html_block", "html_inline"}:
                is_block = token.type == "html_block" and start is not None
                faults += script_in(
                    token.content,
                    shield,
                    covered.field,
                    lambda index, start=start, place=place, is_block=is_block: (  # type: ignore[misc]
                        covered.place(start + index) if is_block else place
                    ),
                )
            elif (name := _ADDRESS_OF.get(token.type)) is not None:
                address = shield.without_words(str(token.attrGet(name) or ""))
                if runs_script(address, shows_picture=token.type == "image"):
                    what = f"A link runs script: `{shortened(address)}`"
                    faults.append(script_fault(covered.field, place, what))
        if len(faults) >= FAULTS_MAX:
            break
    return faults[:FAULTS_MAX]


def _all(tokens: Sequence[Token]) -> list[Token]:
    return [one for token in tokens for one in (token, *_all(token.children or ()))]


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True, "typographer": False, "maxNesting": NESTING_MAX})
    parser.enable(["table", "strikethrough"])
    parser.use(footnote_plugin)
    parser.use(attrs_plugin, allowed=_ALLOWED_ATTRIBUTES)
    parser.use(gfm_autolink_plugin)
    # Addresses that run script are faults, instead of links that silently are none.
    parser.validateLink = lambda url: True  # type: ignore[method-assign]  # noqa: ARG005
    parser.block.ruler.before(
        "table",
        LIQUID_BLOCK,
        _liquid_block,
        {"alt": ["paragraph", "reference", "blockquote", "list", "footnote_def"]},
    )
    parser.core.ruler.push("liquid_rows", _liquid_rows)
    parser.add_render_rule(LIQUID_BLOCK, _render_liquid)
    parser.add_render_rule("image", _render_image)
    # Some programs drop <section>, and the layout's style of it.
    parser.add_render_rule("footnote_block_open", _render_footnotes)
    parser.add_render_rule("footnote_block_close", _render_footnotes)
    return parser


def _liquid_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:  # noqa: ARG001
    """A line that holds nothing but Liquid tags is no paragraph: it stands between the blocks around it."""
    line = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]].strip()
    shield = cast("Shield", state.env["shield"])
    if state.is_code_block(start) or not _is_tags_alone(line, shield):
        return False
    if silent and state.parentType == "table":
        # It is a row, unless it ends what began before the table.
        return _depth_after(_depth_in_table(state), line, shield) < 0
    if not silent:
        state.line = start + 1
        token = state.push(LIQUID_BLOCK, "", 0)
        token.content = line
        token.map = [start, state.line]
    return True


def _depth_in_table(state: StateBlock) -> int:
    """How many blocks of Liquid the rows so far have opened and not closed. Each row is looked at once."""
    table = next(at for at in reversed(range(len(state.tokens))) if state.tokens[at].type == "table_open")
    known_table, seen, depth = cast("tuple[int, int, int]", state.env.get("depth_in_table", (-1, 0, 0)))
    if known_table != table:
        seen, depth = table, 0
    shield = cast("Shield", state.env["shield"])
    for token in state.tokens[seen:]:
        if token.type == "inline" and _is_tags_alone(token.content, shield):
            depth = _depth_after(depth, token.content, shield)
    state.env["depth_in_table"] = (table, len(state.tokens), depth)
    return depth


def _is_tags_alone(text: str, shield: Shield) -> bool:
    if not text.startswith(shield.prefix):
        return False
    numbers = shield.numbers_in(text)
    return bool(numbers) and not shield.without_words(text).strip() and all(shield[n].kind == "tag" for n in numbers)


def _liquid_rows(state: StateCore) -> None:
    """Rows of a table that hold only Liquid tags become these tags, between the rows. Those at the table's end that
    belong to what is around it follow the table.
    """
    shield = cast("Shield", state.env["shield"])
    if not any(token.type == "table_open" for token in state.tokens):
        return
    done: list[Token] = []
    row_start = 0
    for token in state.tokens:
        if token.type == "tr_open":
            row_start = len(done)
        done.append(token)
        if token.type == "tr_close":
            cells = [one for one in done[row_start:] if one.type == "inline"]
            first, others = cells[0], cells[1:]
            if _is_tags_alone(first.content, shield) and not any(cell.content for cell in others):
                tags = Token(LIQUID_BLOCK, "", 0, content=first.content, map=first.map, level=token.level)
                done[row_start:] = [tags]
        elif token.type == "table_close":
            _move_out(done, shield)
    state.tokens = done


def _move_out(done: list[Token], shield: Shield) -> None:
    """`done` ends with a table."""
    end = len(done) - (2 if done[-2].type == "tbody_close" else 1)
    first = end
    while done[first - 1].type == LIQUID_BLOCK:
        first -= 1
    table = next(at for at in reversed(range(first)) if done[at].type == "table_open")
    depth = 0
    for token in done[table:first]:
        if token.type == LIQUID_BLOCK:
            depth = _depth_after(depth, token.content, shield)
    kept = first
    for at in range(first, end):
        depth = _depth_after(depth, done[at].content, shield)
        if depth < 0:
            break
        if depth == 0:
            kept = at + 1
    done[kept:] = [*done[end:], *done[kept:end]]


def _depth_after(depth: int, text: str, shield: Shield) -> int:
    """-1 as soon as something ends that did not begin."""
    for number in shield.numbers_in(text):
        name = shield[number].tag_name
        depth += (name in _OPENERS) - name.startswith("end")
        if depth < 0:
            return depth
    return depth


def _render_liquid(
    renderer: RendererHTML,  # noqa: ARG001
    tokens: Sequence[Token],
    index: int,
    options: OptionsDict,  # noqa: ARG001
    env: MutableMapping[str, object],  # noqa: ARG001
) -> str:
    return f"{tokens[index].content}\n"


def _render_footnotes(
    renderer: RendererHTML,  # noqa: ARG001
    tokens: Sequence[Token],
    index: int,
    options: OptionsDict,  # noqa: ARG001
    env: MutableMapping[str, object],  # noqa: ARG001
) -> str:
    if tokens[index].nesting < 0:
        return "</ol>\n</div>\n"
    return '<hr class="footnotes-sep">\n<div class="footnotes">\n<ol class="footnotes-list">\n'


def _render_image(
    renderer: RendererHTML,
    tokens: Sequence[Token],
    index: int,
    options: OptionsDict,
    env: MutableMapping[str, object],
) -> str:
    tokens[index].attrSet("style", _FITS_THE_SCREEN)
    return renderer.image(tokens, index, options, env)
