"""The SQL of compiled content: plain functions that take the connection of the caller's transaction."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_publishing.compiling.compiled_issue import CompiledIssue, content_digest
from broadsheet_publishing.issues.store import lock_slugs


async def put_compiled(
    connection: AsyncConnection, issue_id: int, content: CompiledIssue, *, web_path: str | None, variant: int = 1
) -> None:
    """In place of what was compiled before."""
    await connection.execute(
        sa.text("""
            INSERT INTO publishing.compiled_content AS kept
                   (issue_id, variant, title, subject, preheader, html_content, text_content, web_path, digest)
            VALUES (:issue_id, :variant, :title, :subject, :preheader, :html_content, :text_content, :web_path, :digest)
            ON CONFLICT (issue_id, variant) DO UPDATE
               SET title = excluded.title, subject = excluded.subject, preheader = excluded.preheader,
                   html_content = excluded.html_content, text_content = excluded.text_content,
                   web_path = excluded.web_path, digest = excluded.digest, compiled_at = now()
        """),
        {
            "issue_id": issue_id,
            "variant": variant,
            "title": content.title,
            "subject": content.subject,
            "preheader": content.preheader,
            "html_content": content.html_content,
            "text_content": content.text_content,
            "web_path": web_path,
            "digest": content_digest(content),
        },
    )


async def set_web_path(connection: AsyncConnection, issue_id: int, web_path: str) -> None:
    """Of all variants of a published issue."""
    await connection.execute(
        sa.text("UPDATE publishing.compiled_content SET web_path = :web_path WHERE issue_id = :issue_id"),
        {"issue_id": issue_id, "web_path": web_path},
    )


async def has_web_path(connection: AsyncConnection, issue_id: int) -> bool:
    result = await connection.execute(
        sa.text("""
            SELECT EXISTS (SELECT FROM publishing.compiled_content
                            WHERE issue_id = :issue_id AND web_path IS NOT NULL)
        """),
        {"issue_id": issue_id},
    )
    return bool(result.scalar_one())


async def drop_compiled(connection: AsyncConnection, issue_id: int) -> None:
    """Of an issue that is a draft again."""
    await connection.execute(
        sa.text("DELETE FROM publishing.compiled_content WHERE issue_id = :issue_id"), {"issue_id": issue_id}
    )


async def take_slug(connection: AsyncConnection, issue_id: int, *, newsletter_id: int, wanted: str) -> str:
    """The issue's slug: the one it has, or `wanted`, with a number behind it if another issue has it."""
    await lock_slugs(connection, newsletter_id)
    result = await connection.execute(
        sa.text("""
            UPDATE publishing.issue
               SET slug = coalesce(slug, (
                   SELECT candidate FROM (
                       SELECT :wanted AS candidate, 0 AS place
                       UNION ALL SELECT :wanted || '-' || n, n FROM generate_series(2, 1000) AS n
                       UNION ALL SELECT :wanted || '-' || id, 1001) AS candidates
                    WHERE NOT EXISTS (SELECT FROM publishing.issue AS other
                                       WHERE other.newsletter_id = :newsletter_id AND other.slug = candidate)
                    ORDER BY place LIMIT 1))
             WHERE id = :issue_id
            RETURNING slug
        """).bindparams(sa.bindparam("wanted", type_=sa.Text)),
        {"issue_id": issue_id, "newsletter_id": newsletter_id, "wanted": wanted},
    )
    slug: str = result.scalar_one()
    return slug
