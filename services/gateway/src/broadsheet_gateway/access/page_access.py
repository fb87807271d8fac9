"""What each page under `/admin` needs. A page that says nothing is refused.

Pages ask services with the identity of the session, and these keep to its newsletters: a page opens for a permission
that is held for any newsletter, unless it says `everywhere`.
"""

from collections.abc import Mapping
from typing import Any, Final

from litestar.connection import ASGIConnection

from broadsheet_common.contracts.permissions import Permission
from broadsheet_common.http.problems import ForbiddenError, ProblemError
from broadsheet_gateway.access.rights import Rights

_OPTION: Final = "page_permissions"
_EVERYWHERE: Final = "page_permissions_everywhere"

_WITHOUT_FACTOR: Final = "open_without_second_factor"

SIGNED_IN: Final[Mapping[str, Any]] = {_OPTION: frozenset[Permission]()}
"""For a handler's `opt`: everybody who has signed in."""
SIGNED_IN_WITHOUT_FACTOR: Final[Mapping[str, Any]] = {**SIGNED_IN, _WITHOUT_FACTOR: True}
"""As SIGNED_IN, and also those who must first set a second factor up."""


def needs(*permissions: Permission, everywhere: bool = False) -> Mapping[str, Any]:
    """For a handler's `opt`: those who hold all of these permissions; `everywhere`: for every newsletter, as what
    belongs to the whole installation needs.
    """
    return {_OPTION: frozenset(permissions), _EVERYWHERE: everywhere}


class SecondFactorNeededError(ProblemError):
    """The user must have a second factor, and has not proved one. A page sends them to where it is set up."""

    slug, title, status = "second-factor-needed", "A second factor is needed", 403

    def __init__(self) -> None:
        super().__init__("Your role needs a second factor. Set it up at /admin/account/second-factor.")


def require_page_access(
    connection: ASGIConnection[Any, Any, Any, Any], rights: Rights, *, must_set_up_factor: bool
) -> None:
    """Whether the page is open to the user of a session.

    Raises:
        SecondFactorNeededError: the user must first set a second factor up, and the page does not say that it is for
            that.
        ForbiddenError: the page needs a permission that is not held, or does not say what it needs.
    """
    opt = connection.scope["route_handler"].opt
    if must_set_up_factor and not opt.get(_WITHOUT_FACTOR, False):
        raise SecondFactorNeededError
    needed = opt.get(_OPTION)
    held = rights.everywhere if opt.get(_EVERYWHERE) else rights.anywhere
    if needed is None or not needed <= held:
        raise ForbiddenError("Your role does not include this page. An owner can change that.")
