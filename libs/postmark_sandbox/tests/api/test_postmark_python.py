"""Conformance: Postmark's official Python client sends to the sandbox and reads back."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from postmark import ServerClient
from postmark.exceptions import (
    InactiveRecipientException,
    InvalidAPIKeyException,
    RateLimitException,
    ServerException,
    TimeoutException,
    ValidationException,
)
from postmark.models.bounces import BounceType
from postmark.models.outbound import Email
from postmark.models.streams import MessageStreamType, UnsubscribeHandlingType

from broadsheet_postmark_sandbox.testing import SandboxDriver

MAIL = {
    "sender": "news@news.example",
    "to": "ada@mail.example",
    "subject": "Hello",
    "html_body": "<p>Hi</p>",
    "text_body": "Hi",
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def postmark(sandbox: SandboxDriver) -> AsyncIterator[ServerClient]:
    async with ServerClient(sandbox.running.token, base_url=sandbox.running.base_url, retries=0, timeout=60) as client:
        yield client


async def test_one_mail_is_sent_and_read_back(postmark: ServerClient) -> None:
    sent = await postmark.outbound.send(
        {
            **MAIL,
            "tag": "welcome",
            "metadata": {"issue": "12"},
            "message_stream": "broadcast",
            "headers": [{"Name": "X-Mark", "Value": "yes"}],
        }
    )
    assert sent.success
    page = await postmark.outbound.list(message_stream="broadcast", metadata={"issue": "12"})
    assert (page.total, [mail.message_id for mail in page.items]) == (1, [sent.message_id])
    assert page.items[0].received_at.timestamp() == pytest.approx(sent.submitted_at.timestamp(), abs=2)
    details = await postmark.outbound.get(sent.message_id)
    assert (details.html_body, details.text_body, details.tag) == ("<p>Hi</p>", "Hi", "welcome")
    assert "X-Mark: yes" in (await postmark.outbound.get_dump(sent.message_id)).body
    assert (await postmark.outbound.list()).total == 0


async def test_a_batch_is_sent_and_streamed_back(postmark: ServerClient, sandbox: SandboxDriver) -> None:
    mails: list[Email | dict[str, Any]] = [
        {**MAIL, "to": f"r{i}@mail.example", "metadata": {"attempt": "7"}} for i in range(500)
    ]
    answers = await postmark.outbound.send_batch(mails)
    assert len({one.message_id for one in answers}) == 500
    found = [mail async for mail in postmark.outbound.stream(batch_size=200, metadata={"attempt": "7"})]
    assert [mail.message_id for mail in found] == [one.message_id for one in reversed(answers)]
    assert len(sandbox.accepted()) == 500


async def test_errors_become_the_clients_exceptions(postmark: ServerClient, sandbox: SandboxDriver) -> None:
    sandbox.suppress("outbound", "gone@mail.example")
    with pytest.raises(InactiveRecipientException) as gone:
        await postmark.outbound.send({**MAIL, "to": "gone@mail.example"})
    assert gone.value.inactive_recipients == ["gone@mail.example"]
    with pytest.raises(ValidationException) as bad:
        await postmark.outbound.send({**MAIL, "subject": "a\nb"})
    assert (bad.value.error_code, bad.value.http_status) == (300, 422)
    async with ServerClient("wrong", base_url=sandbox.running.base_url, retries=0) as wrong:
        with pytest.raises(InvalidAPIKeyException):
            await wrong.server.get()
    for rule, expected in (
        ({"kind": "rate_limit"}, RateLimitException),
        ({"kind": "status", "status": 500, "error_code": 101}, ServerException),
    ):
        sandbox.faults(rule)
        with pytest.raises(expected):
            await postmark.outbound.send(MAIL)


async def test_its_default_retries_make_several_mails_of_one_slow_answer(sandbox: SandboxDriver) -> None:
    """Why Broadsheet does not send with it."""
    sandbox.faults({"kind": "latency", "latency_ms": 60_000, "accept_first": True, "count": 1})
    async with ServerClient(
        sandbox.running.token, base_url=sandbox.running.base_url, retries=1, timeout=0.2
    ) as impatient:
        # A slow machine may lose the second answer too; the mails are what counts.
        with contextlib.suppress(TimeoutException):
            await impatient.outbound.send(MAIL)
    assert len(sandbox.accepted()) == 2


async def test_streams_and_their_handling(postmark: ServerClient) -> None:
    page = await postmark.stream.list(message_stream_type=MessageStreamType.BROADCASTS)
    assert [stream.id for stream in page.items] == ["broadcast"]
    changed = await postmark.stream.edit("broadcast", unsubscribe_handling_type=UnsubscribeHandlingType.POSTMARK)
    handling = changed.subscription_management_configuration.unsubscribe_handling_type
    assert handling is UnsubscribeHandlingType.POSTMARK
    made = await postmark.stream.create("weekly", "Weekly", MessageStreamType.BROADCASTS)
    assert (await postmark.stream.get(made.id)).name == "Weekly"
    assert (await postmark.stream.archive("weekly")).id == "weekly"
    assert (await postmark.stream.unarchive("weekly")).archived_at is None


async def test_suppressions(postmark: ServerClient) -> None:
    made = await postmark.suppressions.create("broadcast", ["ada@mail.example", "x"])
    assert [one.status for one in made] == ["Suppressed", "Failed"]
    assert [one.email_address for one in await postmark.suppressions.dump("broadcast")] == ["ada@mail.example"]
    gone = await postmark.suppressions.delete("broadcast", ["ada@mail.example"])
    assert [one.status for one in gone] == ["Deleted"]
    assert await postmark.suppressions.dump("broadcast") == []


async def test_bounces(postmark: ServerClient, sandbox: SandboxDriver) -> None:
    sandbox.send(To="softbounce@bounce-testing.postmarkapp.com")
    page = await postmark.bounces.list(type=BounceType.SOFT_BOUNCE, inactive=False)
    assert [bounce.type_code for bounce in page.items] == [4096]
    assert (await postmark.bounces.get(page.items[0].id)).email == "softbounce@bounce-testing.postmarkapp.com"
    assert (await postmark.bounces.activate(page.items[0].id)).message == "OK"


async def test_server_webhooks_and_statistics(postmark: ServerClient, sandbox: SandboxDriver) -> None:
    assert (await postmark.server.get()).api_tokens == [sandbox.running.token]
    made = await postmark.webhooks.create(
        "http://127.0.0.1:9/", message_stream="broadcast", triggers={"Bounce": {"Enabled": True}}
    )
    assert (made.triggers.bounce.enabled, made.triggers.open.enabled) == (True, False)
    assert [one.id for one in await postmark.webhooks.list("broadcast")] == [made.id]
    assert (await postmark.webhooks.edit(made.id, url="http://127.0.0.1:10/")).url == "http://127.0.0.1:10/"
    assert (await postmark.webhooks.delete(made.id)).error_code == 0
    sandbox.send()
    assert (await postmark.stats.overview()).sent == 1
