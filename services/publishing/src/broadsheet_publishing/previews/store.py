"""The SQL of previews: plain functions that take the connection of the caller's transaction."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.mail.issue_mail import IssueTemplates
from broadsheet_common.mail.merge_fields import AttributeValue


class ReaderRow(msgspec.Struct, frozen=True, kw_only=True):
    """A subscriber of a newsletter, with what a mail may merge."""

    name: str
    email: str
    tags: tuple[str, ...]
    attributes: dict[str, AttributeValue]


class SentContent(msgspec.Struct, frozen=True, kw_only=True):
    """What was compiled of an issue that is scheduled or published."""

    templates: IssueTemplates
    preheader: str
    web_path: str | None


async def find_reader(connection: AsyncConnection, *, newsletter_id: int, subscriber_id: int) -> ReaderRow | None:
    result = await connection.execute(
        sa.text("""
            SELECT person.name, person.email, merged.tags, merged.attributes
              FROM subscriptions.published_recipients AS person
              JOIN subscriptions.published_merge_values AS merged USING (subscriber_id)
             WHERE person.newsletter_id = :newsletter_id AND person.subscriber_id = :subscriber_id
               AND person.email IS NOT NULL
        """),
        {"newsletter_id": newsletter_id, "subscriber_id": subscriber_id},
    )
    row = result.one_or_none()
    if row is None:
        return None
    return ReaderRow(name=row.name or "", email=row.email, tags=tuple(row.tags), attributes=_attributes(row.attributes))


def _attributes(found: Any) -> dict[str, AttributeValue]:
    raw = msgspec.json.decode(found) if isinstance(found, str | bytes) else found
    return msgspec.convert(raw, dict[str, AttributeValue])


async def find_compiled(connection: AsyncConnection, issue_id: int, variant: int) -> SentContent | None:
    """None: it is not compiled, or has no such variant."""
    result = await connection.execute(
        sa.text("""
            SELECT title, subject, preheader, html_content, text_content, web_path
              FROM publishing.compiled_content WHERE issue_id = :issue_id AND variant = :variant
        """),
        {"issue_id": issue_id, "variant": variant},
    )
    row = result.one_or_none()
    if row is None:
        return None
    return SentContent(
        templates=IssueTemplates(
            title=row.title, subject=row.subject, html_content=row.html_content, text_content=row.text_content
        ),
        preheader=row.preheader,
        web_path=row.web_path,
    )


async def find_unverified(connection: AsyncConnection, email_keys: Sequence[str]) -> frozenset[str]:
    """Those of the addresses, by key, that are no active user's and that nobody ever confirmed by a link in a mail."""
    result = await connection.execute(
        sa.text("""
            SELECT wanted.email_key
              FROM unnest(CAST(:email_keys AS text[])) AS wanted (email_key)
             WHERE NOT EXISTS (SELECT FROM subscriptions.published_verified_addresses AS verified
                                WHERE verified.email_key = wanted.email_key)
               AND NOT EXISTS (SELECT FROM gateway.published_user_addresses AS own
                                WHERE own.email_key = wanted.email_key)
        """),
        {"email_keys": list(email_keys)},
    )
    return frozenset(result.scalars())
