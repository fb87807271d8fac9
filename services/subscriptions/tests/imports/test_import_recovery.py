"""Imports whose process ends, whose lease goes to another, whose database goes away: each row counts once."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]
import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.address_hash import AddressHasher
from broadsheet_common.contracts.identity import IDENTITY_HEADER, Identity, IdentityMinter
from broadsheet_subscriptions.imports import store
from broadsheet_subscriptions.imports.import_options import parse_options
from broadsheet_subscriptions.imports.receive_file import receive_file
from broadsheet_subscriptions.imports.running import lease_store
from broadsheet_subscriptions.imports.running.run_import import LeaseLostError, run_import
from broadsheet_subscriptions.imports.steer_import import cancel_import
from broadsheet_subscriptions.imports.store import ImportRow
from broadsheet_subscriptions.imports.undo_import import undo_import
from harness.cluster import Database
from harness.importing import policy_of_import
from harness.keys import ERASURE_KEYS, SUBSCRIPTIONS_SECRETS, identity_keys, scopes
from harness.owner import Owner
from harness.ports import held_port
from harness.waiting import eventually

from ..conftest import engine_for

LEASE = timedelta(seconds=30)
BLOCK_BYTES = 4_000


def file_of(rows: int) -> str:
    """Every tenth row is bad, every seventh an address that came before."""
    lines = ["email,name,age"]
    for number in range(rows):
        if number % 10 == 3:
            lines.append(f"nobody-{number},Nobody,1")
        elif number % 7 == 6:
            lines.append(f"reader-{number - 1}@example.com,Again,2")
        else:
            lines.append(f"reader-{number}@example.com,Reader {number},{number % 90}")
    return "\n".join(lines) + "\n"


class Case:
    """One stored file, its job, and workers that come and go."""

    def __init__(self, engine: AsyncEngine, owner: Owner, import_id: int) -> None:
        self.engine = engine
        self.owner = owner
        self.import_id = import_id

    async def lease(self) -> tuple[ImportRow, uuid.UUID]:
        token = uuid.uuid4()
        async with self.engine.begin() as connection:
            job = await lease_store.lease_import(connection, token=token, lease=LEASE)
        assert job is not None
        return job, token

    async def run(self, job: ImportRow, token: uuid.UUID) -> None:
        hasher = AddressHasher.parse(ERASURE_KEYS.reveal())
        await run_import(
            self.engine, job, hasher=hasher, token=token, lease=LEASE, timeout_s=10, block_bytes=BLOCK_BYTES
        )

    async def cancel(self) -> None:
        async with self.engine.begin() as connection:
            await cancel_import(connection, self.import_id)

    @contextmanager
    def second_lane_held(self) -> Iterator[Callable[[], None]]:
        """A run stands still at the second lane until it is released."""
        with psycopg.connect(self.owner.owner_url) as connection:
            connection.execute("SELECT FROM subscriptions.import_lane WHERE lane = 1 FOR UPDATE")
            yield connection.rollback

    async def waits_for_a_lock(self, at_least: int) -> None:
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename <> current_user"
        await eventually(lambda: self.owner.rows(waiting)[0][0] >= at_least, what=f"{at_least} wait for a lock")

    def let_lease_run_out(self) -> None:
        self.owner.rows("UPDATE subscriptions.import_job SET lease_until = now() - interval '1 s'")

    async def found(self) -> ImportRow:
        async with self.engine.connect() as connection:
            job = await store.find_import(connection, self.import_id)
        assert job is not None
        return job

    def people(self) -> list[tuple[Any, ...]]:
        return self.owner.rows("SELECT email, name FROM subscriptions.subscriber ORDER BY email")


@pytest.fixture
async def case(database: Database) -> AsyncIterator[Case]:
    engine, owner = engine_for(database), Owner(database.owner_url)
    owner.rows("INSERT INTO subscriptions.attribute (name, type, label) VALUES ('age', 'number', 'Age')")
    options = parse_options(
        consent_basis="x", given_state="confirmed", existing="fill", added_tags=[], dry_run=False, mapping=None,
        attribute_names=[],
    )  # fmt: skip

    async def body() -> AsyncIterator[bytes]:
        yield file_of(2_000).encode()

    received = await receive_file(
        engine, body(), policy_of_import(), newsletter_id=None, created_by="test", options=options
    )
    async with engine.begin() as connection:
        await store.finish_upload(
            connection,
            import_id=received.import_id,
            file_format=received.file_format,
            encoding=received.encoding,
            file_bytes=received.file_bytes,
            file_sha256=received.file_sha256,
            failure=received.failure,
        )
    yield Case(engine, owner, received.import_id)
    await engine.dispose()


EXPECTED = store.Counts(created=1_573, rejected=200, duplicate=227)
"""Of 2,000 rows as `file_of` writes them, reckoned below."""


def test_the_expected_counts_are_those_of_the_file() -> None:
    rows = [line.split(",")[0] for line in file_of(2_000).splitlines()[1:]]
    good = [email for email in rows if "@" in email]
    assert (len(set(good)), len(rows) - len(good), len(good) - len(set(good))) == (1_573, 200, 227)


@pytest.mark.parametrize("seed", range(4))
async def test_a_run_that_is_cut_off_again_and_again_ends_with_the_counts_of_one_that_was_not(
    case: Case, seed: int
) -> None:
    chance = random.Random(seed)
    cut_off = 0
    for _ in range(40):
        job, token = await case.lease()
        running = asyncio.create_task(case.run(job, token))
        before = (await case.found()).counts.rows
        # Not after a time, which a busy machine would stretch, but after some rows more.
        more = chance.randint(1, 600)
        while not running.done():
            if (await case.found()).counts.rows >= before + more:
                break
        running.cancel()
        done = await asyncio.gather(running, return_exceptions=True)
        if done[0] is None:
            break
        cut_off += 1
        case.let_lease_run_out()
    found = await case.found()
    assert (found.status, found.counts) == ("done", EXPECTED)
    assert cut_off > 0
    assert len(case.people()) == EXPECTED.created
    assert case.owner.rows("SELECT count(*) FROM subscriptions.import_reject") == [(200,)]
    assert ("reader-5@example.com", "Reader 5") in case.people()


async def test_a_worker_whose_lease_went_to_another_stores_nothing_more(case: Case) -> None:
    job, token = await case.lease()
    with case.second_lane_held() as release:
        late = asyncio.create_task(case.run(job, token))
        await case.waits_for_a_lock(1)
        case.let_lease_run_out()
        leasing = asyncio.create_task(case.lease())
        await case.waits_for_a_lock(2)
        release()
        second_job, second_token = await leasing
    with pytest.raises(LeaseLostError):
        await late
    await case.run(second_job, second_token)
    found = await case.found()
    assert (found.status, found.counts) == ("done", EXPECTED)


async def test_a_cancelled_run_stops_between_batches_and_can_be_taken_back(case: Case) -> None:
    job, token = await case.lease()
    with case.second_lane_held() as release:
        running = asyncio.create_task(case.run(job, token))
        await case.waits_for_a_lock(1)
        await eventually(lambda: case.owner.rows("SELECT sum(row_count) FROM subscriptions.import_lane")[0][0] > 0)
        cancelling = asyncio.create_task(case.cancel())
        await case.waits_for_a_lock(2)
        release()
        await cancelling
    with pytest.raises(LeaseLostError):
        await running
    found = await case.found()
    assert found.status == "cancelled"
    assert 0 < found.counts.created == len(case.people()) < EXPECTED.created
    async with case.engine.begin() as connection:
        await store.begin_undo(connection, import_id=case.import_id)
    _, token = await case.lease()
    await undo_import(case.engine, case.import_id, token=token, lease=LEASE, batch_people=100)
    assert ((await case.found()).status, case.people()) == ("undone", [])


async def test_an_attribute_that_is_removed_in_the_middle_of_a_run_is_given_to_nobody_any_more(case: Case) -> None:
    job, token = await case.lease()
    with case.second_lane_held() as release:
        running = asyncio.create_task(case.run(job, token))
        await case.waits_for_a_lock(1)
        # Off the loop: it waits for a batch that holds the attribute, and the batch needs the loop.
        await asyncio.to_thread(case.owner.rows, "UPDATE subscriptions.attribute SET removed_at = now()")
        ((with_age,),) = case.owner.rows("SELECT count(*) FROM subscriptions.subscriber WHERE attributes <> '{}'")
        release()
        await running
    found = await case.found()
    assert (found.status, found.counts) == ("done", EXPECTED)
    ((now_with_age,),) = case.owner.rows("SELECT count(*) FROM subscriptions.subscriber WHERE attributes <> '{}'")
    # A batch of the first lane may have been on its way.
    assert now_with_age - with_age <= BLOCK_BYTES // 20
    assert now_with_age < EXPECTED.created / 2


async def test_a_run_goes_on_when_an_attribute_of_its_mapping_is_gone(case: Case) -> None:
    job, token = await case.lease()
    with case.second_lane_held():
        running = asyncio.create_task(case.run(job, token))
        await case.waits_for_a_lock(1)
        # Some other lock may be waited for before the run has come so far.
        await eventually(lambda: case.owner.rows("SELECT mapping FROM subscriptions.import_job")[0][0] is not None)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    case.owner.rows("DELETE FROM subscriptions.attribute")
    case.let_lease_run_out()
    job, token = await case.lease()
    assert job.mapping is not None
    await case.run(job, token)
    found = await case.found()
    assert (found.status, found.counts) == ("done", EXPECTED)


async def test_an_undo_that_is_cut_off_goes_on_where_it_stood(case: Case) -> None:
    job, token = await case.lease()
    await case.run(job, token)
    async with case.engine.begin() as connection:
        await store.begin_undo(connection, import_id=case.import_id)
    _, token = await case.lease()
    undoing = asyncio.create_task(undo_import(case.engine, case.import_id, token=token, lease=LEASE, batch_people=10))
    await eventually(lambda: case.owner.rows("SELECT undo_removed FROM subscriptions.import_job")[0][0] > 0)
    undoing.cancel()
    await asyncio.gather(undoing, return_exceptions=True)
    case.let_lease_run_out()
    _, token = await case.lease()
    await undo_import(case.engine, case.import_id, token=token, lease=LEASE, batch_people=300)
    found = await case.found()
    assert (found.status, found.undo_removed, found.undo_kept) == ("undone", EXPECTED.created, {})
    assert case.people() == []


@contextmanager
def service(database: Database) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A process of the service and its port."""
    with held_port() as port, running_on(port, database) as process:
        yield process, port


