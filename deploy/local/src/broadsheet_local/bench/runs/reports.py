"""`bench reports`: rolling up, the time of a report's request, and what rolling up costs sending.

The first two are measured on the service's own code in this process, with nothing else running; the last on a whole
system, with the roll-up halted and with as much to roll up as it can take.
"""

import gc
import secrets
import time
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, cast

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from broadsheet_common.contracts.identity import IDENTITY_HEADER, Identity, IdentityMinter
from broadsheet_common.http.application import ServerMetrics
from broadsheet_common.process.database import create_engine
from broadsheet_common.process.logs import configure_logs
from broadsheet_common.process.settings import load_settings
from broadsheet_delivery.app import create_app, create_context
from broadsheet_delivery.reports.roll_up_reports import roll_up_reports
from broadsheet_delivery.settings import DeliverySettings
from broadsheet_local.bench.inputs.author import Author
from broadsheet_local.bench.inputs.issue_body import make_issue
from broadsheet_local.bench.inputs.many_events import ExpectedFigures, write_events, write_issue
from broadsheet_local.bench.measuring.claim_log import percentile
from broadsheet_local.bench.measuring.database import connected
from broadsheet_local.bench.measuring.figures import ReportFigures, RequestTimes, SendingCostFigures
from broadsheet_local.bench.measuring.oracle import Oracle
from broadsheet_local.bench.measuring.own_postgres import own_postgres
from broadsheet_local.bench.runs.run_issue import IssueRun, run_issue
from broadsheet_local.demo.bulk_import import import_readers
from broadsheet_local.demo.progress import Phases
from broadsheet_local.embedded.postgres import EmbeddedPostgres
from broadsheet_local.environment import MAIL_FROM
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.concurrency import in_thread
from broadsheet_local.supervision.supervisor import Say
from broadsheet_local.system import LocalSystem

MS_PER_S = 1_000
WARM_UP = 10
DB_PASSWORD = "bench"  # noqa: S105  # of a database that lives for this measurement, on loopback
PAIRS = 2
"""Runs with the roll-up and without it, in the order without, with, with, without."""
BODY_KB = 10

_HALT = "UPDATE delivery.report_pace SET next_at = 'infinity'"
_GO_ON = "UPDATE delivery.report_pace SET next_at = '-infinity'"
_WAITING = "SELECT count(*) FROM delivery.report_queue"


async def measure_reports(*, recipients: int, events: int, requests: int, say: Say) -> ReportFigures:
    """Raises LaunchError when a request fails; wrong figures are counted."""
    async with own_postgres(DELIVERY_DB_PASSWORD=DB_PASSWORD) as postgres:
        return await _measure(postgres, recipients=recipients, events=events, requests=requests, say=say)


async def _measure(
    postgres: EmbeddedPostgres, *, recipients: int, events: int, requests: int, say: Say
) -> ReportFigures:
    say(f"writing an issue to {recipients:,} people and {events:,} events")
    issue_id, expected, recorded_s = await in_thread(lambda: _fill(postgres.url, recipients, events))
    configure_logs(service="bench", log_format="json", level="WARNING")
    gc.collect()
    key = Ed25519PrivateKey.generate()
    settings = _settings(postgres, key)
    say("rolling up")
    roll_up_s = await _roll_up(settings)
    say(f"asking for reports, {requests:,} times each")
    app = create_app(settings, sends=False)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    paths = {
        "report": f"/api/v1/issues/{issue_id}/report",
        "report_csv": f"/api/v1/issues/{issue_id}/report/csv",
        "engagement": "/api/v1/newsletters/1/engagement",
    }
    async with httpx.AsyncClient(transport=httpx.ASGITransport(cast("Any", app)), base_url="http://bench") as client:
        minter = IdentityMinter(pem)
        times = {name: await _time(client, minter, path, requests=requests) for name, path in paths.items()}
        report = (await _get(client, minter, paths["report"])).json()
    return ReportFigures(
        recipients=recipients,
        events=expected.events,
        recorded_events_per_s=round(expected.events / recorded_s, 1),
        roll_up_seconds=round(roll_up_s, 2),
        rolled_up_events_per_s=round(expected.events / roll_up_s, 1),
        request_ms=times,
        wrong_figures=_wrong(report, expected, recipients),
        sending=None,
    )


def _fill(url: str, recipients: int, events: int) -> tuple[int, ExpectedFigures, float]:
    with connected(url) as connection:
        issue_id = write_issue(connection, recipients)
        began_s = time.perf_counter()
        expected = write_events(connection, issue_id, recipients, events)
        recorded_s = time.perf_counter() - began_s
        connection.execute("VACUUM (ANALYZE)")
        return issue_id, expected, recorded_s


async def _roll_up(settings: DeliverySettings) -> float:
    """Seconds until nothing is left."""
    engine = create_engine(
        settings.database_url, application_name="bench-reports", pool_size=1, timeout_s=settings.database_timeout_s
    )
    async with httpx.AsyncClient() as client:
        try:
            context = create_context(settings, engine, client, ServerMetrics())
            began_s = time.perf_counter()
            while await roll_up_reports(context) > 0:
                pass
            return time.perf_counter() - began_s
        finally:
            await engine.dispose()


