"""The chain of the audit log over a real Postgres: made by the database, checked by the gateway."""

import asyncio
from collections.abc import Callable
from itertools import pairwise

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import Actor, record_audit
from broadsheet_gateway.audit import store
from broadsheet_gateway.audit.chain_end import Head
from broadsheet_gateway.audit.entry import START_HASH, hash_of, text_of
from broadsheet_gateway.audit.verify_chain import Broken, Intact, verify_chain
from harness.cluster import Database

Forge = Callable[..., None]
"""What somebody with all rights over the database does, and no service can."""

SOMEBODY = Actor("key:7", "user:3", "203.0.113.9")


async def record(log_engine: AsyncEngine, count: int = 1, *, first_target: int = 1) -> None:
    for target in range(first_target, first_target + count):
        async with log_engine.begin() as connection:
            await record_audit(
                connection,
                SOMEBODY,
                "issue.changed",
                target,
                newsletter_id=1,
                before={"version": 1},
                after={"version": 2, "changed": ["content", "title"]},
            )


async def seal(log_engine: AsyncEngine, *, entries_max: int = 500) -> int:
    async with log_engine.begin() as connection:
        return await store.seal(connection, entries_max=entries_max)


async def test_entries_are_numbered_without_gaps_and_chained_in_their_order(log_engine: AsyncEngine) -> None:
    await record(log_engine, 3)
    assert await seal(log_engine, entries_max=2) == 2
    assert await seal(log_engine) == 1
    assert await seal(log_engine) == 0
    async with log_engine.connect() as connection:
        entries = await store.list_after(connection, 0, limit=10)
        end = await store.read_head(connection)
    assert [one.number for one in entries] == [1, 2, 3]
    assert [one.target_id for one in entries] == ["1", "2", "3"]
    assert entries[0].previous_hash == START_HASH
    for before, after in pairwise(entries):
        assert after.previous_hash == before.hash
    assert end == Head(3, entries[2].hash)


async def test_the_gateway_makes_the_same_text_and_hash_of_an_entry_as_the_database(log_engine: AsyncEngine) -> None:
    async with log_engine.begin() as connection:
        # With and without each field that may be null, and with every kind of value.
        await record_audit(connection, Actor.stranger(None), "user.sign_in_refused", None)
        await record_audit(connection, Actor.stranger("2001:db8::1"), "user.sign_in_refused", 5, after={"reason": "x"})
        await record_audit(
            connection,
            SOMEBODY,
            "senders.limited",
            None,
            newsletter_id=9,
            before={"messages_per_s_max": 0.5, "concurrent_calls_max": None},
            after={"messages_per_s_max": 17000.25, "concurrent_calls_max": 8},
        )
    assert await seal(log_engine) == 3
    async with log_engine.connect() as connection:
        entries = await store.list_after(connection, 0, limit=10)
    assert len(entries) == 3
    for one in entries:
        assert hash_of(one, previous_hash=one.previous_hash) == one.hash, text_of(one)
    lines = text_of(entries[2]).splitlines()
    assert lines[2:] == [
        "service=gateway",
        "action=senders.limited",
        "actor=key:7",
        "person=user:3",
        "source=203.0.113.9",
        "target_kind=senders",
        "newsletter_id=9",
        'before={"messages_per_s_max": 0.5, "concurrent_calls_max": null}',
        'after={"messages_per_s_max": 17000.25, "concurrent_calls_max": 8}',
        f"trace_id={entries[2].trace_id}",
    ]


async def test_an_entry_of_an_open_transaction_holds_nobody_up_and_is_chained_after_its_commit(
    log_engine: AsyncEngine,
) -> None:
    async with log_engine.begin() as slow:
        await record_audit(slow, SOMEBODY, "layout.created", 1)
        await record(log_engine, first_target=2)
        assert await seal(log_engine) == 1
    assert await seal(log_engine) == 1
    async with log_engine.connect() as connection:
        entries = await store.list_after(connection, 0, limit=10)
    assert [(one.number, one.target_id) for one in entries] == [(1, "2"), (2, "1")]
    assert isinstance(await verify_chain(log_engine), Intact)


async def test_a_change_that_is_rolled_back_leaves_no_entry(log_engine: AsyncEngine) -> None:
    async def fail() -> None:
        async with log_engine.begin() as connection:
            await record_audit(connection, SOMEBODY, "layout.created", 1)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await seal(log_engine) == 0


async def test_processes_that_chain_at_once_make_one_chain(log_engine: AsyncEngine) -> None:
    await record(log_engine, 40)
    while sum(await asyncio.gather(*(seal(log_engine, entries_max=3) for _ in range(4)))):
        pass
    assert await verify_chain(log_engine) == Intact(40, (await head(log_engine)), 0)


async def head(log_engine: AsyncEngine) -> Head:
    async with log_engine.connect() as connection:
        found = await store.read_head(connection)
    assert found is not None
    return found


async def test_an_empty_log_is_intact(log_engine: AsyncEngine) -> None:
    assert await verify_chain(log_engine) == Intact(0, Head(0, START_HASH), 0)


@pytest.fixture
async def chained(log_engine: AsyncEngine) -> Head:
    """Ten entries, in a chain."""
    await record(log_engine, 10)
    assert await seal(log_engine) == 10
    return await head(log_engine)


