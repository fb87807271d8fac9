"""A fault of ours is a 5xx that tells nothing of itself, to the caller or in the log, and loses nothing."""

import httpx
import pytest
from litestar import Litestar

from harness.system import System

READER = "reader@example.com"
BREAKS = [
    ("subscriptions.subscriber", "id", "GET", "/api/v1/subscribers"),
    ("publishing.issue", "title", "GET", "/api/v1/issues"),
    ("delivery.sending_state", "pause_reason", "GET", "/api/v1/senders"),
]


@pytest.mark.parametrize(("table", "column", "method", "path"), BREAKS)
async def test_an_unexpected_fault_is_a_500_without_its_text(
    system: System, table: str, column: str, method: str, path: str
) -> None:
    await system.run_sql(f"ALTER TABLE {table} RENAME COLUMN {column} TO unreadable_column")
    try:
        answer = await system.api.request(method, path)
    finally:
        await system.run_sql(f"ALTER TABLE {table} RENAME COLUMN unreadable_column TO {column}")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.json() == {
        "type": "urn:broadsheet:problem:internal",
        "title": "Something went wrong on our side",
        "status": 500,
        "instance": path,
    }
    assert (await system.api.request(method, path)).status_code == 200


async def test_a_sign_up_during_a_fault_is_a_5xx_and_the_next_one_succeeds(system: System) -> None:
    await system.run_sql("ALTER TABLE delivery.single_mail RENAME COLUMN subject TO unreadable_column")
    try:
        answer = await system.subscribe(READER)
        assert answer.status_code >= 500
        assert "unreadable_column" not in answer.text
        for table in ("subscriptions.subscriber", "subscriptions.subscription", "subscriptions.confirmation_token"):
            assert system.seed.count(table) == 0
    finally:
        await system.run_sql("ALTER TABLE delivery.single_mail RENAME COLUMN unreadable_column TO subject")
    await system.confirmed_subscriber(READER)


async def test_a_publish_during_a_fault_leaves_nothing_and_its_key_works_afterwards(system: System) -> None:
    system.seed.subscribers(1)
    await system.log_in()
    await system.run_sql("ALTER TABLE delivery.issue_run RENAME COLUMN traceparent TO unreadable_column")
    try:
        assert (await system.publish_by_form(idempotency_key="key-1")).status_code >= 500
        for table in ("publishing.issue", "publishing.fan_out", "publishing.idempotency_key"):
            assert system.seed.count(table) == 0
    finally:
        await system.run_sql("ALTER TABLE delivery.issue_run RENAME COLUMN unreadable_column TO traceparent")
    assert (await system.publish_by_form(idempotency_key="key-1")).status_code == 303
    await system.deliver_all_pending()
    assert len(system.newsletter_mails()) == 1


async def test_the_log_of_a_fault_holds_no_address(system: System, capfd: pytest.CaptureFixture[str]) -> None:
    await system.run_sql("ALTER TABLE subscriptions.subscriber RENAME COLUMN name TO unreadable_column")
    try:
        await system.subscribe(READER)
    finally:
        await system.run_sql("ALTER TABLE subscriptions.subscriber RENAME COLUMN unreadable_column TO name")
    logged = "".join(capfd.readouterr())
    assert "http.unexpected_error" in logged
    assert READER not in logged


@pytest.mark.parametrize("service", ["subscriptions", "publishing", "delivery"])
async def test_a_service_that_is_down_is_a_503_that_says_to_come_back(system: System, service: str) -> None:
    path = {"subscriptions": "/api/v1/subscribers", "publishing": "/api/v1/issues", "delivery": "/api/v1/senders"}
    upstream = _transport(system.apps["gateway"], service)
    app = upstream.app

    async def refuse(*_: object) -> None:
        raise httpx.ConnectError("refused")

    upstream.app = refuse
    upstream.raise_app_exceptions = True
    try:
        answer = await system.api.get(path[service])
    finally:
        upstream.app = app
        upstream.raise_app_exceptions = False
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert int(answer.headers["retry-after"]) > 0


def _transport(gateway: Litestar, service: str) -> httpx.ASGITransport:
    upstreams = gateway.dependencies["upstreams"].dependency()  # type: ignore[union-attr]  # a ready object
    carried = upstreams._transports[service]
    assert isinstance(carried.inner, httpx.ASGITransport)
    return carried.inner
