"""SQL of the soft-bounce rule: its evidence, which is the recorded events, and its result.

Every function takes the connection of its caller's transaction.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.suppression import REASONS
from broadsheet_delivery.events.provider_event import SOFT_TYPES
from broadsheet_delivery.suppressions.suppression import DEFAULT_STREAM

BOUNCES_LOOKED_AT_MAX = 500
ARRIVALS_LOOKED_AT_MAX = 5_000
SOURCE = "rule"

# As constants, not as parameters: the partial index is used only where they stand in the text.
_IS_SOFT = f"event.record_type = 'Bounce' AND event.detail ->> 'type' IN {SOFT_TYPES}"
_STREAM = f"coalesce(event.message_stream, '{DEFAULT_STREAM}') = :stream"


class Evidence(msgspec.Struct, frozen=True):
    """When an address bounced softly on a stream, and when mail to the same person arrived on it, newest first."""

    bounces: list[datetime]
    arrivals: list[datetime]


async def suppressed_by_rule(connection: AsyncConnection, addresses: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of these (stream, address key) that the rule suppresses now."""
    rows = await connection.execute(
        sa.text("""
            SELECT kept.message_stream, kept.email_key
              FROM unnest(CAST(:streams AS text[]), CAST(:keys AS text[])) AS wanted (message_stream, email_key)
              JOIN LATERAL (
                   SELECT found.message_stream, found.email_key FROM delivery.suppression AS found
                    WHERE found.message_stream = wanted.message_stream AND found.email_key = wanted.email_key
                      AND found.active AND found.kind = 'soft_bounces' LIMIT 1
              ) AS kept ON true
        """),
        {"streams": [stream for stream, _ in addresses], "keys": [key for _, key in addresses]},
    )
    return {(row.message_stream, row.email_key) for row in rows}


async def read_evidence(connection: AsyncConnection, *, stream: str, email_key: str, window: timedelta) -> Evidence:
    """Bounces since the suppression was last lifted: earlier ones do not count again."""
    found = await connection.execute(
        sa.text(f"""
            SELECT event.occurred_at, event.issue_id, event.seq, event.single_mail_id
              FROM delivery.provider_event AS event
             WHERE event.email_key = :email_key AND {_STREAM} AND {_IS_SOFT}
               AND event.occurred_at > coalesce((
                   SELECT lifted.changed_at FROM delivery.suppression AS lifted
                    WHERE lifted.message_stream = :stream AND lifted.email_key = :email_key AND NOT lifted.active
               ), '-infinity')
             ORDER BY event.occurred_at DESC LIMIT :limit
        """),
        {"stream": stream, "email_key": email_key, "limit": BOUNCES_LOOKED_AT_MAX},
    )
    bounces = found.all()
    if not bounces:
        return Evidence([], [])
    arrivals = await connection.execute(
        sa.text(f"""
            WITH people AS MATERIALIZED (
                SELECT DISTINCT d.subscriber_id
                  FROM unnest(CAST(:issue_ids AS bigint[]), CAST(:seqs AS integer[])) AS bounced (issue_id, seq)
                  JOIN LATERAL (
                       SELECT one.subscriber_id FROM delivery.delivery AS one
                        WHERE one.issue_id = bounced.issue_id AND one.seq = bounced.seq LIMIT 1
                  ) AS d ON true
            )
            SELECT event.occurred_at
              FROM people
             CROSS JOIN (
                   SELECT issue_id FROM delivery.issue_run
                    WHERE opened_at > CAST(:since AS timestamptz) - CAST(:window AS interval)
             ) AS run
             CROSS JOIN LATERAL (
                   SELECT one.seq FROM delivery.delivery AS one
                    WHERE one.issue_id = run.issue_id AND one.subscriber_id = people.subscriber_id LIMIT 1
             ) AS d
              JOIN delivery.provider_event AS event
                ON event.issue_id = run.issue_id AND event.seq = d.seq AND event.record_type = 'Delivery' AND {_STREAM}
            UNION ALL
            SELECT event.occurred_at
              FROM delivery.single_mail AS mail
              JOIN delivery.provider_event AS event
                ON event.message_id = mail.message_id AND event.record_type = 'Delivery' AND {_STREAM}
             WHERE lower(mail.to_email) = :email_key
            LIMIT :limit
        """).bindparams(
            sa.bindparam("since", type_=sa.DateTime(timezone=True)), sa.bindparam("window", type_=sa.Interval)
        ),
        {
            "stream": stream,
            "email_key": email_key,
            "issue_ids": [row.issue_id for row in bounces if row.issue_id is not None],
            "seqs": [row.seq for row in bounces if row.issue_id is not None],
            "since": bounces[-1].occurred_at,
            # An issue may have been opened long before its mails bounced.
            "window": window,
            "limit": ARRIVALS_LOOKED_AT_MAX,
        },
    )
    return Evidence([row.occurred_at for row in bounces], list(arrivals.scalars()))


async def suppress_by_rule(connection: AsyncConnection, *, stream: str, email_key: str, since: datetime) -> None:
    """Suppress from `since` on, and queue telling Postmark. An existing suppression keeps its kind, with the later
    time.
    """
    await connection.execute(
        sa.text(f"""
            INSERT INTO delivery.suppression AS kept
                   (message_stream, email_key, kind, reason, source, origin, active, changed_at, tell_run_at)
            VALUES (:stream, :email_key, 'soft_bounces', :reason, '{SOURCE}', 'rule', true, :since, now())
            ON CONFLICT (message_stream, email_key) DO UPDATE
               SET active = true, changed_at = excluded.changed_at,
                   kind = CASE WHEN kept.active THEN kept.kind ELSE excluded.kind END,
                   reason = CASE WHEN kept.active THEN kept.reason ELSE excluded.reason END,
                   source = CASE WHEN kept.active THEN kept.source ELSE excluded.source END,
                   origin = CASE WHEN kept.active THEN kept.origin ELSE excluded.origin END,
                   tell_run_at = CASE WHEN kept.active THEN kept.tell_run_at
                                      ELSE greatest(now(), kept.tell_run_at) END,
                   tell_count = CASE WHEN kept.active THEN kept.tell_count ELSE 0 END,
                   tell_error = CASE WHEN kept.active THEN kept.tell_error END
             WHERE excluded.changed_at > kept.changed_at
        """).bindparams(sa.bindparam("since", type_=sa.DateTime(timezone=True))),
        {"stream": stream, "email_key": email_key, "reason": REASONS["soft_bounces"], "since": since},
    )


async def take_rule_back(connection: AsyncConnection, *, stream: str, email_key: str, arrived_at: datetime) -> None:
    """A mail that had arrived between the bounces was reported late: the rule was not fulfilled after all."""
    await connection.execute(
        sa.text(f"""
            UPDATE delivery.suppression
               SET active = false, changed_at = :arrived_at, tell_run_at = greatest(now(), tell_run_at),
                   tell_count = 0, tell_error = NULL
             WHERE message_stream = :stream AND email_key = :email_key
               AND active AND kind = 'soft_bounces' AND source = '{SOURCE}'
        """).bindparams(sa.bindparam("arrived_at", type_=sa.DateTime(timezone=True))),
        {"stream": stream, "email_key": email_key, "arrived_at": arrived_at},
    )
