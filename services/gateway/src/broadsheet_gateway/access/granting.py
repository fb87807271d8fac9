"""Nobody gives a role that allows more than they may do: a key that only looks after users makes nobody an owner."""

from collections.abc import Iterable

from broadsheet_common.contracts.identity import Identity
from broadsheet_common.http.problems import ForbiddenError
from broadsheet_gateway.access.rights import Grant, rights_of


def require_may_grant(by: Identity, grants: Iterable[Grant]) -> None:
    """Raises ForbiddenError: one of the roles names a permission that the caller does not hold for its newsletters."""
    for grant in grants:
        given = rights_of([grant])
        missing = given.everywhere - by.scopes
        missing |= {held for newsletter, held in given.limited if (newsletter, held) not in by.limited} - by.scopes
        if missing:
            raise ForbiddenError(f"The role {grant.text} allows what you may not do yourself: {min(missing)}.")