async def test_a_whole_chain_is_verified_from_its_start_or_from_an_entry_on(
    log_engine: AsyncEngine, chained: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broadsheet_gateway.audit.verify_chain.PAGE_ENTRIES", 3)
    await record(log_engine)
    assert await verify_chain(log_engine) == Intact(10, chained, 1)
    assert await verify_chain(log_engine, from_number=8) == Intact(3, chained, 1)
    assert await verify_chain(log_engine, known=chained) == Intact(10, chained, 1)


ALTERED = {
    "actor": "UPDATE audit.entry SET actor = 'user:1' WHERE number = 4",
    "person": "UPDATE audit.entry SET person = 'user:1' WHERE number = 4",
    "time": "UPDATE audit.entry SET at = at + interval '1 microsecond' WHERE number = 4",
    "source": "UPDATE audit.entry SET source = NULL WHERE number = 4",
    "target": "UPDATE audit.entry SET target_id = '44' WHERE number = 4",
    "before": "UPDATE audit.entry SET before = NULL WHERE number = 4",
    "after": """UPDATE audit.entry SET after = '{"version": 3}' WHERE number = 4""",
    "hash": "UPDATE audit.entry SET hash = sha256('x') WHERE number = 4",
}


@pytest.mark.parametrize("what", ALTERED)
async def test_an_altered_entry_is_found(forge: Forge, log_engine: AsyncEngine, chained: Head, what: str) -> None:
    forge(ALTERED[what])
    assert await verify_chain(log_engine) == Broken(4, "the entry was altered: its hash is another")


async def test_an_altered_entry_whose_hash_was_made_anew_breaks_the_chain_after_it(
    forge: Forge, log_engine: AsyncEngine, chained: Head
) -> None:
    forge("UPDATE audit.entry SET actor = 'user:1' WHERE number = 4")
    async with log_engine.connect() as connection:
        [forged] = await store.list_after(connection, 3, limit=1)
    made_anew = hash_of(forged, previous_hash=forged.previous_hash).hex()
    forge(f"UPDATE audit.entry SET hash = decode('{made_anew}', 'hex') WHERE number = 4")
    assert await verify_chain(log_engine) == Broken(5, "the entry is not chained to the one before it")


async def test_a_removed_entry_is_found(forge: Forge, log_engine: AsyncEngine, chained: Head) -> None:
    forge("DELETE FROM audit.entry WHERE number = 4")
    assert await verify_chain(log_engine) == Broken(4, "the entry is missing; the next one is 5")
    assert await verify_chain(log_engine, from_number=5) == Broken(
        4, "the entry is missing: there is nothing to begin after"
    )


async def test_entries_that_change_places_are_found(forge: Forge, log_engine: AsyncEngine, chained: Head) -> None:
    forge("UPDATE audit.entry SET number = 99 WHERE number = 4")
    forge("UPDATE audit.entry SET number = 4 WHERE number = 5")
    forge("UPDATE audit.entry SET number = 5 WHERE number = 99")
    assert await verify_chain(log_engine) == Broken(4, "the entry is not chained to the one before it")


async def test_an_end_that_was_cut_off_is_found(forge: Forge, log_engine: AsyncEngine, chained: Head) -> None:
    forge("DELETE FROM audit.entry WHERE number > 8")
    assert await verify_chain(log_engine) == Broken(
        9, "the entry is missing: the record of the chain's end names entry 10"
    )


async def test_an_end_that_was_cut_off_with_its_record_is_found_by_a_hash_that_was_kept(
    forge: Forge, log_engine: AsyncEngine, chained: Head
) -> None:
    forge("DELETE FROM audit.entry WHERE number > 8")
    forge("UPDATE audit.head SET (number, hash) = (SELECT number, hash FROM audit.entry WHERE number = 8)")
    assert isinstance(await verify_chain(log_engine), Intact)
    assert await verify_chain(log_engine, known=chained) == Broken(
        9, "the entry is missing: the known hash names entry 10"
    )


async def test_a_chain_that_was_made_anew_as_a_whole_is_found_by_a_hash_that_was_kept(
    forge: Forge, log_engine: AsyncEngine, chained: Head
) -> None:
    forge("DELETE FROM audit.entry")
    forge("UPDATE audit.head SET number = 0, hash = decode(repeat('00', 32), 'hex')")
    await record(log_engine, 10)
    await seal(log_engine)
    assert isinstance(await verify_chain(log_engine), Intact)
    assert await verify_chain(log_engine, known=chained) == Broken(
        10, "the entry's hash is not the known one: the chain was made anew"
    )


async def test_a_missing_record_of_the_end_is_a_fault(forge: Forge, log_engine: AsyncEngine, chained: Head) -> None:
    forge("DELETE FROM audit.head")
    assert await verify_chain(log_engine) == Broken(0, "the record of the chain's end is missing")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit.entry SET actor = 'user:1'",
        "DELETE FROM audit.entry",
        "TRUNCATE audit.entry",
        "UPDATE audit.waiting SET actor = 'user:1'",
        "TRUNCATE audit.waiting",
        "DELETE FROM audit.head",
        "TRUNCATE audit.head",
    ],
)
def test_not_even_the_owner_changes_or_removes_entries_by_mistake(log_database: Database, statement: str) -> None:
    with (
        psycopg.connect(log_database.owner_url) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"),
    ):
        connection.execute(statement.encode())
