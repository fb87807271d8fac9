"""Streams, their unsubscribe handling and their suppressions."""

import pytest

from broadsheet_postmark_sandbox.testing import SandboxDriver

OWN_HEADERS = [
    {"Name": "List-Unsubscribe", "Value": "<https://own.example/u>"},
    {"Name": "List-Unsubscribe-Post", "Value": "List-Unsubscribe=One-Click"},
    {"Name": "X-Kept", "Value": "yes"},
]


def test_a_server_has_three_streams(sandbox: SandboxDriver) -> None:
    shown = sandbox.http.get("/message-streams").json()
    assert shown["TotalCount"] == 3
    assert {s["ID"]: s["MessageStreamType"] for s in shown["MessageStreams"]} == {
        "outbound": "Transactional",
        "broadcast": "Broadcasts",
        "inbound": "Inbound",
    }
    only = sandbox.http.get("/message-streams?messagestreamtype=broadcasts").json()
    assert [s["ID"] for s in only["MessageStreams"]] == ["broadcast"]
    one = sandbox.http.get("/message-streams/broadcast/").json()
    assert one["SubscriptionManagementConfiguration"] == {"UnsubscribeHandlingType": "Custom"}


def test_an_unknown_stream_is_1226(sandbox: SandboxDriver) -> None:
    for path in ("/message-streams/nope", "/message-streams/nope/suppressions/dump"):
        answer = sandbox.http.get(path)
        assert (answer.status_code, answer.json()["ErrorCode"]) == (422, 1226)


