"""What the two senders we compare with have in common: their database, their processes, and how they are measured.

They run on the same Postgres server and send to the same sandbox as the services, in a database of their own.
"""

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

import msgspec
import psycopg

from broadsheet_local.bench.compared.comparison_lock import START_LOCK
from broadsheet_local.bench.compared.sender_settings import SETTINGS_VARIABLE, SenderSettings
from broadsheet_local.bench.inputs.issue_body import BenchIssue
from broadsheet_local.bench.measuring.database import connected
from broadsheet_local.bench.measuring.oracle import NEWSLETTER_STREAM, Oracle
from broadsheet_local.bench.measuring.processes import ProcessMeter, ProcessUse
from broadsheet_local.demo.progress import Phase
from broadsheet_local.environment import inherited
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.child import STAGE_SERVICE, Child, ProcessSpec
from broadsheet_local.supervision.concurrency import in_thread
from broadsheet_local.supervision.guardian import Guardian
from broadsheet_local.system import LocalSystem

SenderKind = Literal["plain", "original"]

DATABASE = "bench"
READY_TIMEOUT_S = 60.0
POLL_S = 0.1

SCHEMA = """
CREATE TABLE issue (title text NOT NULL, html_content text NOT NULL, text_content text NOT NULL);
CREATE TABLE ready (pid integer PRIMARY KEY);
CREATE TABLE recipient (id integer PRIMARY KEY, email text NOT NULL, name text NOT NULL);
-- The plain pipeline's claim: the number of the next 500.
CREATE SEQUENCE next_batch MINVALUE 0;
CREATE TABLE sent (id integer PRIMARY KEY, message_id uuid NOT NULL);
-- The original's queue.
CREATE TABLE issue_delivery_queue (issue_id integer NOT NULL, subscriber_email text NOT NULL,
                                   PRIMARY KEY (issue_id, subscriber_email));
"""


class ComparisonRun(msgspec.Struct, frozen=True):
    """Seconds from the release of the ready processes to the sandbox's last acceptance."""

    processes: int
    mails: int
    seconds: float
    uses: dict[str, ProcessUse]

    @property
    def emails_per_s(self) -> float:
        return self.mails / self.seconds


