"""What the pages on users show: read from the database, with the newsletters' names from publishing."""

from collections.abc import Mapping
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.http.entity_tag import entity_tag
from broadsheet_common.http.pagination import decode_cursor, encode_cursor
from broadsheet_gateway.access.interface import read_grants
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.forwarding.upstreams import Upstreams
from broadsheet_gateway.invitations.interface import list_invitations
from broadsheet_gateway.invitations.invite import INVITATIONS_MAX
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.pages.people_views import (
    InvitationRow,
    NewsletterChoice,
    RoleForm,
    RoleRow,
    UserPage,
    UserRow,
    UsersPage,
)
from broadsheet_gateway.people.newsletter_choices import ask_newsletters, with_those_of
from broadsheet_gateway.people.role_form import ROWS_MAX, in_words, rows_of
from broadsheet_gateway.users.change_user import show_user
from broadsheet_gateway.users.interface import list_users
from broadsheet_gateway.users.user import User

USERS_SHOWN: Final = 100


class TypedInvitation(msgspec.Struct, frozen=True):
    """What was typed into the form."""

    email: str = ""
    name: str = ""
    rows: tuple[RoleRow, ...] = ()


async def show_users_page(
    session: Session,
    *,
    engine: AsyncEngine,
    upstreams: Upstreams,
    cursor: str | None = None,
    typed: TypedInvitation | None = None,
    errors: Mapping[str, str] | None = None,
    form_error: str = "",
    flashes: tuple[FlashCode, ...] = (),
) -> UsersPage:
    newsletters = await ask_newsletters(upstreams, session)
    async with engine.connect() as connection:
        rows = await list_users(connection, after_id=decode_cursor(cursor) or 0, limit=USERS_SHOWN + 1)
        shown = rows[:USERS_SHOWN]
        grants = await read_grants(connection, [row.id for row in shown])
        invitations = await list_invitations(connection, after_id=0, limit=INVITATIONS_MAX)
    typed = typed or TypedInvitation(rows=rows_of(()))
    return UsersPage(
        signed_in=session.signed_in,
        flashes=flashes,
        is_recent=session.is_recent,
        users=tuple(
            _user_row(User(**msgspec.structs.asdict(row), roles=grants[row.id]), session, newsletters) for row in shown
        ),
        next_cursor=encode_cursor(shown[-1].id) if len(rows) > USERS_SHOWN else None,
        invitations=tuple(
            InvitationRow(
                id=one.id,
                email=one.email,
                name=one.name,
                roles=in_words(one.roles, newsletters),
                sent_at=one.sent_at,
                expires_at=one.expires_at,
                state=one.state,
            )
            for one in invitations
        ),
        email=typed.email,
        name=typed.name,
        roles=RoleForm(rows=typed.rows, newsletters=newsletters),
        errors=errors or {},
        form_error=form_error,
    )


async def show_user_page(
    session: Session,
    user_id: int,
    *,
    engine: AsyncEngine,
    upstreams: Upstreams,
    typed: TypedInvitation | None = None,
    errors: Mapping[str, str] | None = None,
    form_error: str = "",
    flashes: tuple[FlashCode, ...] = (),
) -> UserPage:
    """Raises NotFoundError."""
    async with engine.connect() as connection:
        user = await show_user(connection, user_id)
    newsletters = await ask_newsletters(upstreams, session)
    rows = rows_of(user.roles) if typed is None else typed.rows
    return UserPage(
        signed_in=session.signed_in,
        flashes=flashes,
        is_recent=session.is_recent,
        user=_user_row(user, session, newsletters),
        name=user.name if typed is None else typed.name,
        roles=RoleForm(rows=rows, newsletters=with_those_of(newsletters, user.roles))
        if len(user.roles) <= ROWS_MAX
        else None,
        version=entity_tag(user),
        errors=errors or {},
        form_error=form_error,
    )


def _user_row(user: User, session: Session, newsletters: tuple[NewsletterChoice, ...]) -> UserRow:
    return UserRow(
        id=user.id,
        username=user.username,
        name=user.name,
        email=user.email,
        roles=in_words(user.roles, newsletters),
        is_deactivated=user.deactivated_at is not None,
        has_second_factor=user.has_second_factor,
        is_oneself=user.id == session.user_id,
    )
