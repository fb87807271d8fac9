"""The demo's issue: the Markdown file that ships with it, as its author wrote it."""

from importlib import resources

import msgspec

HEADING = "# "
SLUG = "first-issue"
SUBJECT = "{{ issue.title }}"
PREHEADER = "One button, one mail: what happened between the two, and what is known of it"


class IssueContent(msgspec.Struct, frozen=True):
    """A draft. All but the slug are templates; `title` is in the Markdown too, as its heading."""

    title: str
    slug: str
    subject: str
    preheader: str
    markdown: str


def load_issue() -> IssueContent:
    return parse(resources.files("broadsheet_local.demo").joinpath("issue.md").read_text(encoding="utf-8"))


def parse(markdown: str) -> IssueContent:
    """The first line is the title. Raises ValueError when it is no heading."""
    first, _, _ = markdown.partition("\n")
    title = first.removeprefix(HEADING).strip()
    if not first.startswith(HEADING) or not title:
        raise ValueError("an issue begins with its title, a heading")
    return IssueContent(title=title, slug=SLUG, subject=SUBJECT, preheader=PREHEADER, markdown=markdown)
