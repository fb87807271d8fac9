"""Bounds on the markup of a template, checked before python-liquid sees it; pure.

Its scanner takes quadratic time on markup that is never closed or contains long runs of blanks.
"""

import re

from broadsheet_common.mail.template_engine import TAGS
from broadsheet_common.mail.template_work import TemplateError

MARKUP_COUNT_MAX = 1_000
"""The number of `{{ … }}` and `{% … %}` in one template."""
MARKUP_CHARS_MAX = 500
"""Length of each of them; the engine parses about 500,000 characters of markup a second."""
MARKUP_TOTAL_CHARS_MAX = 100_000
"""Length of all of them together."""
MARKUP_BLANKS_MAX = 40
"""Consecutive blanks within one of them."""
BRACKETS_MAX, DOTS_MAX = 4, 40
"""In one of them: the engine takes quadratic time on deep paths."""
_INNER_TAGS = frozenset({"else", "elsif", "when", "endif", "endunless", "endcase", "endcomment"})
_OPENING = re.compile(r"\{\{|\{%")
_TAG_NAME = re.compile(r"-?\s*(#|\w*)")
_END_RAW = re.compile(r"\{%-?\s*endraw\s*-?%\}")
_BLANK_RUN = re.compile(rf"\s{{{MARKUP_BLANKS_MAX + 1}}}")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")


def measure_markup(source: str) -> None:
    """Refuse, in one pass, markup that would make the engine's scanner or a rendering slow, and tags that are not
    allowed.

    Raises:
        TemplateError: with the place.
    """
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
            # The engine outputs everything up to `endraw` unchanged, so it is not measured.
            end = _END_RAW.search(source, position)
            fault = "`raw` has no `endraw`" if end is None else None
            position = end.end() if end is not None else position
        else:
            fault = _fault_of(markup, is_tag=is_tag)
        if fault is not None:
            raise TemplateError(fault, *place_of(source, opening.start()))


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


def place_of(source: str, index: int) -> tuple[int, int]:
    """Line and column of a character; both count from 1."""
    return source.count("\n", 0, index) + 1, index - source.rfind("\n", 0, index)
