"""The engine's lexer, with texts between markup found by a search; pure.

python-liquid's own rule for text looks ahead at every character, 40 ms a megabyte, and a draft is parsed at every
save. The tokens are the same.
"""

import re
from collections.abc import Iterator
from functools import cache, partial
from typing import Any, Final

from liquid import Token
from liquid.lex import get_lexer

_OPENING: Final = re.compile(r"\{[{%]")
# The groups are those that the engine reads; `content` must close last, since it names the kind of token.
_TEXT: Final = re.compile(r"(?P<content>.+(?=\{[{%](?P<rstrip>-?)))", re.DOTALL)
_LAST_TEXT: Final = re.compile(r"(?P<content>.+)(?:(?!)(?P<rstrip>-))?", re.DOTALL)


class _Rules:
    """What the engine's lexer asks for its matches, in place of its compiled rules."""

    def __init__(self, rules: re.Pattern[str]) -> None:
        self._rules = rules

    def finditer(self, source: str) -> Iterator[re.Match[str]]:
        position = 0
        while position < len(source):
            match = self._match(source, position)
            yield match
            position = match.end()

    def _match(self, source: str, position: int) -> re.Match[str]:
        opening = _OPENING.search(source, position)
        if opening is None:
            # The engine's rule ends before a last line break, which is a text of its own.
            end = len(source) - 1 if source.endswith("\n") and position < len(source) - 1 else len(source)
            match = _LAST_TEXT.match(source, position, end)
        elif opening.start() == position:
            match = self._rules.match(source, position)
        else:
            # No further than the mark, so that the last place where the text may end is the one that was found.
            match = _TEXT.match(source, position, opening.end() + source.startswith("-", opening.end()))
        assert match is not None, "some rule matches wherever there is a character"
        return match


@cache
def _lexer() -> Any:
    lexer = get_lexer()
    assert isinstance(lexer, partial)
    return partial(lexer.func, rules=_Rules(lexer.keywords["rules"]))


def tokens_of(source: str) -> Iterator[Token]:
    """The tokens of a template whose markup has been measured (`markup_bounds`).

    Raises:
        LiquidSyntaxError: as the engine's lexer.
    """
    tokens: Iterator[Token] = _lexer()(source)
    return tokens