class Comparison:
    """The compared senders on one system. Call `prepare` once."""

    def __init__(self, system: LocalSystem, oracle: Oracle, issue: BenchIssue) -> None:
        self._system = system
        self._oracle = oracle
        self._issue = issue

    async def prepare(self) -> None:
        await in_thread(self._make_database)

    async def run(self, kind: SenderKind, *, processes: int, calls: int, mails: int, phase: Phase) -> ComparisonRun:
        """Let `processes` senders send to `mails` recipients, with `calls` calls under way in each.

        Raises LaunchError when one of them fails, or when nothing moves for too long.
        """
        await in_thread(lambda: self._fill(mails))
        await self._oracle.forget()
        guardian = Guardian()
        guardian.start()
        senders: list[Child] = []
        try:
            senders += [
                Child(self._spec(kind, number, calls=calls, mails=mails), guardian)
                for number in range(1, processes + 1)
            ]
            with self._start_gate() as gate:
                await self._wait_ready(senders)
                used = self._system.process_ids() | {sender.name: sender.pid for sender in senders}
                async with ProcessMeter(used) as meter:
                    went_epoch_s = time.time()
                    await in_thread(gate.close)
                    await self._wait_accepted(senders, mails, phase)
            _, last_epoch_s = await self._oracle.first_and_last(NEWSLETTER_STREAM)
            summary = await self._oracle.summary(NEWSLETTER_STREAM)
            if summary.recipients != mails or summary.duplicates:
                raise LaunchError(
                    f"the {kind} senders reached {summary.recipients} of {mails}, so this measures nothing"
                )
            await in_thread(lambda: _wait_ended(senders))
        finally:
            await in_thread(lambda: _end(senders, guardian))
        return ComparisonRun(processes, mails, last_epoch_s - went_epoch_s, meter.uses)

    @property
    def _database_url(self) -> str:
        return urlunsplit(urlsplit(self._system.database_url)._replace(path=f"/{DATABASE}"))

    def _make_database(self) -> None:
        with connected(self._system.database_url) as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}")
        with connected(self._database_url) as connection:
            connection.execute(SCHEMA)
            connection.execute(
                "INSERT INTO issue VALUES (%s, %s, %s)", (self._issue.title, self._issue.html, self._issue.text)
            )

    def _fill(self, mails: int) -> None:
        with connected(self._database_url) as connection:
            connection.execute("TRUNCATE ready, recipient, sent, issue_delivery_queue")
            connection.execute("ALTER SEQUENCE next_batch RESTART")
            connection.execute(
                "INSERT INTO recipient SELECT n, format('reader-%%s@example.com', lpad(n::text, 7, '0')),"
                " 'Reader ' || n FROM generate_series(1, %s::integer) AS n",
                (mails,),
            )
            connection.execute("INSERT INTO issue_delivery_queue SELECT 1, email FROM recipient")
            connection.execute("VACUUM ANALYZE recipient, issue_delivery_queue")

    def _start_gate(self) -> psycopg.Connection:
        """A session with the lock that ready senders wait for; closing it starts them all at once."""
        gate = psycopg.connect(self._database_url, autocommit=True)
        gate.execute("SELECT pg_advisory_lock(%s)", (START_LOCK,))
        return gate

    async def _wait_ready(self, senders: Sequence[Child]) -> None:
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        while await in_thread(self._ready_count) < len(senders):
            _check(senders)
            if time.monotonic() > deadline_s:
                raise LaunchError(f"the senders were not ready within {READY_TIMEOUT_S:.0f} s")
            await asyncio.sleep(POLL_S)

    def _ready_count(self) -> int:
        with connected(self._database_url) as connection:
            row = connection.execute("SELECT count(*) FROM ready").fetchone()
        assert row is not None
        return int(row[0])

    async def _wait_accepted(self, senders: Sequence[Child], mails: int, phase: Phase) -> None:
        while (accepted := await self._oracle.accepted_count()) < mails:
            phase.update(accepted, waiting_for="mails in the sandbox")
            _check(senders)
            await asyncio.sleep(POLL_S)
        phase.update(accepted, waiting_for="mails in the sandbox")

    def _spec(self, kind: SenderKind, number: int, *, calls: int, mails: int) -> ProcessSpec:
        sandbox_url = self._system.addresses.sandbox_url
        assert sandbox_url is not None
        settings = SenderSettings(
            database_url=self._database_url,
            sandbox_url=sandbox_url,
            sandbox_token=self._system.credentials.sandbox_token,
            public_url=self._system.addresses.public_url,
            calls=calls,
            mails=mails,
        )
        name = f"{kind}-{number}"
        return ProcessSpec(
            name=name,
            command=[sys.executable, "-P", "-m", f"broadsheet_local.bench.compared.{kind}_sender"],
            environment=inherited(os.environ) | {SETTINGS_VARIABLE: msgspec.json.encode(settings).decode()},
            log_path=self._system.folder.log_path(name),
            folder=self._system.folder.root,
            stage=STAGE_SERVICE,
        )


ENDING_TIMEOUT_S = 30.0


def _check(senders: Sequence[Child]) -> None:
    for sender in senders:
        if sender.exit_code() not in {None, 0}:
            raise LaunchError(f"{sender.name} {sender.describe_end()}", log_path=sender.spec.log_path)


def _wait_ended(senders: Sequence[Child]) -> None:
    """They end by themselves when nothing is left to send."""
    for sender in senders:
        if not sender.wait(ENDING_TIMEOUT_S):
            raise LaunchError(f"{sender.name} did not end after its last mail", log_path=sender.spec.log_path)
    _check(senders)


def _end(senders: Sequence[Child], guardian: Guardian) -> None:
    for sender in senders:
        sender.kill()
    guardian.close()
