"""Uses of keys: counted in the process, written by day and source, and bounded."""

import asyncio

import pytest

from broadsheet_gateway.api_keys import key_uses
from broadsheet_gateway.api_keys.key_uses import KeyUses
from broadsheet_gateway.api_keys.store import OTHER_SOURCES, SOURCES_A_DAY_MAX

from ..conftest import Gateway


async def _key_id(gateway: Gateway) -> int:
    await gateway.add_api_key("read")
    [(key_id,)] = gateway.sql("SELECT id FROM gateway.api_key")
    assert isinstance(key_id, int)
    return key_id


def _written(gateway: Gateway) -> dict[str, int]:
    return dict(gateway.sql("SELECT source, requests FROM gateway.api_key_use WHERE day = current_date"))


async def test_uses_add_up_over_rounds_and_note_when_the_key_was_last_used(gateway: Gateway) -> None:
    key_id = await _key_id(gateway)
    uses = KeyUses(gateway.engine)
    await uses.write()
    assert _written(gateway) == {}
    for source in ("198.51.100.1", "198.51.100.2", "198.51.100.1"):
        uses.note(key_id, source)
    await uses.write()
    uses.note(key_id, "198.51.100.1")
    await uses.write()
    assert _written(gateway) == {"198.51.100.1": 3, "198.51.100.2": 1}
    [(is_noted,)] = gateway.sql("SELECT last_used_at > now() - interval '1 hour' FROM gateway.api_key")
    assert is_noted is True


async def test_yesterdays_row_is_another_days(gateway: Gateway) -> None:
    key_id = await _key_id(gateway)
    uses = KeyUses(gateway.engine)
    uses.note(key_id, "198.51.100.1")
    await uses.write()
    gateway.sql("UPDATE gateway.api_key_use SET day = current_date - 1")
    uses.note(key_id, "198.51.100.1")
    await uses.write()
    assert gateway.sql("SELECT current_date - day, requests FROM gateway.api_key_use ORDER BY day") == [(1, 1), (0, 1)]


async def test_uses_of_a_key_that_is_gone_are_dropped_and_the_others_are_written(gateway: Gateway) -> None:
    key_id = await _key_id(gateway)
    uses = KeyUses(gateway.engine)
    uses.note(key_id + 1000, "198.51.100.1")
    uses.note(key_id, "198.51.100.2")
    await uses.write()
    assert _written(gateway) == {"198.51.100.2": 1}


async def test_a_key_that_is_used_from_everywhere_has_a_bounded_number_of_rows(gateway: Gateway) -> None:
    key_id = await _key_id(gateway)
    uses = KeyUses(gateway.engine)
    for _ in range(2):
        for number in range(SOURCES_A_DAY_MAX + 50):
            uses.note(key_id, f"198.51.{number // 250}.{number % 250}")
        await uses.write()
    written = _written(gateway)
    assert len(written) == SOURCES_A_DAY_MAX + 1
    assert written[OTHER_SOURCES] == 2 * 50
    assert sum(written.values()) == 2 * (SOURCES_A_DAY_MAX + 50)


async def test_what_the_process_holds_is_bounded_and_nothing_is_lost_while_the_database_is_away(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_id = await _key_id(gateway)
    monkeypatch.setattr(key_uses, "ENTRIES_MAX", 3)
    uses = KeyUses(gateway.engine)
    for number in range(5):
        uses.note(key_id, f"198.51.100.{number}")

    async def refuse(*_: object) -> None:
        await asyncio.sleep(0)
        raise ConnectionRefusedError

    with monkeypatch.context() as away:
        away.setattr(key_uses, "record_uses", refuse)
        with pytest.raises(ConnectionRefusedError):
            await uses.write()
    uses.note(key_id, "198.51.100.0")
    await uses.write()
    written = _written(gateway)
    assert sum(written.values()) == 6
    assert set(written) == {"198.51.100.0", "198.51.100.1", "198.51.100.2", OTHER_SOURCES}


async def test_old_uses_are_removed(gateway: Gateway) -> None:
    key_id = await _key_id(gateway)
    gateway.sql(
        "INSERT INTO gateway.api_key_use SELECT %s, current_date - days, 'somewhere', 1, now()"
        " FROM unnest(ARRAY[0, 400, 401]) AS days",
        key_id,
    )
    await KeyUses(gateway.engine).write()
    assert gateway.sql("SELECT current_date - day FROM gateway.api_key_use ORDER BY 1") == [(0,), (400,)]
