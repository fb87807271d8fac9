"""The name under which a report counts the clicks on a link. Pure.

A link may hold what belongs to one reader: a token, an address, a number. Such a link must neither be stored nor make
a line of its own for each reader. So a link is named in full only where it stands in the issue for everybody;
otherwise without what may be personal; and our own signed links by their kind alone.
"""

from itertools import pairwise
from typing import Final

LINK_LENGTH_MAX: Final = 500
LINKS_MAX: Final = 500
"""Links told apart in an issue; clicks on further ones are counted together."""
UNKNOWN_LINK: Final = "(unknown)"
_OWN_KINDS: Final = {"unsubscribe": "(unsubscribe)", "preferences": "(preferences)"}
_TOKEN: Final = "[token]"  # noqa: S105  # the mark that stands in place of one
_QUERY: Final = "?[query]"


def name_of_link(shared_link: str | None, link: str | None) -> str:
    """From what is stored of a click: `shared_link` stands in the issue itself, `link` was redacted."""
    if shared_link:
        return shared_link[:LINK_LENGTH_MAX]
    if not link:
        return UNKNOWN_LINK
    parts = link.removesuffix(_QUERY).split("/")
    for part, following in pairwise(parts):
        if part in _OWN_KINDS and following.endswith(_TOKEN):
            return _OWN_KINDS[part]
    return link[:LINK_LENGTH_MAX]
