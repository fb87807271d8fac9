"""Events by the million for `bench reports`: what a recipient does follows from its number in the issue.

So the benchmark can compute what a report must say. Events are stored by the same trigger, and with the same columns,
as the service's own.
"""

# ruff: noqa: PLR2004  # every number is a fraction of the recipients, chosen here and meaning nothing more
from collections.abc import Callable

import psycopg

ROWS_A_STATEMENT = 10_000
PAGE = 10_000
LINKS = 30
LARGE_DOMAINS = 4
SMALL_DOMAINS = 3_000
NEWSLETTER_ID = 1

_SUBSCRIBERS = f"""
WITH people AS (
    INSERT INTO subscriptions.subscriber (email, email_key, name)
    SELECT address, address, 'Reader' FROM (
        SELECT 'reader-' || n || '@' || CASE WHEN mod(n, 10) < 8 THEN 'large-' || mod(n, {LARGE_DOMAINS})
                                             ELSE 'small-' || mod(n, {SMALL_DOMAINS}) END || '.example' AS address
          FROM generate_series(%s::integer, %s::integer) AS n) AS one
    RETURNING id
)
INSERT INTO subscriptions.subscription (newsletter_id, subscriber_id, state, confirmed_at)
SELECT {NEWSLETTER_ID}, id, 'confirmed', now() FROM people
"""  # noqa: S608  # our own constants
_ISSUE = """
INSERT INTO publishing.issue (newsletter_id, title, html_content, text_content, status, created_by, published_at)
SELECT id, 'Bench', '<p>Bench</p>', 'Bench', 'published', 'bench', now() FROM publishing.newsletter WHERE is_default
RETURNING id
"""
_OPEN_RUN = "SELECT delivery.open_issue_run(%s, 1, '00-00000000000000000000000000000001-0000000000000001-01')"
_ENQUEUE = """
SELECT delivery.enqueue_deliveries(%s, array_agg(page.id ORDER BY page.id))
  FROM (SELECT id FROM subscriptions.subscriber WHERE id > %s ORDER BY id LIMIT %s) AS page
"""
_ACCEPT = (
    """
    INSERT INTO delivery.delivery_outcome (issue_id, seq, outcome)
    SELECT issue_id, seq, 'accepted' FROM delivery.delivery WHERE issue_id = %s
    """,
    "UPDATE delivery.delivery_chunk SET status = 'done', accepted_count = last_seq - first_seq + 1 WHERE issue_id = %s",
    "SELECT delivery.close_fan_out(%s)",
    """
    UPDATE delivery.issue_run SET state = 'finished', finished_at = now(), preflight_at = now(), tracks_opens = true,
           tracks_links = true WHERE issue_id = %s
    """,
)
_EVENT = """
INSERT INTO delivery.provider_event
       (record_type, message_stream, message_id, issue_id, seq, source, occurred_at, received_at, dedupe_key, detail)
SELECT {record_type}, 'broadcast', gen_random_uuid(), %(issue_id)s, n, 'webhook', {occurred_at}, now(),
       encode(sha256(({record_type} || '-{round}-' || %(issue_id)s || '-' || n)::bytea), 'hex'), {detail}
  FROM generate_series(%(first)s::integer, %(last)s::integer) AS n
 WHERE {where}
"""


def write_issue(connection: psycopg.Connection, recipients: int) -> int:
    """An issue that everybody was sent; returns its id. Each statement is a transaction of its own."""
    for first in range(1, recipients + 1, PAGE):
        connection.execute(_SUBSCRIBERS, (first, min(first + PAGE - 1, recipients)))
    row = connection.execute(_ISSUE).fetchone()
    assert row is not None
    issue_id = int(row[0])
    connection.execute(_OPEN_RUN, (issue_id,))
    for after in range(0, recipients, PAGE):
        connection.execute(_ENQUEUE, (issue_id, after, min(PAGE, recipients - after)))
    for statement in _ACCEPT:
        connection.execute(statement, (issue_id,))
    connection.execute("VACUUM (ANALYZE)")
    return issue_id


