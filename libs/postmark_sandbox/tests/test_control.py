"""The control API: the log in order and in pages, the counts, the settings."""

import pytest

from broadsheet_postmark_sandbox.testing import SandboxDriver


def send_two_issues(sandbox: SandboxDriver) -> None:
    for issue in ("1", "2"):
        sandbox.batch(
            *(
                sandbox.message(To=f"r{i}@mail.example", Metadata={"issue": issue}, MessageStream="broadcast")
                for i in range(10)
            )
        )
    sandbox.send(To="r3@mail.example", Metadata={"issue": "2", "kind": "again"}, MessageStream="broadcast")
    sandbox.send(To="r4@mail.example", Metadata={"Issue": "3"})


def test_pages_run_through_the_log_in_the_order_of_acceptance(sandbox: SandboxDriver) -> None:
    send_two_issues(sandbox)
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        page = sandbox.http.get("/_sandbox/messages", params={"after": after, "limit": 5}).json()
        seen += [row["sequence"] for row in page["messages"]]
        after = page["next_after"]
        assert page["total"] == 22
    assert seen == list(range(1, 23))


def test_a_page_that_ends_with_the_log_is_the_last(sandbox: SandboxDriver) -> None:
    send_two_issues(sandbox)
    page = sandbox.http.get("/_sandbox/messages", params={"limit": 22}).json()
    assert (len(page["messages"]), page["next_after"]) == (22, None)


def test_filters_combine(sandbox: SandboxDriver) -> None:
    send_two_issues(sandbox)
    assert [row["sequence"] for row in sandbox.accepted(recipient="R3@mail.example")] == [4, 14, 21]
    assert [row["sequence"] for row in sandbox.accepted(recipient="r3@mail.example", metadata_issue="2")] == [14, 21]
    assert [row["sequence"] for row in sandbox.accepted(metadata_issue="2", metadata_kind="again")] == [21]
    assert [row["sequence"] for row in sandbox.accepted(stream="outbound")] == [22]
    assert [row["sequence"] for row in sandbox.accepted(metadata_issue="2", after=18, limit=2)] == [19, 20]
    assert sandbox.accepted(metadata_issue="9") == []


def test_an_unknown_filter_is_refused(sandbox: SandboxDriver) -> None:
    answer = sandbox.http.get("/_sandbox/messages?recipients=a@mail.example")
    assert answer.status_code == 400
    assert "recipients" in answer.json()["title"]


def test_bodies_can_stay_out(sandbox: SandboxDriver) -> None:
    sandbox.send(Attachments=[{"Name": "a.txt", "Content": "aGk=", "ContentType": "text/plain"}])
    message = sandbox.accepted(bodies="false")[0]["message"]
    assert message == {
        "From": "News <news@news.example>",
        "To": "ada@mail.example",
        "Subject": "Hello",
        "Attachments": [{"Name": "a.txt"}],
    }


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "after=-1", "limit=10001&bodies=false", "after=x"])
def test_a_bad_page_is_refused(sandbox: SandboxDriver, query: str) -> None:
    answer = sandbox.http.get(f"/_sandbox/messages?{query}")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_summary_counts_recipients_and_names_those_with_more_than_one(sandbox: SandboxDriver) -> None:
    send_two_issues(sandbox)
    whole = sandbox.http.get("/_sandbox/summary").json()
    assert (whole["messages"], whole["recipients"], whole["repeated"]) == (22, 10, 10)
    assert {"recipient": "r3@mail.example", "messages": 3} in whole["duplicates"]
    second = sandbox.http.get("/_sandbox/summary?metadata_issue=2").json()
    assert second == {
        "messages": 11,
        "recipients": 10,
        "repeated": 1,
        "duplicates": [{"recipient": "r3@mail.example", "messages": 2}],
    }
    bounded = sandbox.http.get("/_sandbox/summary?duplicates_limit=2").json()
    assert (bounded["repeated"], len(bounded["duplicates"])) == (10, 2)
    assert sandbox.http.get("/_sandbox/summary?stream=outbound").json()["messages"] == 1


def test_a_second_recipient_of_one_message_counts(sandbox: SandboxDriver) -> None:
    sandbox.send(To="a@mail.example, b@mail.example", Metadata={"k": "v"})
    for path in ("/_sandbox/summary", "/_sandbox/summary?metadata_k=v"):
        shown = sandbox.http.get(path).json()
        assert (shown["messages"], shown["recipients"], shown["duplicates"]) == (1, 2, [])


def test_forgetting_the_messages_starts_again_and_keeps_suppressions(sandbox: SandboxDriver) -> None:
    sandbox.suppress("outbound", "gone@mail.example")
    sandbox.send()
    assert sandbox.http.delete("/_sandbox/messages").json() == {"forgotten": 1}
    assert sandbox.accepted() == []
    assert sandbox.http.get("/_sandbox/summary").json()["recipients"] == 0
    assert sandbox.search()["TotalCount"] == 0
    sandbox.send()
    assert [row["sequence"] for row in sandbox.accepted()] == [1]
    assert sandbox.send(To="gone@mail.example").json()["ErrorCode"] == 406


def test_a_reset_forgets_everything(sandbox: SandboxDriver) -> None:
    sandbox.suppress("outbound", "gone@mail.example")
    sandbox.settings(latency_ms=1, unsubscribe_handling={"broadcast": "Postmark"})
    sandbox.faults({"kind": "drop_before", "match": {"path": "/nowhere"}})
    sandbox.http.post("/_sandbox/reset").raise_for_status()
    assert sandbox.send(To="gone@mail.example").status_code == 200
    shown = sandbox.http.get("/_sandbox/settings").json()
    assert shown["latency_ms"] == 0
    assert shown["unsubscribe_handling"] == {"outbound": "None", "broadcast": "Custom", "inbound": "None"}
    assert sandbox.http.get("/_sandbox/faults").json()["rules"] == []


@pytest.mark.parametrize(
    "values",
    [{"unsubscribe_handling": {"nope": "Custom"}}, {"unsubscribe_handling": {"broadcast": "Mine"}}, {"latency": 5}],
)
def test_bad_settings_are_refused(sandbox: SandboxDriver, values: dict[str, object]) -> None:
    assert sandbox.http.put("/_sandbox/settings", json=values).status_code == 400


def test_health_shows_the_size_of_the_log(sandbox: SandboxDriver) -> None:
    sandbox.send()
    shown = sandbox.http.get("/_sandbox/health").json()
    assert (shown["status"], shown["messages"]) == ("ok", 1)
    assert shown["bytes_on_disk"] > 0
