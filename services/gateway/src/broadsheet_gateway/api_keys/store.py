"""SQL of API keys. Every function takes the connection of its caller's transaction."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.permissions import Permission
from broadsheet_gateway.access.interface import read_grants
from broadsheet_gateway.access.rights import Rights, rights_of
from broadsheet_gateway.api_keys.api_key import ApiKeyText, read_scopes
from broadsheet_gateway.tables import api_key, api_key_use, user_account

SOURCES_A_DAY_MAX: Final = 100
OTHER_SOURCES: Final = "other"
USES_KEPT_DAYS: Final = 400


class StoredApiKey(msgspec.Struct, frozen=True):
    """A key as stored, with what its user may do. The times left are by the database's clock; `expires_in_s` None
    never expires.
    """

    id: int
    user_id: int
    secret_sha256: bytes
    previous_sha256: bytes | None
    previous_expires_in_s: float | None
    scopes: frozenset[Permission]
    newsletter_ids: frozenset[int] | None
    is_revoked: bool
    expires_in_s: float | None
    user_is_deactivated: bool
    user_rights: Rights

    @property
    def rights(self) -> Rights:
        return self.user_rights.within(self.scopes, self.newsletter_ids)


class ApiKeyRow(msgspec.Struct, frozen=True):
    id: int
    user_id: int
    name: str
    prefix: str
    scopes: list[str]
    newsletter_ids: list[int] | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    rotated_at: datetime | None
    previous_expires_at: datetime | None
    revoked_at: datetime | None


class KeyUse(msgspec.Struct, frozen=True):
    """Requests with a key on one day (UTC) from one network address."""

    day: date
    source: str
    requests: int
    last_at: datetime


_ROW_COLUMNS = [api_key.c[name] for name in ApiKeyRow.__struct_fields__]


def _seconds_left(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    return sa.func.extract("epoch", column - sa.func.now())


async def find_api_key(connection: AsyncConnection, prefix: str) -> StoredApiKey | None:
    result = await connection.execute(
        sa.select(
            api_key.c.id,
            api_key.c.user_id,
            api_key.c.secret_sha256,
            api_key.c.previous_sha256,
            _seconds_left(api_key.c.previous_expires_at).label("previous_expires_in_s"),
            api_key.c.scopes,
            api_key.c.newsletter_ids,
            api_key.c.revoked_at.is_not(None).label("is_revoked"),
            _seconds_left(api_key.c.expires_at).label("expires_in_s"),
            user_account.c.deactivated_at.is_not(None).label("user_is_deactivated"),
        )
        .join(user_account, user_account.c.id == api_key.c.user_id)
        .where(api_key.c.prefix == prefix)
    )
    row = result.one_or_none()
    if row is None:
        return None
    grants = await read_grants(connection, [row.user_id])
    return StoredApiKey(
        id=row.id,
        user_id=row.user_id,
        secret_sha256=row.secret_sha256,
        previous_sha256=row.previous_sha256,
        previous_expires_in_s=None if row.previous_expires_in_s is None else float(row.previous_expires_in_s),
        scopes=read_scopes(row.scopes),
        newsletter_ids=None if row.newsletter_ids is None else frozenset(row.newsletter_ids),
        is_revoked=row.is_revoked,
        expires_in_s=None if row.expires_in_s is None else float(row.expires_in_s),
        user_is_deactivated=row.user_is_deactivated,
        user_rights=rights_of(grants[row.user_id]),
    )


async def list_api_keys(
    connection: AsyncConnection, *, user_id: int | None, after_id: int, limit: int
) -> list[ApiKeyRow]:
    """Oldest first; `user_id` None: everybody's."""
    statement = sa.select(*_ROW_COLUMNS).where(api_key.c.id > after_id).order_by(api_key.c.id).limit(limit)
    if user_id is not None:
        statement = statement.where(api_key.c.user_id == user_id)
    return [ApiKeyRow(*row) for row in await connection.execute(statement)]


async def find_api_key_row(connection: AsyncConnection, key_id: int, *, lock: bool = False) -> ApiKeyRow | None:
    statement = sa.select(*_ROW_COLUMNS).where(api_key.c.id == key_id)
    row = (await connection.execute(statement.with_for_update() if lock else statement)).one_or_none()
    return None if row is None else ApiKeyRow(*row)


async def insert_api_key(
    connection: AsyncConnection,
    *,
    user_id: int,
    name: str,
    key: ApiKeyText,
    scopes: frozenset[Permission],
    newsletter_ids: Sequence[int] | None,
    expires_at: datetime | None,
) -> int | None:
    """The new key's id; None if the user has a key of that name."""
    result = await connection.execute(
        insert(api_key)
        .values(
            user_id=user_id,
            name=name,
            prefix=key.prefix,
            secret_sha256=key.sha256,
            scopes=sorted(scopes),
            newsletter_ids=newsletter_ids,
            expires_at=expires_at,
        )
        .on_conflict_do_nothing(index_elements=[api_key.c.user_id, api_key.c.name])
        .returning(api_key.c.id)
    )
    key_id: int | None = result.scalar_one_or_none()
    return key_id


async def key_name_is_taken(connection: AsyncConnection, *, user_id: int, name: str, by_other_than: int) -> bool:
    found = await find_api_key_id(connection, user_id=user_id, name=name)
    return found is not None and found != by_other_than


async def rename_api_key(connection: AsyncConnection, key_id: int, name: str) -> None:
    await connection.execute(api_key.update().where(api_key.c.id == key_id).values(name=name))


