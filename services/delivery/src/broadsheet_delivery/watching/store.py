"""SQL of what is watched: one statement for all streams of a process."""

from collections.abc import Collection
from datetime import datetime
from typing import Final, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.throttle.interface import BREAKER_STATE
from broadsheet_delivery.watching.event_data import (
    FailingWebhook,
    ImportWithRejects,
    RunState,
    UncertainIssue,
    WatchedCounts,
)

READ_MAX: Final = 200
"""Entries of each list of the dashboard, over all newsletters; what a caller sees of them is chosen later."""

_COUNTS = ", ".join(f"progress.{name}" for name in WatchedCounts.__struct_fields__)


class WatchedIssue(msgspec.Struct, frozen=True):
    issue_id: int
    newsletter_id: int
    title: str
    state: RunState
    pause_reason: str | None
    fan_out_is_finished: bool
    finished_at: datetime | None
    parked: int
    counts: WatchedCounts

    @property
    def is_final(self) -> bool:
        return self.finished_at is not None


class WatchedSending(msgspec.Struct, frozen=True):
    pause_reason: str | None
    breaker: Literal["closed", "half_open", "open"]
    breaker_reason: str | None
    back_off_until: datetime | None
    messages_per_s_max: float | None
    concurrent_calls_max: int | None
    replicas: int


class WatchedDashboard(msgspec.Struct, frozen=True):
    sending: WatchedSending
    issues_in_progress: int
    uncertain: list[UncertainIssue]
    failing_webhooks: list[FailingWebhook]
    imports_with_rejects: list[ImportWithRejects]


class Snapshot(msgspec.Struct, frozen=True):
    """`at_s`: the database's time, in seconds since 1970. `issues` newest first; `dashboard` is None unless asked."""

    at_s: float
    issues: list[WatchedIssue]
    dashboard: WatchedDashboard | None


_decoder = msgspec.json.Decoder(Snapshot)

_UNFINISHED = """(
    SELECT issue_id FROM delivery.issue_run WHERE state IN ('open', 'paused')
     UNION ALL
    SELECT issue_id FROM delivery.issue_run WHERE state = 'cancelled' AND finished_at IS NULL
) AS unfinished"""

_ISSUES = f"""
    SELECT run.issue_id, run.newsletter_id, coalesce(issue.title, '') AS title, progress.state, progress.pause_reason,
           progress.fan_out_finished_at IS NOT NULL AS fan_out_is_finished, progress.finished_at, progress.parked,
           (SELECT to_jsonb(counts) FROM (SELECT {_COUNTS}) AS counts) AS counts
      FROM (SELECT issue_id FROM unnest(CAST(:issue_ids AS bigint[])) AS named (issue_id)
             UNION
            (SELECT issue_id FROM {_UNFINISHED} WHERE :with_dashboard ORDER BY issue_id DESC LIMIT :read_max)
           ) AS watched
      JOIN delivery.issue_run AS run USING (issue_id)
     CROSS JOIN LATERAL (
           SELECT * FROM delivery.published_issue_progress AS one WHERE one.issue_id = run.issue_id
     ) AS progress
      LEFT JOIN publishing.published_issues AS issue ON issue.issue_id = run.issue_id
"""  # constants

_SENDING = f"""
    SELECT pause_reason, {BREAKER_STATE} AS breaker, breaker_reason,
           CASE WHEN back_off_until > now() THEN back_off_until END AS back_off_until,
           messages_per_s_max, concurrent_calls_max,
           (SELECT count(*) FROM delivery.replica
             WHERE stopped_at IS NULL AND seen_at > now() - interval '30 seconds') AS replicas
      FROM delivery.sending_state AS sending
"""  # constants

_UNCERTAIN = """
    SELECT run.issue_id, run.newsletter_id, sum(unsure.deliveries) AS uncertain,
           coalesce(sum(unsure.deliveries) FILTER (WHERE unsure.is_parked), 0) AS parked
      FROM (SELECT issue_id, parked_at IS NOT NULL AS is_parked,
                   last_seq - first_seq + 1 - accepted_count - failed_count - suppressed_count - excluded_count
                   - cancelled_count - handed_over_count AS deliveries
              FROM delivery.delivery_chunk WHERE status = 'uncertain'
             UNION ALL
            SELECT issue_id, parked_at IS NOT NULL, 1
              FROM delivery.single_mail WHERE status = 'uncertain' AND issue_id IS NOT NULL) AS unsure
      JOIN delivery.issue_run AS run USING (issue_id)
     GROUP BY run.issue_id, run.newsletter_id
     ORDER BY 4 DESC, run.issue_id DESC LIMIT :read_max
"""


_FAILING_WEBHOOKS = """
    SELECT endpoint_id, failing_since, disabled FROM subscriptions.published_failing_webhooks
     ORDER BY endpoint_id LIMIT :read_max
"""

_IMPORTS = """
    SELECT import_id, newsletter_id, status, rejected, finished_at FROM subscriptions.published_imports_with_rejects
     ORDER BY import_id DESC LIMIT :read_max
"""


def _list_of(query: str, order: str) -> str:
    return f"coalesce((SELECT jsonb_agg(to_jsonb(one) ORDER BY {order}) FROM ({query}) AS one), '[]')"


# In one statement, so that whatever is watched costs one round trip, and all of it is of one moment. JSON, because
# the parts have different shapes.
_SNAPSHOT = f"""
    SELECT CAST(jsonb_build_object(
        'at_s', extract(epoch FROM now()),
        'issues', {_list_of(_ISSUES, "one.issue_id DESC")},
        'dashboard', CASE WHEN :with_dashboard THEN jsonb_build_object(
            'sending', (SELECT to_jsonb(one) FROM ({_SENDING}) AS one),
            'issues_in_progress', (SELECT count(*) FROM {_UNFINISHED}),
            'uncertain', {_list_of(_UNCERTAIN, "one.parked DESC, one.issue_id DESC")},
            'failing_webhooks', {_list_of(_FAILING_WEBHOOKS, "one.endpoint_id")},
            'imports_with_rejects', {_list_of(_IMPORTS, "one.import_id DESC")}
        ) END
    ) AS text)
"""  # constants


async def read_snapshot(connection: AsyncConnection, *, issue_ids: Collection[int], with_dashboard: bool) -> Snapshot:
    """Those of the issues that were published; with the dashboard also the newest unfinished ones."""
    result = await connection.execute(
        sa.text(_SNAPSHOT).bindparams(sa.bindparam("with_dashboard", type_=sa.Boolean)),
        {"issue_ids": list(issue_ids), "with_dashboard": with_dashboard, "read_max": READ_MAX},
    )
    return _decoder.decode(result.scalar_one())