def test_with_custom_handling_the_senders_headers_stay(sandbox: SandboxDriver) -> None:
    sandbox.send(MessageStream="broadcast", Headers=OWN_HEADERS, HtmlBody="<body>Hi</body>")
    message = sandbox.accepted()[0]["message"]
    assert message["Headers"] == OWN_HEADERS
    assert message["HtmlBody"] == "<body>Hi</body>"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<body>Hi</body>", "Hi"),
        ("<p>{{{ pm:unsubscribe }}}</p>", "Bye: {{{pm:unsubscribe}}}"),
        ('<a href="{{{ pm:unsubscribe_url }}}">Bye</a>', "Bye: {{{ pm:unsubscribe_url }}}"),
    ],
)
def test_with_postmarks_handling_its_link_and_headers_replace_the_senders(
    sandbox: SandboxDriver, html: str, text: str
) -> None:
    sandbox.settings(unsubscribe_handling={"broadcast": "Postmark"})
    sent = sandbox.send(MessageStream="broadcast", Headers=OWN_HEADERS, HtmlBody=html, TextBody=text).json()
    link = f"https://unsubscribe.postmarkapp.com/sandbox/{sent['MessageID']}"
    message = sandbox.accepted()[0]["message"]
    headers = {header["Name"]: header["Value"] for header in message["Headers"]}
    assert headers == {
        "X-Kept": "yes",
        "List-Unsubscribe": f"<{link}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    assert message["HtmlBody"].count(link) == message["TextBody"].count(link) == 1
    assert "pm:unsubscribe" not in message["HtmlBody"] + message["TextBody"]
    details = sandbox.http.get(f"/messages/outbound/{sent['MessageID']}/details").json()
    assert link in details["HtmlBody"]
    assert f"List-Unsubscribe: <{link}>" in details["Body"]


def test_handling_is_that_of_the_moment_of_acceptance(sandbox: SandboxDriver) -> None:
    sandbox.send(MessageStream="broadcast", Headers=OWN_HEADERS)
    sandbox.settings(unsubscribe_handling={"broadcast": "Postmark"})
    assert sandbox.accepted()[0]["message"]["Headers"] == OWN_HEADERS


def test_streams_can_be_made_changed_and_archived(sandbox: SandboxDriver) -> None:
    made = sandbox.http.post(
        "/message-streams", json={"ID": "weekly", "Name": "Weekly", "MessageStreamType": "Broadcasts"}
    ).json()
    assert made["SubscriptionManagementConfiguration"]["UnsubscribeHandlingType"] == "Postmark"
    assert sandbox.send(MessageStream="weekly").status_code == 200
    changed = sandbox.http.patch(
        "/message-streams/weekly",
        json={"SubscriptionManagementConfiguration": {"UnsubscribeHandlingType": "Custom"}},
    ).json()
    assert changed["SubscriptionManagementConfiguration"]["UnsubscribeHandlingType"] == "Custom"
    sandbox.http.post("/message-streams/weekly/archive", json={}).raise_for_status()
    assert sandbox.send(MessageStream="weekly").json()["ErrorCode"] == 1235
    sandbox.http.post("/message-streams/weekly/unarchive", json={}).raise_for_status()
    assert sandbox.send(MessageStream="weekly").status_code == 200


def test_suppressions_are_dumped_with_reason_and_origin(sandbox: SandboxDriver) -> None:
    sandbox.suppress("broadcast", "Ada@mail.example", "bob@mail.example")
    sandbox.send(MessageStream="broadcast", To="cleo@mail.example")
    sandbox.event(type="SpamComplaint", recipient="cleo@mail.example", stream="broadcast")
    rows = sandbox.http.get("/message-streams/broadcast/suppressions/dump").json()["Suppressions"]
    assert [(r["EmailAddress"], r["SuppressionReason"], r["Origin"]) for r in rows] == [
        ("ada@mail.example", "ManualSuppression", "Customer"),
        ("bob@mail.example", "ManualSuppression", "Customer"),
        ("cleo@mail.example", "SpamComplaint", "Recipient"),
    ]
    for query in ("SuppressionReason=SpamComplaint", "origin=recipient", "EmailAddress=CLEO@mail.example"):
        found = sandbox.http.get(f"/message-streams/broadcast/suppressions/dump?{query}").json()
        assert [row["EmailAddress"] for row in found["Suppressions"]] == ["cleo@mail.example"]
    assert sandbox.http.get("/message-streams/outbound/suppressions/dump").json() == {"Suppressions": []}


def test_a_complaint_cannot_be_deleted(sandbox: SandboxDriver) -> None:
    sandbox.suppress("broadcast", "ada@mail.example")
    sandbox.send(MessageStream="broadcast", To="cleo@mail.example")
    sandbox.event(type="SpamComplaint", recipient="cleo@mail.example", stream="broadcast")
    body = {"Suppressions": [{"EmailAddress": f"{who}@mail.example"} for who in ("ada", "cleo", "zoe")]}
    rows = sandbox.http.post("/message-streams/broadcast/suppressions/delete", json=body).json()["Suppressions"]
    assert [row["Status"] for row in rows] == ["Deleted", "Failed", "Deleted"]
    assert sandbox.send(MessageStream="broadcast", To="cleo@mail.example").json()["ErrorCode"] == 406
    assert sandbox.send(MessageStream="broadcast", To="ada@mail.example").status_code == 200


def test_an_opt_out_by_the_recipient_cannot_be_deleted_and_a_bounce_can(sandbox: SandboxDriver) -> None:
    left = {"type": "SubscriptionChange", "stream": "broadcast", "suppress_sending": True, "about_message": False}
    sandbox.event(**left, recipient="ada@mail.example", suppression_reason="ManualSuppression", origin="Recipient")
    sandbox.event(**left, recipient="bob@mail.example", suppression_reason="HardBounce", origin="Recipient")
    body = {"Suppressions": [{"EmailAddress": f"{who}@mail.example"} for who in ("ada", "bob")]}
    rows = sandbox.http.post("/message-streams/broadcast/suppressions/delete", json=body).json()["Suppressions"]
    assert [row["Status"] for row in rows] == ["Failed", "Deleted"]
    assert sandbox.send(MessageStream="broadcast", To="ada@mail.example").json()["ErrorCode"] == 406
    assert sandbox.send(MessageStream="broadcast", To="bob@mail.example").status_code == 200


def test_fifty_suppressions_at_a_time(sandbox: SandboxDriver) -> None:
    body = {"Suppressions": [{"EmailAddress": f"r{i}@mail.example"} for i in range(51)]}
    assert sandbox.http.post("/message-streams/broadcast/suppressions", json=body).status_code == 422
    bad = {"Suppressions": [{"EmailAddress": "x"}]}
    rows = sandbox.http.post("/message-streams/broadcast/suppressions", json=bad).json()["Suppressions"]
    assert (rows[0]["Status"], rows[0]["Message"]) == ("Failed", "An invalid email address was provided.")