async def rotate_secret(connection: AsyncConnection, key_id: int, *, sha256: bytes, overlap_s: int) -> None:
    """The secret until now stays good for `overlap_s` more seconds; one that was rotated out before ends at once."""
    await connection.execute(
        api_key.update()
        .where(api_key.c.id == key_id)
        .values(
            previous_sha256=api_key.c.secret_sha256,
            previous_expires_at=sa.func.now() + sa.func.make_interval(0, 0, 0, 0, 0, 0, overlap_s),
            secret_sha256=sha256,
            rotated_at=sa.func.now(),
        )
    )


async def revoke_api_key(connection: AsyncConnection, key_id: int) -> None:
    """Revoking it again leaves the time of the first."""
    await connection.execute(
        api_key.update()
        .where(api_key.c.id == key_id)
        .values(revoked_at=sa.func.coalesce(api_key.c.revoked_at, sa.func.now()))
    )


async def record_uses(connection: AsyncConnection, uses: Sequence[tuple[int, str, int]]) -> None:
    """Add requests, as (key id, source, requests), to today's rows, and note when each key was last used.

    A key has at most SOURCES_A_DAY_MAX rows a day; further sources are counted together under OTHER_SOURCES.
    Uses of keys that are gone are dropped.
    """
    await connection.execute(
        sa.text("""
            WITH used AS (
                SELECT key.id AS key_id, sent.source, sent.requests
                  FROM unnest(CAST(:key_ids AS bigint[]), CAST(:sources AS text[]), CAST(:requests AS bigint[]))
                       AS sent (key_id, source, requests)
                  JOIN gateway.api_key AS key ON key.id = sent.key_id
            ), numbered AS (
                SELECT used.key_id, used.source, used.requests, known.source IS NOT NULL AS is_known,
                       row_number() OVER (PARTITION BY used.key_id, known.source IS NULL ORDER BY used.source)
                       + (SELECT count(*) FROM gateway.api_key_use AS today
                           WHERE today.key_id = used.key_id AND today.day = current_date) AS number
                  FROM used
                  LEFT JOIN gateway.api_key_use AS known
                         ON known.key_id = used.key_id AND known.source = used.source AND known.day = current_date
            )
            INSERT INTO gateway.api_key_use AS kept (key_id, day, source, requests, last_at)
            SELECT key_id, current_date, counted_as, sum(requests), now()
              FROM (SELECT key_id, requests,
                           CASE WHEN is_known OR number <= CAST(:sources_max AS integer) THEN source
                                ELSE CAST(:other AS text) END AS counted_as
                      FROM numbered) AS named
             GROUP BY key_id, counted_as
            ON CONFLICT (key_id, day, source)
            DO UPDATE SET requests = kept.requests + excluded.requests, last_at = excluded.last_at
        """),
        {
            "key_ids": [key_id for key_id, _, _ in uses],
            "sources": [source for _, source, _ in uses],
            "requests": [requests for _, _, requests in uses],
            "sources_max": SOURCES_A_DAY_MAX,
            "other": OTHER_SOURCES,
        },
    )
    key_ids = sorted({key_id for key_id, _, _ in uses})
    await connection.execute(api_key.update().where(api_key.c.id.in_(key_ids)).values(last_used_at=sa.func.now()))


async def list_uses(
    connection: AsyncConnection, key_id: int, *, after: tuple[date, str] | None, limit: int
) -> list[KeyUse]:
    """Newest day first, then by source."""
    use = api_key_use.c
    statement = sa.select(use.day, use.source, use.requests, use.last_at).where(use.key_id == key_id)
    if after is not None:
        statement = statement.where(sa.or_(use.day < after[0], sa.and_(use.day == after[0], use.source > after[1])))
    result = await connection.execute(statement.order_by(use.day.desc(), use.source).limit(limit))
    return [KeyUse(*row) for row in result]


async def remove_old_uses(connection: AsyncConnection) -> None:
    """Those of more than USES_KEPT_DAYS ago."""
    await connection.execute(
        sa.text("DELETE FROM gateway.api_key_use WHERE day < current_date - CAST(:days AS integer)"),
        {"days": USES_KEPT_DAYS},
    )


async def find_api_key_id(connection: AsyncConnection, *, user_id: int, name: str) -> int | None:
    result = await connection.execute(
        sa.select(api_key.c.id).where(api_key.c.user_id == user_id, api_key.c.name == name)
    )
    found: int | None = result.scalar_one_or_none()
    return found


async def find_api_key_name(connection: AsyncConnection, key_id: int) -> str | None:
    result = await connection.execute(sa.select(api_key.c.name).where(api_key.c.id == key_id))
    found: str | None = result.scalar_one_or_none()
    return found


async def put_api_key(
    connection: AsyncConnection, *, user_id: int, name: str, key: ApiKeyText, scopes: frozenset[Permission]
) -> None:
    """Make `key` the user's key of that name, replacing any other; it has no expiry and is not revoked."""
    values = {
        "prefix": key.prefix,
        "secret_sha256": key.sha256,
        "scopes": sorted(scopes),
        "expires_at": None,
        "revoked_at": None,
        "newsletter_ids": None,
        "previous_sha256": None,
        "previous_expires_at": None,
    }
    await connection.execute(
        insert(api_key)
        .values(user_id=user_id, name=name, **values)
        .on_conflict_do_update(index_elements=[api_key.c.user_id, api_key.c.name], set_=values)
    )
