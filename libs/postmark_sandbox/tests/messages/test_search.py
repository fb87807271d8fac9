"""The message search: Postmark's rules for queries, and its results against a plain filter of everything."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadsheet_postmark_sandbox.api.wire import Message
from broadsheet_postmark_sandbox.faults.inject_faults import Decision
from broadsheet_postmark_sandbox.messages.accept_messages import take
from broadsheet_postmark_sandbox.messages.search_messages import parse_query, search_messages
from broadsheet_postmark_sandbox.settings import SandboxSettings
from broadsheet_postmark_sandbox.state import Sandbox
from broadsheet_postmark_sandbox.testing import SandboxDriver


def test_the_stream_defaults_to_outbound(sandbox: SandboxDriver) -> None:
    sandbox.send(To="a@mail.example")
    sandbox.send(To="b@mail.example", MessageStream="broadcast")
    assert [row["Recipients"] for row in sandbox.search()["Messages"]] == [["a@mail.example"]]
    assert [row["Recipients"] for row in sandbox.search(messagestream="broadcast")["Messages"]] == [["b@mail.example"]]


def test_a_row_carries_what_the_documentation_says(sandbox: SandboxDriver) -> None:
    sent = sandbox.send(
        To='"Ada, VP" <Ada@mail.example>',
        Cc="bob@mail.example",
        Metadata={"attempt": "7"},
        Tag="welcome",
        TrackOpens=True,
        Attachments=[{"Name": "a.txt", "Content": "aGk=", "ContentType": "text/plain"}],
    ).json()
    row = sandbox.search()["Messages"][0]
    assert row.pop("ReceivedAt")[-6:] in {"-05:00", "-04:00"}
    assert row == {
        "MessageID": sent["MessageID"],
        "MessageStream": "outbound",
        "To": [{"Email": "Ada@mail.example", "Name": "Ada, VP"}],
        "Cc": [{"Email": "bob@mail.example", "Name": None}],
        "Bcc": [],
        "Recipients": ["ada@mail.example", "bob@mail.example"],
        "From": "News <news@news.example>",
        "Subject": "Hello",
        "Tag": "welcome",
        "Attachments": ["a.txt"],
        "Status": "Sent",
        "TrackOpens": True,
        "TrackLinks": "None",
        "Metadata": {"attempt": "7"},
        "Sandboxed": False,
    }


def test_keys_are_compared_without_case_and_a_trailing_slash_is_fine(sandbox: SandboxDriver) -> None:
    sandbox.send(Metadata={"Attempt": "7"}, MessageStream="broadcast")
    answer = sandbox.http.get("/messages/outbound/?COUNT=1&Offset=0&MessageStream=broadcast&Metadata_ATTEMPT=7")
    assert answer.json()["TotalCount"] == 1


def test_one_search_finds_a_whole_batch_by_its_attempt(sandbox: SandboxDriver) -> None:
    for attempt in ("1", "2"):
        sandbox.batch(
            *(
                sandbox.message(To=f"r{i}@mail.example", Metadata={"attempt": attempt, "delivery": f"{attempt}-{i}"})
                for i in range(500)
            )
        )
    found = sandbox.search(metadata_attempt="2", count=500)
    assert found["TotalCount"] == 500
    assert [row["Metadata"]["delivery"] for row in found["Messages"]] == [f"2-{i}" for i in reversed(range(500))]
    assert sandbox.search(metadata_delivery="1-77")["Messages"][0]["Recipients"] == ["r77@mail.example"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", 700),
        ("count=1", 700),
        ("offset=0", 700),
        ("count=x&offset=0", 700),
        ("count=501&offset=0", 700),
        ("count=-1&offset=0", 700),
        ("count=500&offset=9501", 700),
        ("count=1&offset=0&status=lost", 700),
        ("count=1&offset=0&metadata_a=1&metadata_b=2", 700),
        ("count=1&offset=0&recipients=a@mail.example", 700),
        ("count=1&offset=0&fromdate=yesterday", 700),
        ("count=1&offset=0&messagestream=nope", 1226),
    ],
)
def test_a_query_that_postmark_refuses_is_refused(sandbox: SandboxDriver, query: str, code: int) -> None:
    answer = sandbox.http.get(f"/messages/outbound?{query}")
    assert (answer.status_code, answer.json()["ErrorCode"]) == (422, code)


def test_the_window_ends_at_10000(sandbox: SandboxDriver) -> None:
    assert sandbox.http.get("/messages/outbound?count=500&offset=9500").status_code == 200


def test_dates_are_in_eastern_time(sandbox: SandboxDriver) -> None:
    sandbox.send()
    day = sandbox.search()["Messages"][0]["ReceivedAt"][:10]
    assert sandbox.search(fromdate=day, todate=day)["TotalCount"] == 1
    assert sandbox.search(todate="2001-01-01")["TotalCount"] == 0
    assert sandbox.search(fromdate="2999-01-01T00:00:00")["TotalCount"] == 0


def test_details_carry_the_bodies_and_the_events(sandbox: SandboxDriver) -> None:
    sent = sandbox.send(Headers=[{"Name": "X-Mark", "Value": "yes"}]).json()["MessageID"]
    sandbox.event(type="Delivery", message_id=sent)
    details = sandbox.http.get(f"/messages/outbound/{sent.upper()}/details").json()
    assert details["HtmlBody"] == "<p>Hello</p>"
    assert details["TextBody"] == "Hello"
    assert "X-Mark: yes" in details["Body"]
    assert [event["Type"] for event in details["MessageEvents"]] == ["Delivered"]
    dump = sandbox.http.get(f"/messages/outbound/{sent}/dump").json()
    assert dump == {"Body": details["Body"]}


@pytest.mark.parametrize("message_id", ["nope", "00000000-0000-4000-a000-000000000000"])
@pytest.mark.parametrize("what", ["details", "dump"])
def test_an_unknown_message_is_701(sandbox: SandboxDriver, message_id: str, what: str) -> None:
    sandbox.send()
    answer = sandbox.http.get(f"/messages/outbound/{message_id}/{what}")
    assert answer.status_code == 422
    assert answer.json() == {"ErrorCode": 701, "Message": "This message was not found."}


def test_stored_bodies_are_cut_at_one_megabyte(sandbox: SandboxDriver) -> None:
    sent = sandbox.send(TextBody="\u00e9" * 600_000).json()["MessageID"]
    details = sandbox.http.get(f"/messages/outbound/{sent}/details").json()
    assert len(details["TextBody"].encode()) == 1024 * 1024
    assert len(sandbox.accepted()[0]["message"]["TextBody"]) == 600_000


PEOPLE = [f"{name}@mail.example" for name in ("ada", "bob", "cleo")]
MESSAGES = st.fixed_dictionaries(
    {
        "From": st.sampled_from(["news@news.example", "Desk <desk@news.example>"]),
        "To": st.sampled_from(PEOPLE),
        "TextBody": st.just("x"),
        "MessageStream": st.sampled_from(["outbound", "broadcast"]),
    },
    optional={
        "Cc": st.sampled_from(PEOPLE),
        "Subject": st.sampled_from(["Hello", "hello again", "Bye"]),
        "Tag": st.sampled_from(["a", "b"]),
        "Metadata": st.dictionaries(st.sampled_from(["attempt", "Issue"]), st.sampled_from(["1", "2"])),
    },
)
QUERIES = st.fixed_dictionaries(
    {
        "count": st.integers(0, 6).map(str),
        "offset": st.integers(0, 6).map(str),
        "messagestream": st.sampled_from(["outbound", "broadcast"]),
    },
    optional={
        "recipient": st.sampled_from([*PEOPLE, "ADA@mail.example", "nobody@mail.example"]),
        "fromemail": st.sampled_from(["news@news.example", "desk@news.example"]),
        "subject": st.sampled_from(["hello", "Bye"]),
        "tag": st.sampled_from(["a", "b"]),
        "status": st.sampled_from(["sent", "queued", "processed"]),
    },
)
METADATA = st.one_of(
    st.none(), st.tuples(st.sampled_from(["metadata_attempt", "metadata_issue"]), st.sampled_from(["1", "2"]))
)


def plain_filter(messages: list[dict[str, Any]], query: dict[str, str]) -> list[int]:
    """The places of the messages that a search must find, newest first, by the documentation's words."""

    def fits(message: dict[str, Any]) -> bool:
        people = {message["To"], message.get("Cc")}
        metadata = {f"metadata_{k.lower()}": v for k, v in message.get("Metadata", {}).items()}
        wanted_metadata = {k: v for k, v in query.items() if k.startswith("metadata_")}
        return (
            message["MessageStream"] == query["messagestream"]
            and query.get("recipient", message["To"]).lower() in people
            and query.get("fromemail", message["From"]) in message["From"]
            and query.get("subject", "").lower() in message.get("Subject", "").lower()
            and query.get("tag", message.get("Tag")) == message.get("Tag")
            and query.get("status") != "queued"
            and all(metadata.get(k) == v for k, v in wanted_metadata.items())
        )

    return [place for place in reversed(range(len(messages))) if fits(messages[place])]