@contextmanager
def running_on(port: int, database: Database) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {
        "BIND_PORT": str(port),
        "DATABASE_URL": database.url_for("subscriptions"),
        "PUBLIC_URL": "https://news.example.com",
        **SUBSCRIPTIONS_SECRETS,
        "IDENTITY_PUBLIC_KEY": identity_keys()[1],
        "IMPORT_LEASE_S": "2",
        "DRAIN_NOTICE_S": "0",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "broadsheet_subscriptions"], env=environment, stdout=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def ready(port: int) -> None:
    async def answers() -> bool:
        try:
            async with httpx.AsyncClient() as client:
                return (await client.get(f"http://127.0.0.1:{port}/health/ready")).status_code == 200
        except httpx.TransportError:
            return False

    await eventually(answers, within_s=60, what="the service is ready")


@pytest.mark.process
async def test_another_process_finishes_what_one_that_was_killed_had_begun(database: Database) -> None:
    owner = Owner(database.owner_url)
    rows = 60_000
    headers = {
        IDENTITY_HEADER: IdentityMinter(identity_keys()[0]).mint(
            Identity("key:1", scopes("read", "write")), "subscriptions"
        ),
        "Content-Type": "text/csv",
    }
    with service(database) as (first, port):
        await ready(port)
        async with httpx.AsyncClient(headers=headers, timeout=60) as client:
            answer = await client.post(
                f"http://127.0.0.1:{port}/api/v1/imports",
                params={"consent_basis": "x", "state": "confirmed"},
                content=file_of(rows).encode(),
            )
        assert answer.status_code == 202
        await eventually(
            lambda: owner.rows("SELECT coalesce(sum(row_count), 0) FROM subscriptions.import_lane")[0][0] > 0,
            within_s=60,
        )
        readers = psutil.Process(first.pid).children(recursive=True)
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert owner.rows("SELECT status FROM subscriptions.import_job") == [("running",)]
    await eventually(lambda: not any(reader.is_running() for reader in readers), what="the reader is gone too")
    with service(database):
        await eventually(lambda: owner.rows("SELECT status FROM subscriptions.import_job") == [("done",)], within_s=120)
    lines = [line.split(",")[0] for line in file_of(rows).splitlines()[1:]]
    good = [email for email in lines if "@" in email]
    assert owner.rows(
        "SELECT sum(created_count), sum(rejected_count), sum(duplicate_count) FROM subscriptions.import_lane"
    ) == [(len(set(good)), rows - len(good), len(good) - len(set(good)))]
    assert owner.rows("SELECT count(*) FROM subscriptions.subscription WHERE state = 'confirmed'") == [
        (len(set(good)),)
    ]
    assert owner.rows("SELECT count(*) FROM subscriptions.import_reject") == [(rows - len(good),)]
