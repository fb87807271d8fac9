"""The issue that a benchmark sends: prose of a given length with the usual merge fields in it."""

import html

import msgspec

TITLE = "The benchmark's issue"
NEWSLETTER_NAME = "Newsletter"
BYTES_PER_KB = 1_024

_SENTENCES = (
    "The press was washed before dawn, and the first sheet came off it while the street was still dark.",
    "Nobody had ordered the second edition, yet by noon there was not a copy left of either.",
    "What the compositor changed in the last line is known only to those who kept the proof.",
    "A letter to the editor asked why the weather is always on the back page; it was printed there.",
    "Carts took the bundles to the station, where each was counted, signed for and counted again.",
    "The old type had been melted down & cast anew so often that its faces looked surprised.",
    "Readers in the hills got theirs a day late and said that the news had ripened on the way.",
)


class BenchIssue(msgspec.Struct, frozen=True):
    title: str
    html: str
    text: str


def make_issue(body_kb: int) -> BenchIssue:
    """HTML of about `body_kb` KB and text of a tenth of it; both greet by name and carry the unsubscribe link."""
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{{ issue.title }}</title></head>\n'
        '<body style="margin:0;padding:24px;font:16px/1.6 Georgia,serif">\n<p>Dear {{ subscriber.name }},</p>\n'
    )
    foot = (
        "<p>{{ subscriber.name }}, you read this at {{ subscriber.email }} because you subscribed to "
        '{{ newsletter.name }}. <a href="{{ unsubscribe_url }}">Unsubscribe</a></p>\n</body></html>\n'
    )
    text_foot = "\n-- \n{{ newsletter.name }}, sent to {{ subscriber.email }}. Unsubscribe: {{ unsubscribe_url }}\n"
    size = body_kb * BYTES_PER_KB
    paragraphs = [f"<p>{html.escape(sentence)}</p>\n" for sentence in _SENTENCES]
    return BenchIssue(
        title=TITLE,
        html=head + _filled(paragraphs, size - len(head) - len(foot)) + foot,
        text="Dear {{ subscriber.name }},\n\n"
        + _filled([f"{sentence}\n\n" for sentence in _SENTENCES], size // 10)
        + text_foot,
    )


def _filled(parts: list[str], size: int) -> str:
    """Repeat the parts until the text is `size` characters long or a little longer."""
    text: list[str] = []
    length = 0
    while length < size:
        part = parts[len(text) % len(parts)]
        text.append(part)
        length += len(part)
    return "".join(text)
