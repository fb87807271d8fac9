"""Roles and the permissions that each gives. A role is held for every newsletter or for chosen ones.

This table is the whole of it: what a role does not name, it does not allow. docs/access.md shows it as a matrix.
"""

from typing import Final, Literal

from broadsheet_common.contracts.permissions import GRANTABLE, Permission

Role = Literal["owner", "editor", "publisher", "analyst", "support"]

# Everybody looks after the keys of their own, which never allow more than their role.
_EVERYBODY: Final[frozenset[Permission]] = frozenset({"newsletters:read", "keys:read", "keys:write"})
_EDITOR: Final[frozenset[Permission]] = _EVERYBODY | frozenset[Permission](
    {
        "layouts:read",
        "layouts:write",
        "issues:read",
        "issues:write",
        "issues:preview",
        "issues:test",
        "segments:read",
        "attributes:read",
        "reports:read",
    }
)

ROLE_PERMISSIONS: Final[dict[Role, frozenset[Permission]]] = {
    "owner": GRANTABLE,
    "editor": _EDITOR,
    "publisher": _EDITOR
    | frozenset[Permission](
        {"issues:publish", "issues:approve", "deliveries:read", "deliveries:decide", "senders:read"}
    ),
    # Reports hold no addresses; a preview as a certain reader would, and so may a segment's filter.
    "analyst": _EVERYBODY | frozenset[Permission]({"issues:read", "reports:read"}),
    "support": _EVERYBODY
    | frozenset[Permission](
        {
            "issues:read",
            "subscribers:read",
            "subscribers:write",
            "personal-data:export",
            "personal-data:erase",
            "consents:read",
            "segments:read",
            "attributes:read",
            "deliveries:read",
            "suppressions:read",
            "suppressions:write",
        }
    ),
}
