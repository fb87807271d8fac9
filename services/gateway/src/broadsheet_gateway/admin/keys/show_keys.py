"""From keys as they are kept to what the pages show of them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.accounts.interface import find_user
from broadsheet_gateway.admin.keys.views import KeyRow, KeyState, UseRow
from broadsheet_gateway.api_keys.api_key import read_scopes
from broadsheet_gateway.api_keys.interface import ApiKeyRow, KeyUse
from broadsheet_gateway.pages.people_views import NewsletterChoice

KEYS_SHOWN: Final = 50
USES_SHOWN: Final = 50


async def names_of_users(connection: AsyncConnection, rows: Iterable[ApiKeyRow]) -> dict[int, str]:
    """By id; of at most KEYS_SHOWN users."""
    names: dict[int, str] = {}
    for user_id in sorted({row.user_id for row in rows}):
        user = await find_user(connection, user_id)
        names[user_id] = user.username if user is not None else f"user {user_id}"
    return names


def shown_key(
    row: ApiKeyRow, session: Session, *, usernames: dict[int, str], newsletters: tuple[NewsletterChoice, ...]
) -> KeyRow:
    now = datetime.now(UTC)
    names = {one.id: one.name for one in newsletters}
    is_overlapping = row.previous_expires_at is not None and row.previous_expires_at > now
    return KeyRow(
        id=row.id,
        name=row.name,
        prefix=row.prefix,
        username=usernames.get(row.user_id, f"user {row.user_id}"),
        is_own=row.user_id == session.user_id,
        state=_state(row, now),
        scopes=tuple(sorted(read_scopes(row.scopes))),
        newsletters=None
        if row.newsletter_ids is None
        else tuple(names.get(one, f"Newsletter {one}") for one in row.newsletter_ids),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        rotated_at=row.rotated_at,
        previous_expires_at=row.previous_expires_at if is_overlapping else None,
        revoked_at=row.revoked_at,
    )


def _state(row: ApiKeyRow, now: datetime) -> KeyState:
    if row.revoked_at is not None:
        return "revoked"
    return "expired" if row.expires_at is not None and row.expires_at <= now else "good"


def shown_uses(uses: Iterable[KeyUse]) -> tuple[UseRow, ...]:
    return tuple(UseRow(day=one.day, source=one.source, requests=one.requests, last_at=one.last_at) for one in uses)
