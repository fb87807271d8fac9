"""The SQL of welcome mails: plain functions that take the connection of the caller's transaction."""

from collections.abc import Collection, Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_publishing.compiling.compiled_issue import CompiledIssue
from broadsheet_publishing.welcome.welcome_mail import WelcomeFault, WelcomeSource

_faults = msgspec.json.Decoder(tuple[WelcomeFault, ...])


class WelcomeRow(msgspec.Struct, frozen=True):
    """`version`: changes with whatever the mail is made of."""

    source: WelcomeSource
    faults: tuple[WelcomeFault, ...]
    version: int


async def find_welcomes(connection: AsyncConnection, newsletter_ids: Sequence[int]) -> dict[int, WelcomeRow]:
    """By newsletter, of those that have or had one."""
    result = await connection.execute(
        sa.text("""
            SELECT newsletter_id, is_enabled, subject, content, CAST(faults AS text) AS faults, wanted_version
              FROM publishing.welcome_mail WHERE newsletter_id = ANY (:ids)
        """).bindparams(sa.bindparam("ids", type_=pg.ARRAY(sa.BigInteger))),
        {"ids": list(newsletter_ids)},
    )
    return {
        row.newsletter_id: WelcomeRow(
            WelcomeSource(is_enabled=row.is_enabled, subject=row.subject, content=row.content),
            _faults.decode(row.faults),
            row.wanted_version,
        )
        for row in result
    }


async def put_welcome(
    connection: AsyncConnection,
    newsletter_id: int,
    source: WelcomeSource,
    content: CompiledIssue | None,
    faults: Sequence[WelcomeFault],
    *,
    is_current: bool,
) -> None:
    """In place of what there was. `is_current` false: it is to be compiled again."""
    await connection.execute(
        sa.text("""
            INSERT INTO publishing.welcome_mail AS kept
                   (newsletter_id, is_enabled, subject, content, faults, mail_subject, html_content, text_content,
                    compiled_version)
            VALUES (:newsletter_id, :is_enabled, :subject, :content, CAST(:faults AS jsonb), :mail_subject,
                    :html_content, :text_content, CASE WHEN :is_current THEN 1 ELSE 0 END)
            ON CONFLICT (newsletter_id) DO UPDATE
               SET is_enabled = excluded.is_enabled, subject = excluded.subject, content = excluded.content,
                   faults = excluded.faults, mail_subject = excluded.mail_subject,
                   html_content = excluded.html_content, text_content = excluded.text_content,
                   wanted_version = kept.wanted_version + 1,
                   compiled_version = kept.wanted_version + CASE WHEN :is_current THEN 1 ELSE 0 END
        """),
        {
            "newsletter_id": newsletter_id,
            "is_enabled": source.is_enabled,
            "subject": source.subject,
            "content": source.content,
            "is_current": is_current,
            **_compiled_parameters(content, faults),
        },
    )


async def put_compiled_again(
    connection: AsyncConnection,
    newsletter_id: int,
    content: CompiledIssue | None,
    faults: Sequence[WelcomeFault],
    *,
    version: int,
) -> bool:
    """What was made of this version. With faults, what was compiled before stays in use. False: it was changed
    meanwhile.
    """
    result = await connection.execute(
        sa.text("""
            UPDATE publishing.welcome_mail
               SET faults = CAST(:faults AS jsonb), compiled_version = wanted_version,
                   mail_subject = coalesce(:mail_subject, mail_subject),
                   html_content = coalesce(:html_content, html_content),
                   text_content = coalesce(:text_content, text_content)
             WHERE newsletter_id = :newsletter_id AND wanted_version = :version
            RETURNING 1
        """).bindparams(
            sa.bindparam("mail_subject", type_=sa.Text),
            sa.bindparam("html_content", type_=sa.Text),
            sa.bindparam("text_content", type_=sa.Text),
        ),
        {"newsletter_id": newsletter_id, "version": version, **_compiled_parameters(content, faults)},
    )
    return result.first() is not None


def _compiled_parameters(content: CompiledIssue | None, faults: Sequence[WelcomeFault]) -> dict[str, str | None]:
    return {
        "mail_subject": None if content is None else content.subject,
        "html_content": None if content is None else content.html_content,
        "text_content": None if content is None else content.text_content,
        "faults": msgspec.json.encode(faults).decode(),
    }


async def find_outdated(connection: AsyncConnection, *, limit: int, resting: Collection[int]) -> list[int]:
    """Newsletters whose welcome mail is to be compiled again, except those in `resting` (set aside)."""
    result = await connection.execute(
        sa.text("""
            SELECT newsletter_id FROM publishing.welcome_mail
             WHERE compiled_version < wanted_version AND newsletter_id <> ALL (:resting)
             ORDER BY newsletter_id LIMIT :limit
        """).bindparams(sa.bindparam("resting", type_=pg.ARRAY(sa.BigInteger))),
        {"limit": limit, "resting": list(resting)},
    )
    return list(result.scalars())
