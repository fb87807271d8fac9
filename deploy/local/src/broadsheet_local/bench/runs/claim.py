"""`bench claim`: the delivery service's own claim, alone in a queue of two lengths.

Nothing else runs, so that what is timed is the claim and not a wait for the event loop. Each claimed chunk is closed
before the next claim, as a worker would leave it, so that the table ages as in a real run.
"""

import secrets
import time
from functools import partial

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from broadsheet_common.http.application import ServerMetrics
from broadsheet_common.process.database import create_engine
from broadsheet_common.process.logs import configure_logs
from broadsheet_common.process.settings import load_settings
from broadsheet_delivery.app import create_context
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.queue.claim_chunk import ClaimedChunk, IssueRotation, claim_chunk
from broadsheet_delivery.settings import DeliverySettings
from broadsheet_local.bench.inputs.issue_body import make_issue
from broadsheet_local.bench.measuring.claim_log import ClaimTimes, claim_times
from broadsheet_local.bench.measuring.database import connected
from broadsheet_local.bench.measuring.figures import ClaimFigures
from broadsheet_local.bench.measuring.own_postgres import own_postgres
from broadsheet_local.demo.bulk_import import import_readers
from broadsheet_local.embedded.postgres import EmbeddedPostgres
from broadsheet_local.environment import MAIL_FROM
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.concurrency import in_thread
from broadsheet_local.supervision.supervisor import Say

SHORT_QUEUE = 10_000
CHUNK = 500
PAGE = 10_000
BODY_KB = 10
MS_PER_S = 1000
DELIVERY_DB_PASSWORD = "bench"  # noqa: S105  # of a database that lives for this measurement, on loopback

EMPTY_QUEUE = (
    "TRUNCATE delivery.issue_run, delivery.delivery_chunk, delivery.delivery, delivery.delivery_outcome CASCADE"
)
WRITE_ISSUE = """
INSERT INTO publishing.issue (newsletter_id, title, html_content, text_content, status, created_by, published_at)
SELECT id, %s, %s, %s, 'published', 'bench', now() FROM publishing.newsletter WHERE is_default
RETURNING id, newsletter_id
"""
OPEN_RUN = "SELECT delivery.open_issue_run(%s, %s, '00-00000000000000000000000000000001-0000000000000001-01')"
ENQUEUE_PAGE = """
SELECT delivery.enqueue_deliveries(%s, array_agg(page.id))
  FROM (SELECT id FROM subscriptions.subscriber WHERE id > %s ORDER BY id LIMIT %s) AS page
"""
CLOSE_CHUNK = """
WITH closed AS (
    UPDATE delivery.delivery_chunk
       SET status = 'done', accepted_count = last_seq - first_seq + 1, lease_token = NULL, lease_until = NULL
     WHERE id = %s
    RETURNING issue_id, first_seq, last_seq
)
INSERT INTO delivery.delivery_outcome (issue_id, seq, outcome, message_id)
SELECT issue_id, seq, 'accepted', gen_random_uuid() FROM closed, generate_series(first_seq, last_seq) AS seq
"""


async def measure_claims(*, long_queue: int, claims: int, say: Say) -> ClaimFigures:
    """Raises LaunchError when a claim finds nothing where chunks wait."""
    async with own_postgres(DELIVERY_DB_PASSWORD=DELIVERY_DB_PASSWORD) as postgres:
        return await _measure(postgres, long_queue=long_queue, claims=claims, say=say)


async def _measure(postgres: EmbeddedPostgres, *, long_queue: int, claims: int, say: Say) -> ClaimFigures:
    say(f"importing {long_queue:,} confirmed subscribers")
    await in_thread(lambda: import_readers(postgres.url, 1, long_queue))
    settings = load_settings(
        DeliverySettings, _delivery_environment(postgres.url_for("broadsheet_delivery", DELIVERY_DB_PASSWORD))
    )
    # A service's default level, which logs no line for each claim.
    configure_logs(service="bench", log_format="json", level="INFO")
    engine = create_engine(
        settings.database_url, application_name="bench-claim", pool_size=1, timeout_s=settings.database_timeout_s
    )
    async with httpx.AsyncClient() as client:
        try:
            context = create_context(settings, engine, client, ServerMetrics())
            short = await _time_claims(postgres.url, context, queue=SHORT_QUEUE, claims=claims, say=say)
            long = await _time_claims(postgres.url, context, queue=long_queue, claims=claims, say=say)
        finally:
            await engine.dispose()
    return ClaimFigures(SHORT_QUEUE, long_queue, short, long, round(long.p99 / short.p99, 2))


async def _time_claims(url: str, context: DeliveryContext, *, queue: int, claims: int, say: Say) -> ClaimTimes:
    """Queues of `queue` deliveries, one after another, until enough claims were timed.

    Half of a queue is left alone, so that it is about `queue` long at every claim. An issue's first claim reads and
    parses its content, once for all of its chunks, and is not counted.
    """
    times_ms: list[float] = []
    rotation = IssueRotation()
    while len(times_ms) < claims:
        say(f"a queue of {queue:,}: {len(times_ms):,} of {claims:,} claims timed")
        await in_thread(lambda: _enqueue(url, queue))
        for number in range(min(queue // CHUNK // 2, claims - len(times_ms) + 1)):
            began_s = time.perf_counter()
            claimed = await claim_chunk(context, rotation)
            claim_ms = (time.perf_counter() - began_s) * MS_PER_S
            if not isinstance(claimed, ClaimedChunk):
                raise LaunchError("a claim found nothing although chunks wait")
            if number > 0:
                times_ms.append(claim_ms)
            await in_thread(partial(_close_chunk, url, claimed.chunk.id))
    found = claim_times(times_ms)
    assert found is not None
    return found


def _enqueue(url: str, queue: int) -> None:
    """Leave nothing in the queue but one published issue, to the first `queue` subscribers."""
    issue = make_issue(BODY_KB)
    with connected(url) as connection:
        connection.execute(EMPTY_QUEUE)
        row = connection.execute(WRITE_ISSUE, (issue.title, issue.html, issue.text)).fetchone()
        assert row is not None
        issue_id, newsletter_id = row
        connection.execute(OPEN_RUN, (issue_id, newsletter_id))
        # There is no Postmark here, so the preflight cannot check its stream.
        connection.execute("UPDATE delivery.issue_run SET preflight_at = now() WHERE issue_id = %s", (issue_id,))
        for after in range(0, queue, PAGE):
            connection.execute(ENQUEUE_PAGE, (issue_id, after, min(PAGE, queue - after)))


def _close_chunk(url: str, chunk_id: int) -> None:
    with connected(url) as connection:
        connection.execute(CLOSE_CHUNK, (chunk_id,))


def _delivery_environment(database_url: str) -> dict[str, str]:
    """No call is made, so where Postmark is does not matter."""
    public_key = Ed25519PrivateKey.generate().public_key()
    return {
        "BROADSHEET_ENV": "local",
        "BIND_PORT": "1",
        "DATABASE_URL": database_url,
        "PUBLIC_URL": "http://127.0.0.1",
        "IDENTITY_PUBLIC_KEY": public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        "LINK_SIGNING_KEYS": f"bench:{secrets.token_hex(32)}",
        "ERASURE_KEYS": f"bench:{secrets.token_hex(32)}",
        "MAIL_FROM": MAIL_FROM,
        "POSTMARK_BASE_URL": "http://127.0.0.1",
        "POSTMARK_SERVER_TOKEN": "bench",
    }