class _Kind:
    """One kind of event: which recipients it happens to, in each of `rounds`."""

    def __init__(
        self, record_type: str, where: str, happens: Callable[[int], bool], *, rounds: int, at: str, detail: str
    ) -> None:
        self.record_type = record_type
        self.where = where
        self.happens = happens
        self.rounds = rounds
        self.at = at
        self.detail = detail


# For each million recipients: 990,000 deliveries, 10,000 bounces, 550,000 people with 3 opens each, of whom one in five
# is a machine, and 100,000 people with 3 or 4 clicks.
_KINDS = (
    _Kind(
        "Delivery",
        "mod(n, 100) <> 7",
        lambda n: n % 100 != 7,
        rounds=1,
        at="now() + mod(n, 60) * interval '1 s'",
        detail="'{{}}'",
    ),
    _Kind(
        "Bounce",
        "mod(n, 100) = 7",
        lambda n: n % 100 == 7,
        rounds=1,
        at="now()",
        detail="""'{{"type": "HardBounce", "inactive": true}}'""",
    ),
    _Kind(
        "Open",
        "mod(n, 20) >= 9",
        lambda n: n % 20 >= 9,
        rounds=3,
        at="now() + (mod(n::bigint * 7919, 250000) + {round} * 3600) * interval '1 s'",
        detail="""CASE WHEN mod(n, 5) = 0 THEN '{{"machine": "privacy_prefetch"}}' ELSE '{{}}' END::jsonb""",
    ),
    _Kind(
        "Click",
        "mod(n, 10) = 9",
        lambda n: n % 10 == 9,
        rounds=4,
        at="now() + (mod(n::bigint * 104729, 250000) + {round} * 3600 + 600) * interval '1 s'",
        detail="jsonb_build_object('link', 'https://example.com/article/' || mod(n / 10 + {round}, "
        + str(LINKS)
        + "))",
    ),
)


class ExpectedFigures:
    """What the report of these events must say."""

    def __init__(self) -> None:
        self.events = 0
        self.delivered = 0
        self.bounced = 0
        self.opened = 0
        self.opens = 0
        self.machine_opens = 0
        self.clicked = 0
        self.clicks = 0


def write_events(connection: psycopg.Connection, issue_id: int, recipients: int, events_max: int) -> ExpectedFigures:
    """At most `events_max` events, whole statements of one kind, round and range of recipients."""
    expected = ExpectedFigures()
    delivered: set[int] = set()
    opened: set[int] = set()
    clicked: set[int] = set()
    bounced: set[int] = set()
    people = {"Delivery": delivered, "Open": opened, "Click": clicked, "Bounce": bounced}
    for first in range(1, recipients + 1, ROWS_A_STATEMENT):
        last = min(first + ROWS_A_STATEMENT - 1, recipients)
        for kind in _KINDS:
            theirs = [n for n in range(first, last + 1) if kind.happens(n)]
            for number in range(kind.rounds):
                if expected.events + len(theirs) > events_max:
                    continue
                statement = _EVENT.format(
                    record_type=f"'{kind.record_type}'",
                    round=number,
                    where=kind.where,
                    occurred_at=kind.at.format(round=number),
                    detail=kind.detail.format(round=number),
                )
                connection.execute(statement.encode(), {"issue_id": issue_id, "first": first, "last": last})
                expected.events += len(theirs)
                people[kind.record_type].update(theirs)
                if kind.record_type == "Open":
                    expected.opens += len(theirs)
                    expected.machine_opens += sum(n % 5 == 0 for n in theirs)
                if kind.record_type == "Click":
                    expected.clicks += len(theirs)
    expected.delivered = len(delivered | opened | clicked)
    expected.bounced = len(bounced)
    expected.opened = len(opened)
    expected.clicked = len(clicked)
    return expected