@settings(max_examples=150, deadline=None)
@given(batches=st.lists(st.lists(MESSAGES, min_size=1, max_size=6), max_size=5), query=QUERIES, metadata=METADATA)
def test_a_search_finds_exactly_what_a_plain_filter_finds(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[list[dict[str, Any]]],
    query: dict[str, str],
    metadata: tuple[str, str] | None,
) -> None:
    whole_query = query | (dict([metadata]) if metadata else {})
    found, ids = asyncio.run(_search(tmp_path_factory.mktemp("log"), batches, whole_query))
    expected = [ids[place] for place in plain_filter([m for b in batches for m in b], whole_query)]
    count, offset = int(query["count"]), int(query["offset"])
    assert found["TotalCount"] == len(expected)
    assert [row["MessageID"] for row in found["Messages"]] == expected[offset : offset + count]


async def _search(
    folder: Path, batches: list[list[dict[str, Any]]], query: dict[str, str]
) -> tuple[dict[str, Any], list[str]]:
    sandbox = Sandbox(SandboxSettings(data_dir=folder))
    try:
        ids: list[str] = []
        for batch in batches:
            body = msgspec.json.encode(batch)
            messages = msgspec.json.decode(body, type=list[Message])
            items = take(sandbox, memoryview(body), messages, Decision(), test=False)
            ids += [item.message_id for item in items if hasattr(item, "message_id")]
        return await search_messages(sandbox, parse_query(query.items())), ids
    finally:
        sandbox.close()
