"""What is read out of a mail: its links, and the words beside its subject; also from mails made to be hard to read."""

import time

import pytest

from broadsheet_postmark_sandbox.inbox.first_words import CHARS_MAX, first_words
from broadsheet_postmark_sandbox.inbox.links import LINKS_MAX, links_in

SECONDS_MAX = 3
HARD = [
    "<div>" * 60_000,
    "<a" * 150_000,
    "<!--" * 75_000,
    "<!" * 150_000,
    "<![" * 100_000,
    "&#" * 150_000,
    "<a href='x" * 30_000,
    "<style>" + "x" * 300_000,
    "<" * 300_000,
    '<a href="https://x.example/">' * 10_000,
]


def test_links_are_found_in_html_and_text_once_with_where_they_lead() -> None:
    found = links_in(
        '<a href="https://x.example/a"><b>Read</b>  on</a> <a href="javascript:x">no</a> <a name="q">no</a>'
        '<a href="HTTPS://user@evil.example:8080?x"><img src="p" alt="A picture"></a>'
        '<a href="mailto:a@x.example">M</a>',
        "See https://x.example/a, or (https://x.example/b).",
    )
    assert [(one.text, one.address, one.host, one.opens) for one in found] == [
        ("Read on", "https://x.example/a", "x.example", True),
        ("A picture", "HTTPS://user@evil.example:8080?x", "user@evil.example:8080", True),
        ("M", "mailto:a@x.example", "mailto", False),
        ("", "https://x.example/b", "x.example", True),
    ]
    assert links_in(None, None) == []


def test_the_first_words_are_those_of_the_html_hidden_ones_too() -> None:
    assert first_words("<title>T</title><div style='display:none'>Pre\u200b\u034f</div><p>Body", "Text") == "Pre Body"
    assert first_words("<style>p{}</style><img src=x>", " Text\n more ") == "Text more"
    assert first_words(None, None) == ""
    assert first_words(f"<div>Pre{'&#8199;&#847; ' * 40}</div><p>Body", None) == "Pre", "the rest was filled up"
    assert first_words(f"<div>{'&nbsp;&zwnj;' * 40}</div>", "Text") == "Text"
    assert first_words(f"<p>{'word ' * 100}", None) == ("word " * 100)[:CHARS_MAX].rstrip() + "…"


@pytest.mark.parametrize("html", HARD, ids=[hard[:12] for hard in HARD])
def test_hard_mails_are_read_in_time(html: str) -> None:
    began = time.monotonic()
    assert len(links_in(html, html)) <= LINKS_MAX
    assert len(first_words(html, html)) <= CHARS_MAX + 1
    assert time.monotonic() - began < SECONDS_MAX