def _wrong(report: dict[str, Any], expected: ExpectedFigures, recipients: int) -> int:
    """How many of the report's figures are not the computed ones."""
    domains = report["domains"]
    pairs = [
        (report["waiting"], 0),
        (report["counts"]["accepted"], recipients),
        (report["delivered"], expected.delivered),
        (report["bounces"]["hard"], expected.bounced),
        (report["opens"]["unique"], expected.opened),
        (report["opens"]["total"], expected.opens),
        (report["opens"]["machine"], expected.machine_opens),
        (report["clicks"]["unique"], expected.clicked),
        (report["clicks"]["total"], expected.clicks),
        (sum(link["total"] for link in report["links"]), expected.clicks),
        (sum(stretch["opens"] for stretch in report["over_time"]), expected.opens),
        (sum(stretch["opened"] for stretch in report["over_time"]), expected.opened),
        (sum(domain["recipients"] for domain in domains), recipients),
        (sum(domain["accepted"] for domain in domains), recipients),
        (sum(domain["opened"] for domain in domains), expected.opened),
    ]
    return sum(found != wanted for found, wanted in pairs)


async def _time(client: httpx.AsyncClient, minter: IdentityMinter, path: str, *, requests: int) -> RequestTimes:
    times_ms: list[float] = []
    for number in range(WARM_UP + requests):
        began_s = time.perf_counter()
        await _get(client, minter, path)
        if number >= WARM_UP:
            times_ms.append((time.perf_counter() - began_s) * MS_PER_S)
    times_ms.sort()
    return RequestTimes(
        requests,
        p50=round(percentile(times_ms, 50), 2),
        p99=round(percentile(times_ms, 99), 2),
        max=round(times_ms[-1], 2),
    )


async def _get(client: httpx.AsyncClient, minter: IdentityMinter, path: str) -> httpx.Response:
    token = minter.mint(Identity("key:1", frozenset({"reports:read"})), "delivery")
    answer = await client.get(path, headers={IDENTITY_HEADER: token})
    if answer.status_code != httpx.codes.OK:
        raise LaunchError(f"{path} answered {answer.status_code}: {answer.text[:500]}")
    return answer


def _settings(postgres: EmbeddedPostgres, key: Ed25519PrivateKey) -> DeliverySettings:
    """No call is made, so where Postmark is does not matter."""
    public_key = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return load_settings(
        DeliverySettings,
        {
            "BROADSHEET_ENV": "local",
            "BIND_PORT": "1",
            "DATABASE_URL": postgres.url_for("broadsheet_delivery", DB_PASSWORD),
            "PUBLIC_URL": "http://127.0.0.1",
            "IDENTITY_PUBLIC_KEY": public_key.decode(),
            "LINK_SIGNING_KEYS": f"bench:{secrets.token_hex(32)}",
            "ERASURE_KEYS": f"bench:{secrets.token_hex(32)}",
            "MAIL_FROM": MAIL_FROM,
            "POSTMARK_BASE_URL": "http://127.0.0.1",
            "POSTMARK_SERVER_TOKEN": "bench",
        },
    )


async def measure_sending_cost(system: LocalSystem, *, recipients: int, say: Say) -> SendingCostFigures:
    """Needs a running system. The events that are rolled up meanwhile are of an issue that was sent before.

    Raises LaunchError when a measurement is not valid.
    """
    sandbox_url = system.addresses.sandbox_url
    assert sandbox_url is not None
    url = system.database_url
    async with AsyncExitStack() as stack:
        oracle = Oracle(sandbox_url)
        stack.push_async_callback(oracle.aclose)
        author = Author(system.addresses.gateway_url, system.credentials.api_key)
        stack.push_async_callback(author.aclose)
        await in_thread(lambda: import_readers(url, 1, recipients))
        phases = stack.enter_context(Phases(say))
        issue = make_issue(BODY_KB)

        async def run(name: str) -> IssueRun:
            phase = phases.phase(name, recipients, system.folder.log_path("delivery-1"))
            return await run_issue(system, author, oracle, issue, recipients=recipients, phase=phase)

        await run("Warm up")
        await in_thread(lambda: _execute(url, _HALT))
        waiting = await in_thread(lambda: _tell_of_everybody(url, recipients))
        without: list[IssueRun] = []
        with_it: list[IssueRun] = []
        rolled_up = 0
        for number in range(2 * PAIRS):
            rolls_up = number % 4 in {1, 2}
            before = await in_thread(partial(_execute, url, _GO_ON if rolls_up else _HALT, _WAITING))
            (with_it if rolls_up else without).append(await run("With the roll-up" if rolls_up else "Without"))
            after = await in_thread(partial(_execute, url, _HALT, _WAITING))
            rolled_up += before - after
    runs = [*without, *with_it]
    rate_without = sum(one.emails_per_s for one in without) / len(without)
    rate_with = sum(one.emails_per_s for one in with_it) / len(with_it)
    return SendingCostFigures(
        recipients=recipients,
        emails_per_s_without=[round(one.emails_per_s, 1) for one in without],
        emails_per_s_with=[round(one.emails_per_s, 1) for one in with_it],
        cost=round(1 - rate_with / rate_without, 3),
        events_waiting=waiting,
        events_rolled_up=rolled_up,
        missing=sum(one.missing for one in runs),
        duplicates=sum(one.duplicates for one in runs),
    )


def _tell_of_everybody(url: str, recipients: int) -> int:
    """Store events about the issue that was sent; returns how many wait to be rolled up."""
    with connected(url) as connection:
        row = connection.execute("SELECT max(issue_id) FROM delivery.issue_run").fetchone()
        assert row is not None
        write_events(connection, int(row[0]), recipients, 3 * recipients)
        connection.execute("VACUUM (ANALYZE)")
    return _execute(url, _WAITING)


def _execute(url: str, *statements: str) -> int:
    """The number that the last statement answers, or 0."""
    with connected(url) as connection:
        found = 0
        for statement in statements:
            cursor = connection.execute(statement.encode())
            row = cursor.fetchone() if cursor.description else None
            found = int(row[0]) if row is not None else 0
        return found
