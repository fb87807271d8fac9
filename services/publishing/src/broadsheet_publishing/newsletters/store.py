"""The SQL of newsletters: plain functions that take the connection of the caller's transaction."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.languages.reader_texts import ReaderTexts, stored_texts
from broadsheet_common.mail.mailbox import mailbox
from broadsheet_publishing.newsletters.stream_check import StreamCheck


class FoundStreamCheck(msgspec.Struct, frozen=True):
    """`is_recent`: from the last 15 minutes. `is_answered`: Postmark was asked since the last request."""

    check: StreamCheck
    is_recent: bool
    is_answered: bool


class NewsletterRow(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    slug: str
    name: str
    is_default: bool
    description: str
    from_name: str | None
    from_email: str | None
    reply_to: str | None
    postal_address: str
    message_stream: str
    unsubscribe_handling: Literal["custom", "postmark"]
    language: str
    direction: Literal["ltr", "rtl"]
    time_zone: str
    accent_colour: str
    logo_url: str | None
    logo_alt: str
    layout_id: int | None
    sign_up_heading: str
    sign_up_text: str
    sign_up_button: str
    texts: ReaderTexts
    allowed_origins: list[str]
    is_listed: bool
    has_archive: bool
    archive_is_hidden: bool
    track_opens: bool
    track_links: bool
    requires_approval: bool
    created_at: datetime
    archived_at: datetime | None

    @property
    def sender(self) -> str | None:
        """As in From; None: the installation's."""
        return None if self.from_email is None else mailbox(self.from_name or "", self.from_email)


_COLUMNS = ", ".join(NewsletterRow.__struct_fields__)
SETTABLE = frozenset(NewsletterRow.__struct_fields__) - {"id", "is_default", "created_at", "archived_at"}
"""The columns that an author sets."""


def _row(found: sa.RowMapping) -> NewsletterRow:
    return NewsletterRow(**{**found, "texts": stored_texts(found["texts"])})  # columns by their names


async def list_newsletters(
    connection: AsyncConnection, *, after_id: int, limit: int, with_archived: bool, only: Collection[int] | None
) -> list[NewsletterRow]:
    """Oldest first; `only` those with these ids, if any are given."""
    result = await connection.execute(
        sa.text(f"""
            SELECT {_COLUMNS} FROM publishing.newsletter
             WHERE id > :after_id AND (:with_archived OR archived_at IS NULL)
               AND (:only IS NULL OR id = ANY(:only))
             ORDER BY id LIMIT :limit
        """).bindparams(sa.bindparam("only", type_=ARRAY(sa.BigInteger))),  # constant columns
        {
            "after_id": after_id,
            "limit": limit,
            "with_archived": with_archived,
            "only": None if only is None else sorted(only),
        },
    )
    return [_row(row) for row in result.mappings()]


async def find_newsletter(
    connection: AsyncConnection, newsletter_id: int, *, lock: bool = False, share: bool = False
) -> NewsletterRow | None:
    """`share`: it stays as it is until the transaction ends, and others may say so too."""
    result = await connection.execute(
        sa.text(f"""
            SELECT {_COLUMNS} FROM publishing.newsletter WHERE id = :newsletter_id
            {"FOR NO KEY UPDATE" if lock else "FOR SHARE" if share else ""}
        """),  # constant texts
        {"newsletter_id": newsletter_id},
    )
    row = result.mappings().one_or_none()
    return None if row is None else _row(row)


def _parameters(values: Mapping[str, object]) -> tuple[list[str], list[sa.BindParameter[object]]]:
    columns = sorted(values)
    unknown = set(columns) - SETTABLE
    assert not unknown, unknown
    types: dict[str, Any] = {"allowed_origins": ARRAY(sa.Text), "layout_id": sa.BigInteger(), "texts": JSONB()}
    return columns, [sa.bindparam(name, type_=types[name]) for name in columns if name in types]


async def lock_slugs(connection: AsyncConnection) -> None:
    """Those who set a slug take turns, so that a taken one is an answer and never a fault."""
    await connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended('publishing.newsletter.slug', 0))"))


async def insert_newsletter(connection: AsyncConnection, values: Mapping[str, object]) -> NewsletterRow | None:
    """`values` by column. None: another newsletter has this slug."""
    columns, types = _parameters(values)
    result = await connection.execute(
        sa.text(f"""
            INSERT INTO publishing.newsletter ({", ".join(columns)})
            VALUES ({", ".join(f":{name}" for name in columns)})
            ON CONFLICT (slug) DO NOTHING
            RETURNING {_COLUMNS}
        """).bindparams(*types),  # columns of SETTABLE
        dict(values),
    )
    row = result.mappings().one_or_none()
    return None if row is None else _row(row)


