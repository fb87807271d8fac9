"""An invitation as owners see it, and what may be sent about one."""

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec

from broadsheet_common.http.problems import FieldProblem, InvalidInputError
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_gateway.access.rights import Grant
from broadsheet_gateway.users.user import GRANTS_MAX, NAME_CHARS_MAX, GrantInput

ADDRESS_CHARS_MAX: Final = 320

InvitationState = Literal["open", "expired", "void"]
"""`void`: who sent it may not let people in any more."""


class InvitationInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`name` is a suggestion: the invited may write another. `roles` are those that they will have."""

    email: Annotated[str, msgspec.Meta(max_length=ADDRESS_CHARS_MAX)]
    name: Annotated[str, msgspec.Meta(max_length=NAME_CHARS_MAX)] = ""
    roles: Annotated[list[GrantInput], msgspec.Meta(min_length=1, max_length=GRANTS_MAX)]


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """Of somebody who is no user yet. The link in its mail works while its `state` is `open`; `void` says that who sent
    it may not let people in any more. `sent_at` is when its latest mail was queued.
    """

    id: int
    email: str
    name: str
    roles: list[Grant]
    invited_by: int
    created_at: datetime
    sent_at: datetime
    expires_at: datetime
    state: InvitationState


class InvitationPolicy(msgspec.Struct, frozen=True):
    """`cool_down_s`: for so long after a mail no other goes to the address. `public_url` ends without a slash."""

    public_url: str
    lifetime_s: int
    cool_down_s: int


def parse_address(text: str) -> EmailAddress:
    """Raises InvalidInputError at `/email`."""
    try:
        return EmailAddress.parse(text)
    except ValueError as error:
        raise InvalidInputError(errors=(FieldProblem(pointer="/email", detail=str(error)),)) from error
