"""What is found in the Markdown itself: links that became none, and pictures that nobody described."""

import pytest

from .test_of_layout import checked, of
from .world import WORDS


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("[the harbour](the harbour page)", "[the harbour](the harbour page)"),
        ("See *[the harbour](https://example.org/a page)* too", "[the harbour](https://example.org/a page)"),
        ("> - [the **old** harbour](see below)", "[the **old** harbour](see below)"),
        ("| a |\n| --- |\n| [b](c d) |", "[b](c d)"),
        ("![A bridge](bridge one.png)", "![A bridge](bridge one.png)"),
        ("[mine]({{ subscriber.email }} of mine)", "[mine]({{ subscriber.email }} of mine)"),
    ],
)
def test_a_link_whose_target_is_no_address_and_that_readers_see_as_typed_is_found(written: str, shown: str) -> None:
    [finding] = of(checked(f"{WORDS}\n\n{written}"), "link-not-made")
    assert (finding.severity, finding.field, finding.data["written"]) == ("warns", "content", shown)
    assert finding.line is not None
    assert finding.line >= 3
    assert ("no picture" in finding.detail) == shown.startswith("!")
    assert "https://" in finding.advice


@pytest.mark.parametrize(
    "written",
    [
        "[the harbour](https://example.org/a)",
        '[the harbour](https://example.org/a "Its title")',
        "[the harbour](<https://example.org/a b>)",
        "[the harbour]({{ web_url }})",
        "`[the harbour](the harbour page)`",
        "```\n[the harbour](the harbour page)\n```",
        r"\[the harbour](the harbour page)",
        "He said [sic] (and meant it) that it was [closed].",
        "A note[^1]\n\n[^1]: (as it was)",
    ],
)
def test_a_link_that_works_and_brackets_that_are_meant_are_not_found(written: str) -> None:
    assert of(checked(f"{WORDS}\n\n{written}"), "link-not-made") == []


@pytest.mark.parametrize("written", ["![](https://example.org/a.jpg){width=9}", "![ ](https://example.org/a.jpg)"])
def test_a_picture_of_markdown_without_words_between_its_brackets_is_found(written: str) -> None:
    [finding] = of(checked(f"{WORDS}\n\n{written}"), "image-without-alt")
    assert (finding.severity, finding.field, finding.line) == ("warns", "content", 3)
    assert finding.data["src"] == "https://example.org/a.jpg"
    assert "![A quiet harbour](https://…)" in finding.advice


@pytest.mark.parametrize(
    "written",
    [
        "![A bridge](https://example.org/a.jpg){width=9}",
        "![{{ issue.title }}](https://example.org/a.jpg){width=9}",
        '<img src="https://example.org/a.jpg" width="9" alt="">',
    ],
)
def test_a_picture_that_is_described_or_said_to_say_nothing_is_not_found(written: str) -> None:
    assert of(checked(f"{WORDS}\n\n{written}"), "image-without-alt") == []
