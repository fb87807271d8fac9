"""What an entry of the audit log may say, whoever adds it."""

import string
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_common.contracts.audit import (
    AUDIT_ACTIONS,
    BY_SCHEDULE,
    FIELDS,
    Actor,
    AuditAction,
    Detail,
    changes,
    moment,
    record_audit,
)
from broadsheet_common.contracts.identity import Identity


class Connection:
    """Keeps what would be executed."""

    def __init__(self) -> None:
        self.parameters: list[dict[str, Any]] = []

    async def execute(self, _statement: object, parameters: dict[str, Any]) -> None:
        self.parameters.append(parameters)


async def recorded(
    by: Identity | Actor = BY_SCHEDULE,
    action: AuditAction = "issue.published",
    target_id: int | str | None = 1,
    **said: Any,
) -> dict[str, Any]:
    connection = Connection()
    await record_audit(connection, by, action, target_id, **said)  # type: ignore[arg-type]  # all that it uses
    [parameters] = connection.parameters
    return parameters


def test_every_action_has_a_kind_whose_fields_are_listed() -> None:
    assert {action.partition(".")[0] for action in AUDIT_ACTIONS} == FIELDS.keys()


async def test_an_entry_names_the_key_its_user_and_the_address_of_the_request() -> None:
    identity = Identity("key:7", frozenset(), user="user:3", source="203.0.113.9")
    said = await recorded(identity)
    assert (said["actor"], said["person"], said["source"]) == ("key:7", "user:3", "203.0.113.9")
    assert (said["target_kind"], said["target_id"]) == ("issue", "1")
    assert len(said["trace_id"]) == 32


async def test_what_happens_by_itself_is_put_down_to_the_schedule() -> None:
    said = await recorded(BY_SCHEDULE)
    assert (said["actor"], said["person"], said["source"]) == ("schedule", "schedule", None)


@pytest.mark.parametrize("name", ["email", "subject", "title", "content", "secret", "name"])
async def test_a_field_that_is_not_listed_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        await recorded(after={name: 1})


@pytest.mark.parametrize(
    "value",
    [
        "reader@example.com",
        "Dear reader",
        "",
        "Zoë",
        "x" * 65,
        "line\nfeed",
        ["reader@example.com"],
        ["ok", "two words"],
    ],
)
async def test_a_text_that_is_no_word_of_the_code_is_refused_and_not_repeated(value: Detail) -> None:
    with pytest.raises(ValueError, match="takes words for status") as refusal:
        await recorded(after={"status": value})
    assert "example" not in str(refusal.value)


@pytest.mark.parametrize("target", ["reader@example.com", "", "a b", "x" * 65])
async def test_a_target_is_an_id(target: str) -> None:
    with pytest.raises(ValueError, match="no id"):
        await recorded(target_id=target)


_WORDS = st.text(string.ascii_lowercase + string.digits + "_", min_size=1, max_size=10)


@given(st.lists(_WORDS, min_size=101, max_size=300))
async def test_a_long_list_is_cut_and_says_so(names: list[str]) -> None:
    said = await recorded(after={"changed": names})
    assert said["after"] == {"changed": [*names[:99], "and_more"]}


def test_a_change_shows_the_values_of_listed_fields_and_the_names_of_all_others() -> None:
    before = {"track_opens": True, "name": "Old", "layout_id": None, "same": 1}
    after = {"track_opens": False, "name": "New", "layout_id": 3, "same": 1}
    assert changes(before, after, shown={"track_opens", "layout_id", "same"}) == (
        {"track_opens": True, "layout_id": None},
        {"track_opens": False, "layout_id": 3, "changed": ["name"]},
    )
    assert changes(before, dict(before), shown={"name"}) is None


def test_a_change_shows_moments_and_lists_in_one_spelling() -> None:
    at = datetime(2026, 10, 25, 8, 0, tzinfo=UTC)
    assert moment(at) == "2026-10-25T08:00:00+00:00"
    assert changes({"at": None, "ids": None}, {"at": at, "ids": frozenset({3, 1})}, shown={"at", "ids"}) == (
        {"at": None, "ids": None},
        {"at": moment(at), "ids": [1, 3]},
    )
    with pytest.raises(ValueError, match="dict"):
        changes({"filter": None}, {"filter": {"all": []}}, shown={"filter"})
