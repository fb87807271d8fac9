"""The demo's issue: one Markdown file, rendered to the HTML and the plain text of a mail.

Merge fields (`{{ subscriber.name }}`) mean nothing to Markdown and pass through as they stand.
"""

from importlib import resources

import msgspec
from markdown_it import MarkdownIt
from markdown_it.token import Token

BULLET = "- "
QUOTE = "> "

PAGE = """\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title></head>
<body style="margin:0;padding:24px 16px;background:#f6f4ef;color:#1f1d1a">
<div style="max-width:36em;margin:0 auto;padding:32px;background:#fff;font:16px/1.6 Georgia,'Times New Roman',serif">
{body}</div>
</body>
</html>
"""


class IssueContent(msgspec.Struct, frozen=True):
    title: str
    html: str
    text: str


def load_issue() -> IssueContent:
    """The Markdown file that ships with this package; its first heading is the title."""
    return render(resources.files("broadsheet_local.demo").joinpath("issue.md").read_text(encoding="utf-8"))


def render(markdown: str) -> IssueContent:
    """Raises ValueError when the text does not begin with a heading."""
    parser = MarkdownIt("commonmark")
    tokens = parser.parse(markdown)
    if not tokens or tokens[0].type != "heading_open":
        raise ValueError("an issue begins with its title, a heading")
    title = as_text(tokens[1].children or [])
    return IssueContent(
        title=title,
        html=PAGE.format(title=title, body=parser.render(markdown)),
        text=plain_text(tokens),
    )


def plain_text(tokens: list[Token]) -> str:
    """Paragraphs separated by an empty line; headings underlined; lists and quotes marked; links written out."""
    blocks: list[str] = []
    counters: list[int | None] = []
    quotes = 0
    for position, token in enumerate(tokens):
        match token.type:
            case "bullet_list_open":
                counters.append(None)
            case "ordered_list_open":
                counters.append(int(token.attrs.get("start", 1)))
            case "bullet_list_close" | "ordered_list_close":
                counters.pop()
            case "blockquote_open":
                quotes += 1
            case "blockquote_close":
                quotes -= 1
            case "inline":
                text = as_text(token.children or [])
                before = tokens[position - 1]
                if before.type == "heading_open":
                    text += "\n" + ("=" if before.tag == "h1" else "-") * len(text)
                elif counters:
                    number = counters[-1]
                    text = (BULLET if number is None else f"{number}. ") + text
                    counters[-1] = None if number is None else number + 1
                blocks.append((QUOTE * quotes) + text)
            case _:
                pass
    return "\n\n".join(blocks) + "\n"


def as_text(children: list[Token]) -> str:
    """A line of text without its marks; a link is followed by its address."""
    parts: list[str] = []
    addresses: list[str] = []
    for child in children:
        match child.type:
            case "text" | "code_inline":
                parts.append(child.content)
            case "softbreak":
                parts.append(" ")
            case "hardbreak":
                parts.append("\n")
            case "link_open":
                addresses.append(str(child.attrs["href"]))
            case "link_close":
                parts.append(f" ({addresses.pop()})")
            case _:
                pass
    return "".join(parts)
