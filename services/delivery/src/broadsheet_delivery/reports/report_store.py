"""SQL that reads the rolled-up figures for reports. Nothing here counts deliveries or events.

Every function takes the connection of its caller's transaction.
"""

from collections import Counter
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.reports.issue_report import (
    DOMAINS_SHOWN_MAX,
    GROUP_FIGURES,
    LINK_FIGURES,
    LINKS_SHOWN_MAX,
    Counts,
    Figure,
    IssueState,
)

WAITING_COUNTED_MAX: Final = 100_000

_COUNTS: Final = (
    "progress.audience, progress.pending, progress.in_flight, progress.accepted, progress.failed, "
    "progress.suppressed, progress.excluded, progress.uncertain, progress.cancelled"
)


def _state(row: sa.Row[Any]) -> IssueState:
    """Of the columns that `find_state` and `last_issues` select."""
    return IssueState(
        issue_id=row.issue_id,
        newsletter_id=row.newsletter_id,
        published_at=row.opened_at,
        rolled_at=row.rolled_at,
        tracks_opens=row.tracks_opens,
        tracks_links=row.tracks_links,
        winner=row.winner,
        waiting=row.waiting,
        older_events_wait=row.older_events_wait,
        counts=Counts(**{name: int(getattr(row, name)) for name in Counts.__struct_fields__}),
    )


async def find_state(connection: AsyncConnection, issue_id: int) -> IssueState | None:
    """None: the issue was never published."""
    row = (
        await connection.execute(
            sa.text(f"""
                SELECT run.issue_id, run.newsletter_id, run.opened_at, report.rolled_at,
                       run.tracks_opens, run.tracks_links, run.winner,
                       (SELECT count(*) FROM (SELECT FROM delivery.report_queue AS one
                                               WHERE one.issue_id = run.issue_id
                                               LIMIT :waiting_max) AS some_of_them) AS waiting,
                       EXISTS (SELECT FROM delivery.report_pace
                                WHERE backfill_next_id <= backfill_end_id) AS older_events_wait,
                       {_COUNTS}
                  FROM delivery.issue_run AS run
                  JOIN delivery.published_issue_progress AS progress USING (issue_id)
                  LEFT JOIN delivery.report_issue AS report USING (issue_id)
                 WHERE run.issue_id = :issue_id
            """),
            {"issue_id": issue_id, "waiting_max": WAITING_COUNTED_MAX},
        )
    ).one_or_none()
    return None if row is None else _state(row)


async def figures_for_report(connection: AsyncConnection, issue_id: int) -> list[Figure]:
    """All variants, stretches of time and types of bounce; the largest domains, and the most clicked links."""
    rows = await connection.execute(
        sa.text("""
            WITH domains AS MATERIALIZED (
                SELECT one.key, domain.name FROM delivery.report_figure AS one
                  JOIN delivery.report_domain AS domain
                    ON domain.issue_id = one.issue_id AND domain.number = CAST(one.key AS integer)
                 WHERE one.issue_id = :issue_id AND one.part = 'domain' AND one.figure = 'recipients'
                 ORDER BY one.count DESC, domain.name LIMIT :domains_max
            ), links AS MATERIALIZED (
                SELECT one.key, link.url AS name FROM delivery.report_figure AS one
                  LEFT JOIN delivery.report_link AS link
                    ON link.issue_id = one.issue_id AND link.number = CAST(one.key AS integer)
                 WHERE one.issue_id = :issue_id AND one.part = 'link' AND one.figure = 'clicked'
                 ORDER BY one.count DESC, link.url LIMIT :links_max
            )
            SELECT part, figure, key, count, NULL AS name FROM delivery.report_figure
             WHERE issue_id = :issue_id AND part IN ('variant', 'time', 'bounce_type')
            UNION ALL
            SELECT one.part, one.figure, one.key, one.count, domains.name
              FROM domains CROSS JOIN unnest(CAST(:domain_figures AS text[])) AS wanted (figure)
             CROSS JOIN LATERAL (
                   SELECT kept.* FROM delivery.report_figure AS kept
                    WHERE kept.issue_id = :issue_id AND kept.part = 'domain' AND kept.figure = wanted.figure
                      AND kept.key = domains.key LIMIT 1
             ) AS one
            UNION ALL
            SELECT one.part, one.figure, one.key, one.count, links.name
              FROM links CROSS JOIN unnest(CAST(:link_figures AS text[])) AS wanted (figure)
             CROSS JOIN LATERAL (
                   SELECT kept.* FROM delivery.report_figure AS kept
                    WHERE kept.issue_id = :issue_id AND kept.part = 'link' AND kept.figure = wanted.figure
                      AND kept.key = links.key LIMIT 1
             ) AS one
        """).bindparams(sa.bindparam("issue_id", type_=sa.BigInteger)),
        {
            "issue_id": issue_id,
            "domains_max": DOMAINS_SHOWN_MAX,
            "links_max": LINKS_SHOWN_MAX,
            "domain_figures": list(GROUP_FIGURES.values()),
            "link_figures": list(LINK_FIGURES),
        },
    )
    return [Figure(*row) for row in rows]


async def newsletter_exists(connection: AsyncConnection, newsletter_id: int) -> bool:
    row = await connection.execute(
        sa.text("SELECT EXISTS (SELECT FROM publishing.published_newsletters WHERE newsletter_id = :newsletter_id)"),
        {"newsletter_id": newsletter_id},
    )
    return bool(row.scalar_one())


async def last_issues(
    connection: AsyncConnection, newsletter_id: int, *, limit: int
) -> list[tuple[IssueState, Counter[str]]]:
    """The newsletter's last published issues, newest first, each with its figures over all variants."""
    states = await connection.execute(
        sa.text(f"""
            SELECT run.issue_id, run.newsletter_id, run.opened_at, report.rolled_at, run.tracks_opens, run.tracks_links,
                   run.winner,
                   (SELECT count(*) FROM (SELECT FROM delivery.report_queue AS one
                                           WHERE one.issue_id = run.issue_id
                                               LIMIT :waiting_max) AS some_of_them) AS waiting,
                   EXISTS (SELECT FROM delivery.report_pace
                                WHERE backfill_next_id <= backfill_end_id) AS older_events_wait,
                   {_COUNTS}
              FROM (SELECT * FROM delivery.issue_run WHERE newsletter_id = :newsletter_id
                     ORDER BY opened_at DESC, issue_id DESC LIMIT :limit) AS run
             CROSS JOIN LATERAL (
                   SELECT * FROM delivery.published_issue_progress AS one WHERE one.issue_id = run.issue_id
             ) AS progress
              LEFT JOIN delivery.report_issue AS report ON report.issue_id = run.issue_id
             ORDER BY run.opened_at DESC, run.issue_id DESC
        """),
        {"newsletter_id": newsletter_id, "limit": limit, "waiting_max": WAITING_COUNTED_MAX // limit},
    )
    found = [_state(row) for row in states]
    rows = await connection.execute(
        sa.text("""
            SELECT issue_id, figure, count AS people FROM delivery.report_figure
             WHERE issue_id = ANY (CAST(:issue_ids AS bigint[])) AND part = 'variant'
        """),
        {"issue_ids": [state.issue_id for state in found]},
    )
    totals: dict[int, Counter[str]] = {state.issue_id: Counter() for state in found}
    for row in rows:
        totals[row.issue_id][row.figure] += row.people
    return [(state, totals[state.issue_id]) for state in found]
