"""The SQL of the archive: plain functions that take the connection of the caller's transaction.

An issue is in the archive when its newsletter has one and is not archived itself, the issue is published and has an
address on the web, its author did not take it out, and delivery sends it or has sent it. A cancelled one counts if
mails of it went out: they lead here.
"""

from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection


class ArchiveRow(msgspec.Struct, frozen=True, kw_only=True):
    """A newsletter that has an archive. `changed_at`: when an issue of it was last published, or taken out or in."""

    id: int
    slug: str
    name: str
    description: str
    postal_address: str
    language: str
    direction: str
    time_zone: str
    accent_colour: str
    logo_url: str | None
    logo_alt: str
    archive_is_hidden: bool
    sign_up_heading: str
    sign_up_text: str
    sign_up_button: str
    archive_heading: str
    sender_version: int
    created_at: datetime
    changed_at: datetime


class ArchivedRow(msgspec.Struct, frozen=True, kw_only=True):
    """An issue that is in the archive, without its content. `title` and `preheader` are templates. `variant`: the
    winner of its A/B test, or the first.
    """

    id: int
    slug: str
    title: str
    preheader: str
    variant: int
    content_version: int
    created_at: datetime
    published_at: datetime
    updated_at: datetime


class ContentRow(msgspec.Struct, frozen=True, kw_only=True):
    html_content: str | None
    text_content: str


class SitemapRow(msgspec.Struct, frozen=True, kw_only=True):
    """`issue_slug` None: the list of the newsletter's issues."""

    newsletter_slug: str
    issue_slug: str | None
    updated_at: datetime


_COLUMNS: Final = [name for name in ArchiveRow.__struct_fields__ if name not in {"archive_heading", "changed_at"}]
_NEWSLETTER_COLUMNS: Final = (
    ", ".join(f"newsletter.{name}" for name in _COLUMNS)
    + ", coalesce(newsletter.texts ->> 'archive_heading', '') AS archive_heading"
)
_OPEN: Final = "newsletter.has_archive AND newsletter.archived_at IS NULL"
# Of an A/B test the winner stands for the issue, and until it is known the first variant.
_ISSUES: Final = """
          FROM publishing.issue
          JOIN publishing.newsletter ON newsletter.id = issue.newsletter_id
          LEFT JOIN publishing.ab_test AS test ON test.issue_id = issue.id
          JOIN publishing.compiled_content AS compiled
            ON compiled.issue_id = issue.id AND compiled.variant = coalesce(test.winner, 1)
          JOIN delivery.published_runs AS run ON run.issue_id = issue.id
"""
_IN_ARCHIVE: Final = f"""
               {_OPEN} AND issue.status = 'published' AND issue.slug IS NOT NULL AND compiled.web_path IS NOT NULL
               AND coalesce(issue.in_archive, issue.segment_id IS NULL)
               AND (run.state <> 'cancelled'
                    OR EXISTS (SELECT FROM delivery.published_issue_progress AS progress
                                WHERE progress.issue_id = issue.id
                                  AND progress.accepted + progress.uncertain + progress.in_flight > 0))
"""
_UPDATED_AT: Final = "greatest(issue.published_at, compiled.compiled_at, test.decided_at)"
_ISSUE_COLUMNS: Final = f"""
               issue.id, issue.slug, compiled.title, compiled.preheader, compiled.variant,
               compiled.content_version + issue.content_version AS content_version, issue.created_at,
               issue.published_at, {_UPDATED_AT} AS updated_at
"""


async def find_archive(connection: AsyncConnection, newsletter_slug: str) -> ArchiveRow | None:
    result = await connection.execute(
        sa.text(f"""
            SELECT {_NEWSLETTER_COLUMNS},
                   coalesce((SELECT max(issue.updated_at) FROM publishing.issue
                              WHERE issue.newsletter_id = newsletter.id AND issue.status = 'published'),
                            newsletter.created_at) AS changed_at
              FROM publishing.newsletter
             WHERE newsletter.slug = :slug AND {_OPEN}
        """),  # constant texts
        {"slug": newsletter_slug},
    )
    row = result.mappings().one_or_none()
    return None if row is None else ArchiveRow(**row)


