"""What the original did not test: a provider that fails, several workers, a crash. Published through the gateway."""

import asyncio

import pytest

from harness.delivering import delivering
from harness.queue.queue_time import age_attempts, expire_leases, make_due
from harness.system import System
from harness.waiting import eventually

OPERATOR = "operator@example.com"
"""Gets the mail that shows whether the message search has caught up."""


async def _publish(system: System, subscribers: int) -> int:
    """An issue to so many, with its fan-out done; answers its id."""
    system.seed.subscribers(subscribers)
    await system.log_in()
    assert (await system.publish_by_form()).status_code == 303
    await system.fan_outs_finished()
    return int((await system.api.get("/api/v1/issues")).json()["items"][0]["id"])


async def _issue(system: System, issue_id: int) -> tuple[str, dict[str, int]]:
    """Its status and the counts that are not 0."""
    issue = (await system.api.get(f"/api/v1/issues/{issue_id}")).json()
    return issue["status"], {name: count for name, count in issue["counts"].items() if count}


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 429, "count": 2},
        {"kind": "status", "status": 503, "error_code": 100, "count": 2},
        {"kind": "status", "status": 500, "count": 1},
        {"kind": "drop_before", "count": 1},
        {"kind": "drop_after", "count": 1},
        {"kind": "malformed", "shape": "truncated_json", "count": 1},
    ],
    ids=lambda fault: str(fault.get("shape") or fault.get("status") or fault["kind"]),
)
async def test_a_provider_that_fails_during_delivery_loses_and_doubles_nobody(
    system: System, fault: dict[str, object]
) -> None:
    issue_id = await _publish(system, 7)
    system.oracle.fault({**fault, "match": {"path": "/email/batch"}})
    sandbox = system.sandbox
    async with delivering(
        system.database, sandbox.base_url, sandbox.token, delivery_canary_address=OPERATOR
    ) as replica:
        await replica.send_all_due()

        async def is_sent() -> bool:
            age_attempts(system.seed)
            make_due(system.seed)
            await replica.send_all_due()
            await replica.reconcile()
            return (await _issue(system, issue_id))[0] == "sent"

        await eventually(is_sent, what="the issue is sent")
    sends = system.oracle.sends()
    del sends[OPERATOR]
    assert sends == {f"reader-{n}@example.com": 1 for n in range(1, 8)}
    assert await _issue(system, issue_id) == ("sent", {"audience": 7, "accepted": 7})


async def test_one_address_that_postmark_refuses_fails_alone_and_with_its_reason(system: System) -> None:
    issue_id = await _publish(system, 5)
    system.oracle.fault(
        {"kind": "item_errors", "recipients": ["reader-3@example.com"], "error_code": 406, "message": "Inactive"}
    )
    await system.deliver_all_pending()
    assert await _issue(system, issue_id) == ("sent", {"audience": 5, "accepted": 4, "suppressed": 1})
    page = (await system.api.get(f"/api/v1/issues/{issue_id}/deliveries?status=suppressed")).json()
    [refused] = page["items"]
    assert refused["error_code"] == 406
    assert refused["reason"]


async def test_several_workers_send_everything_once(system: System) -> None:
    issue_id = await _publish(system, 1_700)
    sandbox = system.sandbox
    async with (
        delivering(system.database, sandbox.base_url, sandbox.token) as second,
        delivering(system.database, sandbox.base_url, sandbox.token) as third,
    ):
        await asyncio.gather(*(worker.send_all_due() for worker in (system.delivery, second, third)))
    await system.delivery.send_all_due()
    sends = system.oracle.sends()
    assert (len(sends), set(sends.values())) == (1_700, {1})
    assert await _issue(system, issue_id) == ("sent", {"audience": 1_700, "accepted": 1_700})


async def test_what_a_worker_held_when_it_died_before_the_call_is_sent_by_another(system: System) -> None:
    issue_id = await _publish(system, 4)
    sandbox = system.sandbox
    async with delivering(system.database, sandbox.base_url, sandbox.token) as dead:
        assert await dead.claim() is not None
    await system.delivery.send_all_due()
    assert system.oracle.messages() == []
    expire_leases(system.seed)
    assert await system.delivery.rescue() == 1
    await system.delivery.send_all_due()
    assert system.oracle.sends() == {f"reader-{n}@example.com": 1 for n in range(1, 5)}
    assert await _issue(system, issue_id) == ("sent", {"audience": 4, "accepted": 4})


async def test_a_worker_that_died_after_the_call_does_not_make_another_send_again(system: System) -> None:
    """The answer is lost with the worker; the search tells its successor that the mail went out."""
    issue_id = await _publish(system, 4)
    system.oracle.fault({"kind": "hang", "accept": True, "seconds": 60, "count": 1, "match": {"path": "/email/batch"}})
    sandbox = system.sandbox
    async with delivering(system.database, sandbox.base_url, sandbox.token) as dead:
        sending = asyncio.create_task(dead.send_one_chunk())
        await eventually(lambda: len(system.newsletter_mails()) == 4, what="Postmark has the batch")
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    system.oracle.heal()
    expire_leases(system.seed)
    await system.delivery.rescue()
    assert await _issue(system, issue_id) == ("sending", {"audience": 4, "uncertain": 4})
    make_due(system.seed)
    await system.delivery.reconcile()
    await system.delivery.send_all_due()
    assert system.oracle.sends() == {f"reader-{n}@example.com": 1 for n in range(1, 5)}
    assert await _issue(system, issue_id) == ("sent", {"audience": 4, "accepted": 4})


async def test_who_confirms_after_the_publish_gets_the_next_issue_and_not_this_one(system: System) -> None:
    await _publish(system, 1)
    await system.deliver_all_pending()
    await system.confirmed_subscriber("late@example.com")
    await system.deliver_all_pending()
    assert [mail.to for mail in system.newsletter_mails()] == ["reader-1@example.com"]
    await system.publish_by_form(title="Second")
    await system.deliver_all_pending()
    assert sorted(mail.to for mail in system.newsletter_mails() if mail.subject == "Second") == [
        "late@example.com",
        "reader-1@example.com",
    ]
