"""Pages inside write every instant in one way: by the filters of `pages/times.py`, in a zone that is named."""

import re
from pathlib import Path

import pytest

from broadsheet_gateway.pages import times

TEMPLATES = Path(times.__file__).parent / "templates"
FOR_READERS = {"home.html", "archive_issues.html", "archive_article.html"}
"""Readers are told days, in the newsletter's language (`long_date`)."""
WRITTEN_OTHERWISE = re.compile(r"<time\b|strftime|isoformat|\|\s*long_date\b|_at\s*\|\s*plain_date\b|%[dBHM]\b")
AN_INSTANT = re.compile(r"\{\{-?([^{}]*(?<!typed)\.(?:\w+_(?:at|until|since)|as_of|at)\b[^{}]*)\}\}")
FILTERED = re.compile(r"\|\s*(?:instant|planned)\(|\bwhen\(|\bif \w+\.\w+_at\b")
UTC_WORDS = re.compile(r"\bUTC\b")
COUNTED_IN_UTC = {
    "segments/segment.html": "a segment's conditions count days in UTC",
    "keys/key.html": "uses of a key are counted by days in UTC",
}


def inside() -> list[str]:
    return sorted(
        path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*.html") if path.name not in FOR_READERS
    )


@pytest.mark.parametrize("template", inside())
def test_no_template_formats_an_instant_by_another_way(template: str) -> None:
    text = (TEMPLATES / template).read_text()
    assert not WRITTEN_OTHERWISE.search(text), f"{template}: use |instant(zone)"
    for shown in AN_INSTANT.findall(text):
        assert FILTERED.search(shown), f"{template}: {shown.strip()}: use |instant(zone)"


@pytest.mark.parametrize("template", inside())
def test_no_template_names_a_zone_by_itself(template: str) -> None:
    """The zone of what it shows is the page's, and may be another one than UTC."""
    if template not in COUNTED_IN_UTC:
        assert not UTC_WORDS.search((TEMPLATES / template).read_text())


def test_what_is_said_to_be_counted_in_utc_says_so() -> None:
    for template in COUNTED_IN_UTC:
        assert UTC_WORDS.search((TEMPLATES / template).read_text()), template
