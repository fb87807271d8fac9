"""Sample data of the pages on users and invitations."""

from datetime import UTC, datetime

from broadsheet_gateway.pages.flashes import FlashCode
from broadsheet_gateway.pages.people_views import (
    AcceptInvitationPage,
    InvitationGonePage,
    InvitationRow,
    NewsletterChoice,
    RoleForm,
    RoleRow,
    UserPage,
    UserRow,
    UsersPage,
)
from broadsheet_gateway.pages.views import PageView, SignedIn


def _at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


def people_samples(signed_in: SignedIn) -> dict[str, PageView]:
    newsletters = (NewsletterChoice(1, "The Systems Letter"), NewsletterChoice(3, "Harbour Notes (archived)"))
    oneself = UserRow(
        id=1, username="admin", name="", email=None, roles=("Owner of every newsletter",), is_oneself=True
    )
    ada = UserRow(
        id=2,
        username="ada",
        name="Ada Lovelace",
        email="ada@example.com",
        roles=("Editor of The Systems Letter", "Analyst of every newsletter"),
    )
    gone = UserRow(
        id=3, username="grace", name="Grace Hopper", email="grace@example.com", roles=(), is_deactivated=True
    )
    invitations = tuple(
        InvitationRow(
            id=number,
            email=email,
            name=name,
            roles=roles,
            sent_at=_at(12, 9),
            expires_at=_at(19, 9),
            state=state,
        )
        for number, (email, name, roles, state) in enumerate(
            (
                ("edsger@example.com", "Edsger", ("Publisher of The Systems Letter",), "open"),
                ("somebody.with.a.long.address@department.university.example", "", ("Support of every newsletter",),
                 "expired"),
                ("barbara@example.com", "Barbara", ("Owner of every newsletter",), "void"),
            ),
            start=1,
        )
    )  # fmt: skip
    empty = RoleForm(rows=(RoleRow(),) * 3, newsletters=newsletters)
    full = RoleForm(rows=(RoleRow("editor", "1"), RoleRow("analyst"), RoleRow(), RoleRow()), newsletters=newsletters)
    return {
        "users": UsersPage(
            signed_in=signed_in,
            flashes=(FlashCode.USER_INVITED,),
            users=(oneself, ada, gone),
            invitations=invitations,
            roles=empty,
        ),
        "users-alone": UsersPage(signed_in=signed_in, users=(oneself,), roles=empty),
        "users-to-confirm": UsersPage(
            signed_in=signed_in,
            users=(oneself, ada),
            invitations=invitations,
            roles=empty,
            is_recent=False,
            next_cursor="sample",
        ),
        "users-errors": UsersPage(
            signed_in=signed_in,
            users=(oneself, ada),
            roles=empty,
            email="ada@example.com",
            name="Ada",
            errors={"email": "A user has this address already.", "role_1": "Choose at least one role."},
        ),
        "users-refused": UsersPage(
            signed_in=signed_in,
            users=(oneself, ada),
            roles=full,
            email="edsger@example.com",
            form_error="This address was mailed an invitation a moment ago.",
        ),
        "user": UserPage(signed_in=signed_in, user=ada, name=ada.name, roles=full, version='"a1"'),
        "user-deactivated": UserPage(signed_in=signed_in, user=gone, name=gone.name, roles=empty, version='"a1"'),
        "user-many-roles": UserPage(signed_in=signed_in, user=ada, name=ada.name, roles=None, version='"a1"'),
        "user-to-confirm": UserPage(
            signed_in=signed_in, user=ada, name=ada.name, roles=full, version='"a1"', is_recent=False
        ),
        "user-refused": UserPage(
            signed_in=signed_in,
            user=oneself,
            name="",
            roles=empty,
            version='"a1"',
            form_error="This is the last owner; make somebody else an owner first.",
        ),
        "invitation": AcceptInvitationPage(
            action_path="/invitation/sample-token", email="edsger@example.com", name="Edsger"
        ),
        "invitation-errors": AcceptInvitationPage(
            action_path="/invitation/sample-token",
            email="edsger@example.com",
            username="ada",
            name="Edsger",
            errors={
                "username": "Somebody has this user name already. Choose another.",
                "password": "This is easy to guess. It is a run of neighbouring keys.",
            },
        ),
        "invitation-gone": InvitationGonePage(),
    }
