"""The roles that groups at the provider give, beside those that owners gave by hand.

A link keeps which roles the mapping gave. At the next sign-in these go, and what the groups give then comes; a role
that the user had by hand before stays theirs whatever the groups say. An owner who takes a mapped role away by hand
sees it come back: the group is where it is taken away.
"""

from collections.abc import Collection
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.audit import Actor
from broadsheet_gateway.access.interface import replace_grants
from broadsheet_gateway.access.last_owner import LastOwnerError, require_another_owner
from broadsheet_gateway.access.rights import Grant
from broadsheet_gateway.oidc import store
from broadsheet_gateway.users.change_user import show_user
from broadsheet_gateway.users.record_changes import record_changes

_OWNER: Final = Grant("owner")

_log = structlog.get_logger()


def by_provider(source: str | None) -> Actor:
    """Who changes roles by what the provider says. `source`: the network address of the request."""
    return Actor("provider", "provider", source)


async def apply_mapped_roles(
    connection: AsyncConnection, user_id: int, given: Collection[Grant], *, issuer: str, source: str | None
) -> bool:
    """In the transaction of the sign-in. The last owner stays one: then the role counts as the mapping's still, and
    goes at a later sign-in once somebody else is an owner. False if the link was ended meanwhile.
    """
    before = await show_user(connection, user_id, lock=True)
    # Under the lock: another sign-in of the same user may just have changed both.
    link = await store.find_of_user(connection, issuer, user_id)
    if link is None:
        return False
    by_hand = frozenset(before.roles) - link.mapped
    mapped = frozenset(given) - by_hand
    if _OWNER in link.mapped and _OWNER not in mapped and _OWNER in before.roles:
        try:
            await require_another_owner(connection, link.user_id)
        except LastOwnerError:
            mapped |= {_OWNER}
            _log.warning("security.last_owner_kept", user_id=link.user_id)
    if mapped != link.mapped:
        await store.keep_mapped(connection, issuer=issuer, user_id=link.user_id, mapped=mapped)
    if by_hand | mapped != frozenset(before.roles):
        await replace_grants(connection, link.user_id, by_hand | mapped)
        after = await show_user(connection, link.user_id)
        await record_changes(connection, by_provider(source), before, after)
        _log.warning("security.user_changed", user_id=link.user_id, changed_by="provider")
    return True
