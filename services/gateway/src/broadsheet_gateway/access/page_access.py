"""What each page under `/admin` needs. A page that says nothing is refused.

Pages ask services with the identity of the session, and these keep to its newsletters: a page opens for a permission
that is held for any newsletter, unless it says `everywhere`.
"""

from collections.abc import Mapping
from typing import Any, Final

from litestar.connection import ASGIConnection

from broadsheet_common.contracts.permissions import Permission
from broadsheet_common.http.problems import ForbiddenError
from broadsheet_gateway.access.rights import Rights

_OPTION: Final = "page_permissions"
_EVERYWHERE: Final = "page_permissions_everywhere"

SIGNED_IN: Final[Mapping[str, Any]] = {_OPTION: frozenset[Permission]()}
"""For a handler's `opt`: everybody who has signed in."""


def needs(*permissions: Permission, everywhere: bool = False) -> Mapping[str, Any]:
    """For a handler's `opt`: those who hold all of these permissions; `everywhere`: for every newsletter, as what
    belongs to the whole installation needs.
    """
    return {_OPTION: frozenset(permissions), _EVERYWHERE: everywhere}


def require_page_access(connection: ASGIConnection[Any, Any, Any, Any], rights: Rights) -> None:
    """Raises ForbiddenError if the page needs a permission that is not held, or does not say what it needs."""
    opt = connection.scope["route_handler"].opt
    needed = opt.get(_OPTION)
    held = rights.everywhere if opt.get(_EVERYWHERE) else rights.anywhere
    if needed is None or not needed <= held:
        raise ForbiddenError("Your role does not include this page. An owner can change that.")
