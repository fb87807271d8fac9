"""Permissions: what a user or an API key may do. A key's scopes are permissions too.

A permission is `<resource>:<action>`. `public` is held by the sign-up pages alone and is never granted. Every operation
of a service names the one permission that it needs (`requires` in `identity`); which role holds which permissions is
the gateway's data. An operation that names none is refused.
"""

from collections.abc import Iterable
from typing import Final, Literal, get_args

Permission = Literal[
    "public",
    "newsletters:read",
    "newsletters:write",
    "layouts:read",
    "layouts:write",
    "issues:read",
    "issues:write",
    "issues:preview",
    "issues:test",
    "issues:publish",
    "issues:approve",
    "deliveries:read",
    "deliveries:decide",
    "reports:read",
    "subscribers:read",
    "subscribers:write",
    "subscribers:export",
    "personal-data:export",
    "personal-data:erase",
    "consents:read",
    "imports:read",
    "imports:write",
    "segments:read",
    "segments:write",
    "attributes:read",
    "attributes:write",
    "suppressions:read",
    "suppressions:write",
    "webhooks:read",
    "webhooks:write",
    "senders:read",
    "senders:write",
    "users:read",
    "users:write",
    "keys:read",
    "keys:write",
    "audit:read",
]

PUBLIC: Final[frozenset[Permission]] = frozenset({"public"})
GRANTABLE: Final[frozenset[Permission]] = frozenset(get_args(Permission)) - PUBLIC

_OPERATING: Final[frozenset[Permission]] = frozenset(
    {
        "senders:write",
        "webhooks:read",
        "webhooks:write",
        "users:read",
        "users:write",
        "keys:read",
        "keys:write",
        "audit:read",
    }
)
_READS: Final[frozenset[Permission]] = frozenset(
    name for name in GRANTABLE if name.endswith((":read", ":preview")) and name not in _OPERATING | {"consents:read"}
)

SCOPE_GROUPS: Final[dict[str, frozenset[Permission]]] = {
    "all": GRANTABLE,
    "read": _READS,
    "write": GRANTABLE - _READS - _OPERATING - {"consents:read", "subscribers:export", "personal-data:export"},
    "admin": _OPERATING,
}
"""Short names for several scopes. Exports, personal data and consent records are in none of them but `all`."""

EARLIER_SCOPES: Final[dict[str, frozenset[Permission]]] = {
    "read": _READS | {"consents:read", "subscribers:export", "personal-data:export"},
    "write": SCOPE_GROUPS["write"],
    "admin": _OPERATING,
    "public": PUBLIC,
}
"""What the three scopes before schema 0006 allowed: keys and identities that still name them mean these."""


def parse_permissions(names: Iterable[str]) -> frozenset[Permission]:
    """Permissions by their names or the groups' names.

    Raises:
        ValueError: a name is none that can be granted; the text names it.
    """
    wanted = frozenset(names)
    unknown = sorted(wanted - GRANTABLE - SCOPE_GROUPS.keys())
    if unknown:
        raise ValueError(f"there is no scope {', '.join(unknown)}")
    found = frozenset(name for name in GRANTABLE if name in wanted)
    return found.union(*(group for name, group in SCOPE_GROUPS.items() if name in wanted))
