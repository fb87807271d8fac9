"""The SQL of the consent record: plain functions that take the connection of the caller's transaction."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_subscriptions.consent.evidence import ConsentKind, ConsentSource, Evidence, SignUpMail

LOOK_AGAIN_AFTER_MIN = timedelta(minutes=1)
LOOK_AGAIN_AFTER_MAX = timedelta(hours=1)
"""A mail that is not settled is looked at again when it is twice as old, within these bounds."""


class ConsentRow(msgspec.Struct, frozen=True):
    id: int
    subscriber_id: int
    newsletter_id: int
    kind: ConsentKind
    occurred_at: datetime
    source: ConsentSource
    actor: str | None
    ip: str | None
    user_agent: str | None
    form_url: str | None
    wording_version: int | None
    mail: SignUpMail | None
    reason: str | None


async def list_events(
    connection: AsyncConnection, *, after_id: int, limit: int, subscriber_id: int | None = None
) -> list[ConsentRow]:
    """Oldest first, for one subscriber or for all."""
    of_one = "AND subscriber_id = :subscriber_id" if subscriber_id is not None else ""
    result = await connection.execute(
        sa.text(f"""
            SELECT id, subscriber_id, newsletter_id, kind, occurred_at, source, actor, host(ip) AS ip, user_agent,
                   form_url, wording_version, mail, reason
              FROM subscriptions.consent_event
             WHERE id > :after_id {of_one}
             ORDER BY id
             LIMIT :limit
        """),  # two constant texts
        {"after_id": after_id, "limit": limit}
        | ({"subscriber_id": subscriber_id} if subscriber_id is not None else {}),
    )
    return [ConsentRow(*row) for row in result]


def evidence_parameters(evidence: Evidence) -> dict[str, object]:
    """The values of `EVIDENCE_COLUMNS`."""
    return {
        "source": evidence.source,
        "actor": evidence.actor,
        "ip": evidence.ip,
        "user_agent": evidence.user_agent,
        "form_url": evidence.form_url,
        "wording_version": evidence.wording_version,
    }


EVIDENCE_COLUMNS = "source, actor, ip, user_agent, form_url, wording_version"
EVIDENCE_VALUES = """
    CAST(:source AS text), CAST(:actor AS text), CAST(CAST(:ip AS text) AS inet), CAST(:user_agent AS text),
    CAST(:form_url AS text), CAST(:wording_version AS integer)
"""


# The same for several: one array a column.
EVIDENCE_ARRAYS = ":sources, :actors, :ips, :user_agents, :form_urls, :wording_versions"
EVIDENCE_ARRAY_PARAMETERS: tuple[sa.BindParameter[Any], ...] = (
    *(sa.bindparam(name, type_=pg.ARRAY(sa.Text)) for name in ("sources", "actors", "ips", "user_agents", "form_urls")),
    sa.bindparam("wording_versions", type_=pg.ARRAY(sa.Integer)),
)


def evidence_arrays(evidences: Sequence[Evidence]) -> dict[str, object]:
    """The values of `EVIDENCE_ARRAYS`."""
    return {
        "sources": [one.source for one in evidences],
        "actors": [one.actor for one in evidences],
        "ips": [one.ip for one in evidences],
        "user_agents": [one.user_agent for one in evidences],
        "form_urls": [one.form_url for one in evidences],
        "wording_versions": [one.wording_version for one in evidences],
    }


async def unsettled_mails(connection: AsyncConnection, *, limit: int, resting: Collection[int]) -> list[int]:
    """The ids of the entries whose mails are due to be looked at, longest due first, except those in `resting` (set
    aside).
    """
    rows = await connection.execute(
        sa.text("""
            SELECT consent_event_id FROM subscriptions.unsettled_mail
             WHERE look_at <= now() AND consent_event_id <> ALL (:resting) ORDER BY look_at LIMIT :limit
        """).bindparams(sa.bindparam("resting", type_=pg.ARRAY(sa.BigInteger))),
        {"limit": limit, "resting": list(resting)},
    )
    return list(rows.scalars())


async def note_settled_mails(connection: AsyncConnection, *, event_ids: Sequence[int]) -> int:
    """Records the results of those of these mails that are settled now; returns how many were looked at.

    A mail that is still under way is looked at again later. A mail that delivery does not know any more is given
    up: it was settled and then pruned before it was looked at, so its result stays unknown.
    """
    result = await connection.execute(
        sa.text("""
            WITH due AS MATERIALIZED (
                SELECT consent_event_id FROM subscriptions.unsettled_mail
                 WHERE look_at <= now() AND consent_event_id = ANY (:event_ids)
                 ORDER BY look_at FOR UPDATE SKIP LOCKED
            ), seen AS MATERIALIZED (
                SELECT request.id, request.subscriber_id, request.newsletter_id, request.occurred_at, request.mail,
                       request.mail_key, mail.status, mail.settled_at
                  FROM due
                  JOIN subscriptions.consent_event AS request ON request.id = due.consent_event_id
                  LEFT JOIN delivery.published_sign_up_mails AS mail ON mail.mail_key = request.mail_key
            ), noted AS (
                INSERT INTO subscriptions.consent_event
                       (subscriber_id, newsletter_id, kind, occurred_at, source, mail, mail_key, reason)
                SELECT subscriber_id, newsletter_id,
                       CASE WHEN status = 'accepted' THEN 'mail_sent' ELSE 'mail_not_sent' END,
                       settled_at, 'system', mail, mail_key, CASE WHEN status <> 'accepted' THEN status END
                  FROM seen WHERE settled_at IS NOT NULL
            ), done AS (
                DELETE FROM subscriptions.unsettled_mail WHERE consent_event_id = ANY (ARRAY (
                    SELECT id FROM seen WHERE status IS NULL OR settled_at IS NOT NULL))
            ), waiting AS (
                UPDATE subscriptions.unsettled_mail AS later
                   SET look_at = now() + least(greatest(now() - seen.occurred_at, :again_min), :again_max)
                  FROM seen
                 WHERE later.consent_event_id = seen.id AND seen.status IS NOT NULL AND seen.settled_at IS NULL
            )
            SELECT count(*) FROM due
        """).bindparams(
            sa.bindparam("event_ids", type_=pg.ARRAY(sa.BigInteger)),
            sa.bindparam("again_min", type_=sa.Interval),
            sa.bindparam("again_max", type_=sa.Interval),
        ),
        {"event_ids": list(event_ids), "again_min": LOOK_AGAIN_AFTER_MIN, "again_max": LOOK_AGAIN_AFTER_MAX},
    )
    return int(result.scalar_one())
