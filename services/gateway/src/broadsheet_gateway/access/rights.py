"""What somebody may do: permissions for every newsletter, and permissions for one newsletter each."""

from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from broadsheet_common.contracts.permissions import GRANTABLE, Permission
from broadsheet_common.http.record_id import RECORD_ID_MAX
from broadsheet_gateway.access.roles import ROLE_PERMISSIONS, Role


class Grant(msgspec.Struct, frozen=True, order=True):
    """A role; `newsletter_id` None: for every newsletter, now and later."""

    role: Role
    newsletter_id: int | None = None

    @property
    def text(self) -> str:
        """Such as `owner`, or `editor:3` for one newsletter."""
        return self.role if self.newsletter_id is None else f"{self.role}:{self.newsletter_id}"

    @classmethod
    def parse(cls, text: str) -> "Grant":
        """Of the same form. Raises ValueError with a sentence."""
        name, separator, number = text.partition(":")
        role = next((known for known in ROLE_PERMISSIONS if known == name), None)
        if role is None:
            raise ValueError(f"expected one of {', '.join(ROLE_PERMISSIONS)}")
        if separator and not (number.isascii() and number.isdigit() and 0 < int(number) <= RECORD_ID_MAX):
            raise ValueError("expected a newsletter's id after the colon")
        return cls(role, int(number) if separator else None)


class Rights(msgspec.Struct, frozen=True):
    """`limited` holds pairs of newsletter and permission; none of a permission that is held `everywhere`."""

    everywhere: frozenset[Permission] = frozenset()
    limited: frozenset[tuple[int, Permission]] = frozenset()

    @property
    def anywhere(self) -> frozenset[Permission]:
        return self.everywhere | {permission for _, permission in self.limited}

    def within(self, scopes: frozenset[Permission], newsletter_ids: Collection[int] | None) -> "Rights":
        """What a key of somebody with these rights may do: its scopes, where both it and its user have them."""
        everywhere = self.everywhere & scopes
        limited = frozenset((newsletter, held) for newsletter, held in self.limited if held in scopes)
        if newsletter_ids is None:
            return Rights(everywhere, limited)
        chosen = frozenset(newsletter_ids)
        return Rights(
            frozenset(),
            frozenset((newsletter, held) for newsletter in chosen for held in everywhere)
            | frozenset((newsletter, held) for newsletter, held in limited if newsletter in chosen),
        )


NO_RIGHTS: Final = Rights()
ALL_RIGHTS: Final = Rights(everywhere=GRANTABLE)


def rights_of(grants: Iterable[Grant]) -> Rights:
    """The sum of what the roles give."""
    held = list(grants)
    everywhere = frozenset[Permission]().union(
        *(ROLE_PERMISSIONS[grant.role] for grant in held if grant.newsletter_id is None)
    )
    return Rights(
        everywhere,
        frozenset(
            (grant.newsletter_id, permission)
            for grant in held
            if grant.newsletter_id is not None
            for permission in ROLE_PERMISSIONS[grant.role] - everywhere
        ),
    )
