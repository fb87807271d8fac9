"""The pages on users and invitations: one Struct a page (see `views`)."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

import msgspec

from broadsheet_gateway.pages.views import AdminPageView, PageView


class NewsletterChoice(msgspec.Struct, frozen=True):
    id: int
    name: str


class RoleRow(msgspec.Struct, frozen=True):
    """A role in a form; `newsletter` is an id, empty for every newsletter."""

    role: str = ""
    newsletter: str = ""


class RoleForm(msgspec.Struct, frozen=True, kw_only=True):
    """What the lists of the form hold."""

    rows: tuple[RoleRow, ...]
    newsletters: tuple[NewsletterChoice, ...] = ()


class UserRow(msgspec.Struct, frozen=True, kw_only=True):
    """`roles` in words."""

    id: int
    username: str
    name: str
    email: str | None
    roles: tuple[str, ...]
    is_deactivated: bool = False
    has_second_factor: bool = False
    is_oneself: bool = False


class InvitationRow(msgspec.Struct, frozen=True, kw_only=True):
    """`state`: open, expired or void."""

    id: int
    email: str
    name: str
    roles: tuple[str, ...]
    sent_at: datetime
    expires_at: datetime
    state: str


class UsersPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/users`, and its POST answered with faults. Fields of `errors`: email, name, role_1 and so on. Without
    a fresh proof (`is_recent`) there are no forms.
    """

    template: ClassVar[str] = "users.html"

    users: tuple[UserRow, ...]
    next_cursor: str | None = None
    invitations: tuple[InvitationRow, ...] = ()
    is_recent: bool = True
    email: str = ""
    name: str = ""
    roles: RoleForm
    errors: Mapping[str, str] = {}
    form_error: str = ""


class UserPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/users/{id}`, and its POST answered with faults. `version` is what was read, for the change; `roles`
    None: there are too many for the form.
    """

    template: ClassVar[str] = "user.html"

    user: UserRow
    name: str
    roles: RoleForm | None
    version: str
    is_recent: bool = True
    errors: Mapping[str, str] = {}
    form_error: str = ""


class AcceptInvitationPage(PageView, frozen=True, kw_only=True):
    """`GET /invitation/{token}`, and its POST answered with faults. Fields: username, name, password, password_check.
    `email` is whom it was mailed to.
    """

    template: ClassVar[str] = "account/invitation.html"

    action_path: str
    email: str
    username: str = ""
    name: str = ""
    errors: Mapping[str, str] = {}


class InvitationGonePage(PageView, frozen=True, kw_only=True):
    """A link that is unknown, used, withdrawn, replaced, or too old, or whose sender may not let people in any more."""

    template: ClassVar[str] = "account/invitation_gone.html"


class RequirementPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/users/second-factor`, and its POST answered with a fault. `has_more`: too many newsletters for a
    form; these stay as they are. `chosen`: ids of newsletters.
    """

    template: ClassVar[str] = "requirement.html"

    is_recent: bool
    version: str
    of_everybody: bool
    newsletters: tuple[NewsletterChoice, ...] = ()
    has_more: bool = False
    chosen: frozenset[int] = frozenset()
    form_error: str = ""
