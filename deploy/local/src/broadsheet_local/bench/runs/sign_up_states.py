"""`bench sign-up`: the timing side channel of the sign-up form. Does the time of an answer depend on the address's
state?
"""

import random
import time

import httpx
import msgspec
from httpx_aiohttp import HttpxAiohttpClient
from psycopg import sql

from broadsheet_local.bench.measuring.claim_log import percentile
from broadsheet_local.bench.measuring.database import connected
from broadsheet_local.demo.people import expect
from broadsheet_local.demo.progress import Phases
from broadsheet_local.supervision.supervisor import Say
from broadsheet_local.system import LocalSystem

TIMEOUT_S = 30.0
UNKNOWN = "unknown"
# The SQL that inserts each state for the addresses of that state; `unknown` addresses get no rows.
STATES = {
    "pending": "INSERT INTO subscriptions.subscription (newsletter_id, subscriber_id, state, confirmation_queued_at)"
    " SELECT 1, id, 'pending', now() - interval '1 day' FROM theirs",
    "pending_cooling_down": "INSERT INTO subscriptions.subscription"
    " (newsletter_id, subscriber_id, state, confirmation_queued_at) SELECT 1, id, 'pending', now() FROM theirs",
    "confirmed": "INSERT INTO subscriptions.subscription (newsletter_id, subscriber_id, state, confirmed_at)"
    " SELECT 1, id, 'confirmed', now() FROM theirs",
    "unsubscribed": "INSERT INTO subscriptions.subscription (newsletter_id, subscriber_id, state, unsubscribed_at)"
    " SELECT 1, id, 'unsubscribed', now() FROM theirs",
    "suppressed": "INSERT INTO delivery.suppression (message_stream, email_key, reason, source)"
    " SELECT stream, email_key, 'HardBounce', 'Recipient'"
    " FROM theirs, unnest(ARRAY['broadcast', 'outbound']) AS stream",
}
PEOPLE = """
WITH theirs AS (
    INSERT INTO subscriptions.subscriber (email, email_key, name)
    SELECT address, address, 'Reader' FROM unnest(%(addresses)s::text[]) AS address
    RETURNING id, email_key
) {state}
"""


class AnswerTimes(msgspec.Struct, frozen=True):
    ms_p50: float
    ms_p90: float
    ms_p99: float


class SignUpFigures(msgspec.Struct, frozen=True):
    """`ms_p50_spread`: the difference between the medians of the slowest and the fastest state. `is_whole`: all
    answers were the same page.
    """

    sign_ups_a_state: int
    answers: dict[str, AnswerTimes]
    ms_p50_spread: float
    is_whole: bool


async def measure_sign_ups(system: LocalSystem, a_state: int, say: Say) -> SignUpFigures:
    """One request after another, the states in random order, through the gateway's public form."""
    addresses = {state: [f"{state}-{number}@example.com" for number in range(a_state)] for state in (UNKNOWN, *STATES)}
    with connected(system.database_url) as connection:
        for state, statement in STATES.items():
            connection.execute(sql.SQL(PEOPLE).format(state=sql.SQL(statement)), {"addresses": addresses[state]})
    order = [(state, address) for state, own in addresses.items() for address in own]
    random.SystemRandom().shuffle(order)
    times_ms: dict[str, list[float]] = {state: [] for state in addresses}
    pages: set[bytes] = set()
    async with HttpxAiohttpClient(base_url=system.addresses.gateway_url, timeout=TIMEOUT_S, trust_env=False) as client:
        with Phases(say) as phases:
            phase = phases.phase("Sign-ups", len(order), system.folder.log_path("subscriptions"))
            for done, (state, address) in enumerate(order, start=1):
                began_s = time.perf_counter()
                answer = await client.post("/subscriptions", data={"name": "Reader", "email": address})
                times_ms[state].append((time.perf_counter() - began_s) * 1000)
                expect(answer, httpx.codes.OK, "signing up")
                pages.add(answer.content)
                phase.update(done, waiting_for="answers")
    answers = {state: _times(found) for state, found in times_ms.items()}
    medians = [times.ms_p50 for times in answers.values()]
    return SignUpFigures(
        sign_ups_a_state=a_state,
        answers=answers,
        ms_p50_spread=round(max(medians) - min(medians), 2),
        is_whole=len(pages) == 1,
    )


def _times(found_ms: list[float]) -> AnswerTimes:
    return AnswerTimes(*(round(percentile(found_ms, percent), 2) for percent in (50, 90, 99)))
