"""A user as the API shows one, and what may be sent about one."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from broadsheet_common.http.plain_text import find_text_fault
from broadsheet_common.http.problems import FieldProblem, InvalidInputError
from broadsheet_common.http.record_id import RecordId
from broadsheet_gateway.access.rights import Grant
from broadsheet_gateway.access.roles import Role
from broadsheet_gateway.users.look_alikes import find_look_alike_fault

NAME_CHARS_MAX = 200
USERNAME_CHARS_MAX = 100
GRANTS_MAX = 100


class GrantInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A role; `newsletter_id` null: for every newsletter, now and later."""

    role: Role
    newsletter_id: RecordId | None = None


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may sign in, unless `deactivated_at` is set. `roles` add up; without one a user may do nothing.
    `has_second_factor`: an authenticator or a passkey.
    """

    id: int
    username: str
    name: str
    email: str | None
    roles: list[Grant]
    has_second_factor: bool
    created_at: datetime
    deactivated_at: datetime | None


class UserPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A member that is left out stays as it is. `roles` replace all roles."""

    name: Annotated[str, msgspec.Meta(max_length=NAME_CHARS_MAX)] | UnsetType = UNSET
    roles: Annotated[list[GrantInput], msgspec.Meta(max_length=GRANTS_MAX)] | UnsetType = UNSET


def parse_name(text: str) -> str:
    """Raises InvalidInputError for control characters."""
    name = " ".join(text.split())
    if not name.isprintable():
        raise InvalidInputError(
            errors=(FieldProblem(pointer="/name", detail="The name has characters that cannot be shown."),)
        )
    return name


def find_username_fault(username: str) -> str | None:
    """A sentence for the field; None: it may be a user name. There is no @ in it, so that no name is another's
    address.
    """
    if not username:
        return "A user name is needed."
    if len(username) > USERNAME_CHARS_MAX:
        return f"A user name has at most {USERNAME_CHARS_MAX} characters."
    if not username.isprintable():
        return "It has characters that cannot be shown."
    if "@" in username:
        return "It may not hold the sign @. You can sign in with your address too."
    return find_text_fault(username) or find_look_alike_fault(username)


def parse_grants(sent: list[GrantInput]) -> list[Grant]:
    """Without repetitions, in a stable order."""
    grants = {Grant(one.role, one.newsletter_id) for one in sent}
    return sorted(grants, key=lambda grant: (grant.role, grant.newsletter_id or 0))
