"""Webhooks out: their payloads, their targets, their retries."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from broadsheet_postmark_sandbox.events import webhooks
from broadsheet_postmark_sandbox.testing import SandboxDriver, running_sandbox_sync


class Receiver:
    """A server that keeps what is posted to it and answers with the statuses it is given, then 200."""

    def __init__(self, statuses: list[int]) -> None:
        self.events: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.authorizations.append(self.headers["Authorization"])
                status = statuses.pop(0) if statuses else 200
                receiver.events.append(json.loads(body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


@contextmanager
def hooked(*statuses: int, **settings: object) -> Iterator[tuple[SandboxDriver, Receiver]]:
    receiver = Receiver(list(statuses))
    chosen = {"webhook_urls": (receiver.url,), "webhook_retry_scale": 0.00001, **settings}
    with receiver.running(), running_sandbox_sync(**chosen) as running, SandboxDriver(running) as sandbox:
        yield sandbox, receiver


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def counts(sandbox: SandboxDriver) -> dict[str, int]:
    shown: dict[str, int] = sandbox.http.get("/_sandbox/webhooks").json()["counts"]
    return shown


COMMON = {"RecordType", "MessageStream", "ServerID", "MessageID", "Tag", "Metadata"}
BOUNCE = COMMON | {
    *("ID", "Type", "TypeCode", "Name", "Description", "Details", "Email", "From", "BouncedAt"),
    *("DumpAvailable", "Inactive", "CanActivate", "Subject"),
}
ENGAGEMENT = COMMON | {"Client", "OS", "Platform", "UserAgent", "Geo", "ReceivedAt", "Recipient"}


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("Delivery", COMMON | {"Recipient", "DeliveredAt", "Details"}),
        ("Bounce", BOUNCE),
        ("SpamComplaint", BOUNCE),
        ("Open", ENGAGEMENT | {"FirstOpen", "ReadSeconds"}),
        ("Click", ENGAGEMENT | {"ClickLocation", "OriginalLink"}),
        (
            "SubscriptionChange",
            COMMON | {"Recipient", "ChangedAt", "Origin", "SuppressSending", "SuppressionReason"},
        ),
    ],
)
def test_each_event_has_the_documented_fields(kind: str, keys: set[str]) -> None:
    with hooked(webhook_user="hook", webhook_password="secret") as (sandbox, receiver):
        sent = sandbox.send(Metadata={"delivery": "d1"}, Tag="t", MessageStream="broadcast").json()
        answer = sandbox.event(type=kind, message_id=sent["MessageID"])
        assert (answer["webhooks"], answer["queued"]) == (1, 1)
        until(lambda: len(receiver.events) == 1)
        event = receiver.events[0]
        assert event == answer["payload"]
        assert event.keys() == keys
        assert event["RecordType"] == kind
        assert event["MessageStream"] == "broadcast"
        assert event["MessageID"] == sent["MessageID"]
        assert event["Metadata"] == {"delivery": "d1"}
        assert receiver.authorizations == ["Basic " + base64.b64encode(b"hook:secret").decode()]
        until(lambda: counts(sandbox)["delivered"] == 1)


def test_an_unsubscribe_and_its_return_change_the_suppressions() -> None:
    with hooked() as (sandbox, receiver):
        sandbox.event(type="SubscriptionChange", recipient="ada@mail.example", stream="broadcast")
        assert sandbox.send(MessageStream="broadcast").json()["ErrorCode"] == 406
        sandbox.event(
            type="SubscriptionChange", recipient="ada@mail.example", stream="broadcast", suppress_sending=False
        )
        assert sandbox.send(MessageStream="broadcast").status_code == 200
        until(lambda: len(receiver.events) == 2)
        assert {(e["SuppressSending"], e["SuppressionReason"]) for e in receiver.events} == {
            (True, "ManualSuppression"),
            (False, None),
        }
        assert all(event["MessageID"] is None for event in receiver.events)


def test_changing_suppressions_by_the_api_is_told_too() -> None:
    with hooked() as (sandbox, receiver):
        sandbox.suppress("broadcast", "ada@mail.example")
        sandbox.suppress("broadcast", "ada@mail.example")
        until(lambda: len(receiver.events) == 1)
        assert (receiver.events[0]["Origin"], receiver.events[0]["Recipient"]) == ("Customer", "ada@mail.example")


def test_a_failed_delivery_is_tried_again_until_it_is_taken() -> None:
    with hooked(503, 500, 429, 408) as (sandbox, receiver):
        sandbox.send()
        sandbox.event(type="Delivery", recipient="ada@mail.example")
        until(lambda: counts(sandbox)["delivered"] == 1)
        assert len(receiver.events) == 5
        assert all(event == receiver.events[0] for event in receiver.events)
        tries = sandbox.http.get("/_sandbox/webhooks").json()["attempts"]
        assert [one["status"] for one in tries] == [503, 500, 429, 408, 200]


def test_after_six_tries_it_is_given_up() -> None:
    with hooked(*[503] * 10) as (sandbox, receiver):
        sandbox.send()
        sandbox.event(type="Delivery", recipient="ada@mail.example")
        until(lambda: counts(sandbox)["given_up"] == 1)
        assert len(receiver.events) == 6


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
def test_a_refusal_drops_it_at_once(status: int) -> None:
    with hooked(status) as (sandbox, receiver):
        sandbox.send()
        sandbox.event(type="Delivery", recipient="ada@mail.example")
        until(lambda: counts(sandbox)["refused"] == 1)
        assert len(receiver.events) == 1


def test_a_receiver_that_is_away_is_tried_again() -> None:
    with (
        running_sandbox_sync(webhook_urls=("http://127.0.0.1:9/",), webhook_retry_scale=0.0) as running,
        SandboxDriver(running) as sandbox,
    ):
        sandbox.send()
        sandbox.event(type="Delivery", recipient="ada@mail.example")
        until(lambda: counts(sandbox)["given_up"] == 1)
        tries = sandbox.http.get("/_sandbox/webhooks").json()["attempts"]
        assert [(one["status"], one["error"]) for one in tries] == [(None, "ConnectError")] * 6


def test_an_event_can_come_46_times_at_once_and_late() -> None:
    with hooked() as (sandbox, receiver):
        sandbox.send()
        sandbox.event(type="Bounce", recipient="ada@mail.example", repeat=46)
        until(lambda: counts(sandbox)["delivered"] == 46)
        assert len(receiver.events) == 46
        assert sandbox.http.get("/bounces?count=9&offset=0").json()["TotalCount"] == 1
        begin = time.monotonic()
        sandbox.event(type="Delivery", recipient="ada@mail.example", delay_s=0.1)
        until(lambda: len(receiver.events) == 47)
        assert time.monotonic() - begin >= 0.1


def test_more_webhooks_than_may_wait_are_refused_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "PENDING_MAX", 10)
    with hooked() as (sandbox, receiver):
        sandbox.send()
        event = {"type": "Bounce", "recipient": "ada@mail.example", "repeat": 11}
        assert sandbox.http.post("/_sandbox/events", json=event).status_code == 503
        assert sandbox.send().status_code == 200
        sandbox.event(type="Delivery", recipient="ada@mail.example", repeat=10)
        until(lambda: len(receiver.events) == 10)


def test_fields_can_be_changed_and_left_out_and_types_be_unknown() -> None:
    with hooked() as (sandbox, receiver):
        sandbox.send()
        sandbox.event(
            type="Bounce",
            recipient="ada@mail.example",
            bounce_type="Unsubscribe",
            omit=["Email"],
            set={"Extra": 1},
        )
        sandbox.event(type="Raw", payload={"RecordType": "SMTPApiError", "x": None})
        until(lambda: len(receiver.events) == 2)
        by_type = {event["RecordType"]: event for event in receiver.events}
        assert "Email" not in by_type["Bounce"]
        assert (by_type["Bounce"]["Extra"], by_type["Bounce"]["TypeCode"]) == (1, 16)
        assert by_type["SMTPApiError"] == {"RecordType": "SMTPApiError", "x": None}
        assert sandbox.send().status_code == 200


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ({"type": "Delivery"}, 404),
        ({"type": "Delivery", "message_id": "nope"}, 404),
        ({"type": "Delivery", "recipient": "nobody@mail.example"}, 404),
        ({"type": "Bounce", "recipient": "ada@mail.example", "bounce_type": "Rubber"}, 400),
        ({"type": "Raw"}, 400),
        ({"type": "Open", "recipient": "ada@mail.example", "payload": {}}, 400),
        ({"type": "Nope"}, 400),
        ({"type": "SubscriptionChange", "recipient": "nobody@mail.example", "stream": "nope"}, 400),
    ],
)
def test_a_bad_event_is_refused(sandbox: SandboxDriver, event: dict[str, object], status: int) -> None:
    sandbox.send()
    answer = sandbox.http.post("/_sandbox/events", json=event)
    assert answer.status_code == status, answer.text


def test_deliveries_can_be_told_by_themselves() -> None:
    with hooked(automatic_delivery=True) as (sandbox, receiver):
        sandbox.batch(
            sandbox.message(To="a@mail.example, b@mail.example"),
            sandbox.message(To="hardbounce@bounce-testing.postmarkapp.com"),
            sandbox.message(To="c@mail.example"),
        )
        until(lambda: len(receiver.events) == 4)
        assert {(event["RecordType"], event.get("Recipient")) for event in receiver.events} == {
            ("Delivery", "a@mail.example"),
            ("Delivery", "b@mail.example"),
            ("Delivery", "c@mail.example"),
            ("Bounce", None),
        }
        sandbox.settings(automatic_delivery=False, webhook_retry_scale=0)
        sandbox.send(To="d@mail.example")
        sandbox.settings(automatic_delivery=True, webhook_retry_scale=0)
        sandbox.send(To="e@mail.example")
        until(lambda: len(receiver.events) == 5)
        assert receiver.events[4]["Recipient"] == "e@mail.example"


def test_a_delivery_can_be_told_before_the_answer_to_its_sending() -> None:
    with hooked(automatic_delivery=True) as (sandbox, receiver):
        sandbox.faults({"kind": "latency", "latency_ms": 60_000, "accept_first": True})
        with pytest.raises(httpx.ReadTimeout):
            sandbox.http.post("/email", json=sandbox.message(Metadata={"delivery": "d1"}), timeout=0.3)
        until(lambda: len(receiver.events) == 1)
        assert receiver.events[0]["Metadata"] == {"delivery": "d1"}


def test_webhooks_are_configured_by_stream_and_trigger(sandbox: SandboxDriver) -> None:
    receiver = Receiver([])
    with receiver.running():
        made = sandbox.http.post(
            "/webhooks",
            json={
                "Url": receiver.url,
                "MessageStream": "broadcast",
                "HttpAuth": {"Username": "u", "Password": "p"},
                "HttpHeaders": [{"Name": "X-A", "Value": "b"}],
                "Triggers": {"Bounce": {"Enabled": True, "IncludeContent": True}},
            },
        ).json()
        assert made["Triggers"]["Bounce"] == {"Enabled": True, "IncludeContent": True}
        assert made["Triggers"]["Delivery"] == {"Enabled": False}
        sandbox.send(MessageStream="broadcast")
        sandbox.send(MessageStream="outbound")
        assert sandbox.event(type="Bounce", recipient="ada@mail.example", stream="outbound")["webhooks"] == 0
        assert sandbox.event(type="Delivery", recipient="ada@mail.example", stream="broadcast")["webhooks"] == 0
        assert sandbox.event(type="Bounce", recipient="ada@mail.example", stream="broadcast")["webhooks"] == 1
        until(lambda: len(receiver.events) == 1)
        changed = sandbox.http.put(f"/webhooks/{made['ID']}", json={"Triggers": {"Delivery": {"Enabled": True}}}).json()
        assert changed["Triggers"]["Bounce"]["Enabled"] is False
        assert [w["ID"] for w in sandbox.http.get("/webhooks?MessageStream=broadcast").json()["Webhooks"]] == [
            made["ID"]
        ]
        assert sandbox.http.get("/webhooks?messagestream=outbound").json() == {"Webhooks": []}
        assert sandbox.http.get(f"/webhooks/{made['ID']}").json() == changed
        assert sandbox.http.delete(f"/webhooks/{made['ID']}").json()["ErrorCode"] == 0
        assert sandbox.http.get(f"/webhooks/{made['ID']}").status_code == 404


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, 403),
        ({"Url": "ftp://x"}, 403),
        ({"Url": "http://x", "MessageStream": "nope"}, 1226),
        ({"Url": "http://x", "triggers": {}}, 403),
    ],
)
def test_a_bad_webhook_is_refused(sandbox: SandboxDriver, body: dict[str, object], code: int) -> None:
    answer = sandbox.http.post("/webhooks", json=body)
    assert (answer.status_code, answer.json()["ErrorCode"]) == (422, code)
