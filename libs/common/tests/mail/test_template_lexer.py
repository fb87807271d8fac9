"""Our search for text finds the tokens that the engine's own rules find."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from liquid import Token
from liquid.exceptions import LiquidSyntaxError
from liquid.lex import get_lexer

from broadsheet_common.mail.template_lexer import tokens_of

PIECES = (
    "{", "}", "{{", "}}", "{%", "%}", "-", "{{-", "-}}", "{%-", "-%}", " ", "\n", "x", "name", "{{ a }}", "{{- a -}}",
    "{% if a %}", "{%- endif -%}", "{% raw %}", "{% endraw %}", "{% comment %}", "{% endcomment %}", "{% # note %}",
    "{% doc %}", "{% enddoc %}", "{{{", "{{%", "{%{", "{-{", "é\u2028", "\r\n", "\x00",
)  # fmt: skip


def outcome(lexer: Callable[[str], Iterator[Token]], source: str) -> object:
    try:
        return list(lexer(source))
    except LiquidSyntaxError as error:
        return str(error.message), error.token and error.token.start_index


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
@example("")
@example("\n")
@example("\n\n")
@example("a\n")
@example("{{ a -}} \n b \n")
@example("a {{{ b }}} c\n")
@example("{{ never closed")
@example("{% raw %}{{ a }}{% endraw %}\n")
def test_the_tokens_are_the_engines(source: str) -> None:
    assert outcome(tokens_of, source) == outcome(get_lexer(), source)


@pytest.mark.parametrize("text", ["<p>A paragraph of text.</p>\n", "x{", "{\n", "one line "])
def test_large_texts_are_the_engines_too(text: str) -> None:
    source = f"{text * 5_000}{{{{ subscriber.name }}}}{text * 5_000}"
    assert outcome(tokens_of, source) == outcome(get_lexer(), source)