async def list_archived(
    connection: AsyncConnection, newsletter_id: int, *, before_id: int | None, limit: int
) -> list[ArchivedRow]:
    """The newest first; those that were published before the issue `before_id`, which need not be in the archive."""
    result = await connection.execute(
        sa.text(f"""
            SELECT {_ISSUE_COLUMNS} {_ISSUES}
             WHERE issue.newsletter_id = :newsletter_id AND {_IN_ARCHIVE}
               AND (:before_id IS NULL OR (issue.published_at, issue.id) < (
                    SELECT other.published_at, other.id FROM publishing.issue AS other WHERE other.id = :before_id))
             ORDER BY issue.published_at DESC, issue.id DESC
             LIMIT :limit
        """).bindparams(sa.bindparam("before_id", type_=sa.BigInteger)),  # constant texts
        {"newsletter_id": newsletter_id, "before_id": before_id, "limit": limit},
    )
    return [ArchivedRow(**row) for row in result.mappings()]


async def find_archived(connection: AsyncConnection, newsletter_id: int, issue_slug: str) -> ArchivedRow | None:
    result = await connection.execute(
        sa.text(f"""
            SELECT {_ISSUE_COLUMNS} {_ISSUES}
             WHERE issue.newsletter_id = :newsletter_id AND issue.slug = :slug AND {_IN_ARCHIVE}
        """),  # constant texts
        {"newsletter_id": newsletter_id, "slug": issue_slug},
    )
    row = result.mappings().one_or_none()
    return None if row is None else ArchivedRow(**row)


async def find_neighbours(
    connection: AsyncConnection, newsletter_id: int, issue: ArchivedRow
) -> tuple[ArchivedRow | None, ArchivedRow | None]:
    """The ones before and after it."""
    found: list[ArchivedRow | None] = []
    for comparison, order in (("<", "DESC"), (">", "ASC")):
        result = await connection.execute(
            sa.text(f"""
                SELECT {_ISSUE_COLUMNS} {_ISSUES}
                 WHERE issue.newsletter_id = :newsletter_id AND {_IN_ARCHIVE}
                   AND (issue.published_at, issue.id) {comparison} (:published_at, :id)
                 ORDER BY issue.published_at {order}, issue.id {order}
                 LIMIT 1
            """),  # constant texts
            {"newsletter_id": newsletter_id, "published_at": issue.published_at, "id": issue.id},
        )
        row = result.mappings().one_or_none()
        found.append(None if row is None else ArchivedRow(**row))
    return found[0], found[1]


async def read_content(connection: AsyncConnection, issue_id: int, variant: int) -> ContentRow:
    result = await connection.execute(
        sa.text("""
            SELECT html_content, text_content FROM publishing.compiled_content
             WHERE issue_id = :issue_id AND variant = :variant
        """),
        {"issue_id": issue_id, "variant": variant},
    )
    return ContentRow(**result.mappings().one())


async def list_sitemap(connection: AsyncConnection, *, limit: int) -> list[SitemapRow]:
    """Newsletters' lists first, then their issues, the newest first. Hidden archives are left out."""
    result = await connection.execute(
        sa.text(f"""
            SELECT newsletter_slug, issue_slug, updated_at FROM (
                SELECT newsletter.slug AS newsletter_slug, NULL AS issue_slug, newsletter.created_at AS updated_at
                  FROM publishing.newsletter WHERE {_OPEN} AND NOT newsletter.archive_is_hidden
                UNION ALL
                SELECT newsletter.slug, issue.slug, {_UPDATED_AT} {_ISSUES}
                 WHERE {_IN_ARCHIVE} AND NOT newsletter.archive_is_hidden) AS found
             ORDER BY issue_slug IS NOT NULL, updated_at DESC, newsletter_slug, issue_slug
             LIMIT :limit
        """),  # constant texts
        {"limit": limit},
    )
    return [SitemapRow(**row) for row in result.mappings()]


async def set_in_archive(connection: AsyncConnection, issue_id: int, *, in_archive: bool) -> None:
    await connection.execute(
        sa.text("UPDATE publishing.issue SET in_archive = :in_archive, updated_at = now() WHERE id = :issue_id"),
        {"issue_id": issue_id, "in_archive": in_archive},
    )