async def change_newsletter(
    connection: AsyncConnection, newsletter_id: int, values: Mapping[str, object]
) -> NewsletterRow:
    """`values` by column; other columns stay."""
    columns, types = _parameters(values)
    changes = ", ".join(f"{name} = :{name}" for name in columns) or "name = name"
    result = await connection.execute(
        sa.text(f"""
            UPDATE publishing.newsletter SET {changes} WHERE id = :id RETURNING {_COLUMNS}
        """).bindparams(*types),  # columns of SETTABLE
        dict(values) | {"id": newsletter_id},
    )
    return _row(result.mappings().one())


async def slug_is_taken(connection: AsyncConnection, slug: str, *, by_other_than: int) -> bool:
    result = await connection.execute(
        sa.text("SELECT EXISTS (SELECT FROM publishing.newsletter WHERE slug = :slug AND id <> :id)"),
        {"slug": slug, "id": by_other_than},
    )
    return bool(result.scalar_one())


async def layout_exists(connection: AsyncConnection, layout_id: int) -> bool:
    """Locked until the transaction ends, so that nobody deletes it meanwhile."""
    result = await connection.execute(
        sa.text("SELECT id FROM publishing.layout WHERE id = :id FOR KEY SHARE"), {"id": layout_id}
    )
    return result.one_or_none() is not None


async def has_open_issues(connection: AsyncConnection, newsletter_id: int) -> bool:
    """Whether an issue waits for its time, or is on its way."""
    result = await connection.execute(
        sa.text("""
            SELECT EXISTS (
                SELECT FROM publishing.issue
                  LEFT JOIN delivery.published_issue_progress AS progress ON progress.issue_id = issue.id
                 WHERE issue.newsletter_id = :id
                   AND (issue.status = 'scheduled'
                        OR issue.status = 'published' AND coalesce(progress.state, 'open') IN ('open', 'paused')))
        """),
        {"id": newsletter_id},
    )
    return bool(result.scalar_one())


async def set_archived(connection: AsyncConnection, newsletter_id: int, *, is_archived: bool) -> NewsletterRow:
    result = await connection.execute(
        sa.text(f"""
            UPDATE publishing.newsletter
               SET archived_at = CASE WHEN :is_archived THEN coalesce(archived_at, now()) END
             WHERE id = :id
            RETURNING {_COLUMNS}
        """),  # constant columns
        {"id": newsletter_id, "is_archived": is_archived},
    )
    return _row(result.mappings().one())


async def find_default_newsletter_id(connection: AsyncConnection) -> int | None:
    result = await connection.execute(sa.text("SELECT id FROM publishing.newsletter WHERE is_default"))
    newsletter_id: int | None = result.scalar_one_or_none()
    return newsletter_id


_STREAM_CHECK = """
    CASE fact.state WHEN 'fits' THEN 'ok' ELSE fact.state END AS state, fact.reason, fact.checked_at,
    coalesce(fact.checked_at > now() - interval '15 minutes', false) AS is_recent,
    coalesce(fact.checked_at >= fact.requested_at, false) AS is_answered
"""


def _stream_check(row: sa.Row[Any]) -> StreamCheck:
    detail = "Postmark has not been asked yet." if row.checked_at is None else row.reason
    return StreamCheck(state=row.state, detail=detail, checked_at=row.checked_at)


async def find_stream_check(connection: AsyncConnection, stream: str, handling: str) -> FoundStreamCheck | None:
    """None: nobody asked."""
    result = await connection.execute(
        sa.text(f"""
            SELECT {_STREAM_CHECK} FROM delivery.published_stream_checks AS fact
             WHERE fact.message_stream = :stream AND fact.unsubscribe_handling = :handling
        """),  # constant columns
        {"stream": stream, "handling": handling},
    )
    row = result.one_or_none()
    return None if row is None else FoundStreamCheck(_stream_check(row), row.is_recent, row.is_answered)


async def find_stream_checks(connection: AsyncConnection, newsletter_ids: Sequence[int]) -> dict[int, StreamCheck]:
    """By newsletter: what was last heard of its stream; those of whose stream nobody asked are left out."""
    result = await connection.execute(
        sa.text(f"""
            SELECT letter.id, {_STREAM_CHECK}
              FROM publishing.newsletter AS letter
              JOIN delivery.published_stream_checks AS fact
                ON fact.message_stream = letter.message_stream
               AND fact.unsubscribe_handling = letter.unsubscribe_handling
             WHERE letter.id = ANY (:ids)
        """).bindparams(sa.bindparam("ids", type_=ARRAY(sa.BigInteger))),  # constant columns
        {"ids": list(newsletter_ids)},
    )
    return {row.id: _stream_check(row) for row in result}
