"""How an author writes what a finding is about: the advice is in the language of the issue; pure."""

import re
from typing import Literal

from broadsheet_publishing.compiling.issue_source import IssueSource

Notation = Literal["markdown", "mjml", "html"]
"""HTML may stand in Markdown and in MJML too."""


def notation_of_image(source: IssueSource, address: str) -> Notation:
    """Of the picture with this address, as it stands in the source."""
    if source.format == "markdown":
        return "html" if _stands_in("img", source.content, address) else "markdown"
    if source.format == "mjml":
        return "html" if _stands_in("img", source.content, address) else "mjml"
    return "html"


def notation_of_link(source: IssueSource, address: str) -> Notation:
    if source.format == "markdown" and not _stands_in("a", source.content, address):
        return "markdown"
    return "html"


def _stands_in(tag: str, content: str, address: str) -> bool:
    return bool(address) and re.search(rf"<{tag}\s[^>]*{re.escape(address)}", content, re.IGNORECASE) is not None
