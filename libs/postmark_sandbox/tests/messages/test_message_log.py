"""The log: ids without an index, bodies on disk, and all of it forgotten at the end."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_postmark_sandbox.messages.blocks import CACHE_BYTES_MAX, BlockFile
from broadsheet_postmark_sandbox.messages.message_ids import SEQUENCE_MAX, MessageIds
from broadsheet_postmark_sandbox.messages.message_log import Entry, MessageLog
from broadsheet_postmark_sandbox.settings import SandboxSettings
from broadsheet_postmark_sandbox.state import Sandbox


@pytest.fixture
def log() -> Iterator[MessageLog]:
    made = MessageLog()
    yield made
    made.close()


def append(log: MessageLog, *recipients: tuple[str, ...], metadata: dict[str, str] | None = None) -> list[str]:
    slot = log.stream_slot("outbound", postmark_unsubscribe=False)
    body = msgspec.json.encode([{"To": ", ".join(people), "Metadata": metadata} for people in recipients])
    entries = [Entry(place, people, slot, metadata) for place, people in enumerate(recipients)]
    return log.append(body, entries).message_ids


@given(st.integers(1, SEQUENCE_MAX), st.integers(0, 2**20), st.integers(0, 2**128 - 1))
def test_an_id_gives_its_number_back(sequence: int, block: int, key: int) -> None:
    ids = MessageIds(key)
    made = ids.ids_of(range(sequence, sequence + 1), block)[0]
    assert ids.sequence_of(made) == sequence
    assert len(made) == 36
    assert made[14] == "4"


def test_ids_differ_between_messages_and_between_starts() -> None:
    assert len(set(MessageIds().ids_of(range(1, 100_001), 0))) == 100_000
    assert MessageIds().ids_of(range(1, 2), 0) != MessageIds().ids_of(range(1, 2), 0)


def test_a_guessed_id_is_not_found(log: MessageLog) -> None:
    made = append(log, ("a@x.example",), ("b@x.example",))
    assert [log.find(one) is not None for one in made] == [True, True]
    assert log.find(made[0][:-1] + ("0" if made[0][-1] != "0" else "1")) is None
    assert log.find(MessageIds(log.ids.key).ids_of(range(3, 4), 0)[0]) is None


def test_messages_of_a_recipient_are_chained_across_to_cc_and_bcc(log: MessageLog) -> None:
    append(log, ("a@x.example",), ("b@x.example", "a@x.example"))
    append(log, ("a@x.example",))
    append(log, ("c@x.example",))
    assert log.of_recipient("A@x.example") == [1, 2, 3]
    assert log.of_recipient("b@x.example") == [2]
    assert log.of_recipient("d@x.example") == []
    assert log.of_recipients_containing("X.ex", 2) == [1, 2, 3]
    assert list(log.repeated_recipients()) == [("a@x.example", 3)]
    assert log.read(2).recipients == ("b@x.example", "a@x.example")


def test_metadata_is_found_from_any_place_on(log: MessageLog) -> None:
    append(log, *[("a@x.example",)] * 5, metadata={"Issue": "12", "other": "1"})
    append(log, ("a@x.example",), metadata={"issue": "13"})
    append(log, *[("a@x.example",)] * 2, metadata={"ISSUE": "12"})
    assert list(log.of_metadata("issue", "12")) == [1, 2, 3, 4, 5, 7, 8]
    assert list(log.of_metadata("Issue", "12", after=4)) == [5, 7, 8]
    assert list(log.of_metadata("issue", "14")) == []


def test_a_cleared_log_starts_again(log: MessageLog) -> None:
    before = append(log, ("a@x.example",), metadata={"k": "v"})
    log.clear()
    assert (len(log), log.recipient_count, log.bytes_on_disk) == (0, 0, 0)
    assert log.of_recipient("a@x.example") == list(log.of_metadata("k", "v")) == []
    after = append(log, ("b@x.example",))
    assert log.find(before[0]) is None
    found = log.find(after[0])
    assert found is not None
    assert (found.sequence, found.recipients) == (1, ("b@x.example",))


def test_blocks_are_read_back_whatever_the_cache_forgot(tmp_path: Path) -> None:
    file = BlockFile(tmp_path)
    size = CACHE_BYTES_MAX // 3
    for number in range(6):
        assert file.append(msgspec.json.encode([str(number) * size, number])) == number
    for number in (0, 5, 3, 1, 0):
        first, second = file.items(number)
        assert msgspec.json.decode(first) == str(number) * size
        assert msgspec.json.decode(second) == number
    assert file.bytes_on_disk < size
    file.close()


def test_the_file_has_no_name_so_that_nothing_can_stay_behind(tmp_path: Path) -> None:
    sandbox = Sandbox(SandboxSettings(data_dir=tmp_path / "made"))
    append(sandbox.log, ("a@x.example",))
    assert sandbox.log.bytes_on_disk > 0
    assert list((tmp_path / "made").iterdir()) == []
    sandbox.close()


def test_a_block_that_the_disk_did_not_take_leaves_the_others_readable(
    log: MessageLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    append(log, ("a@x.example",))
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="No space"):
            append(log, ("b@x.example",))
    assert len(log) == 1
    append(log, ("c@x.example",))
    assert [log.read(n).recipients for n in (1, 2)] == [("a@x.example",), ("c@x.example",)]
