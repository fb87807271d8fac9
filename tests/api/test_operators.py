"""What operators do to an issue, through the gateway: cancel it, retry what failed."""

from harness.system import System

ISSUES = "/api/v1/issues"
BODY = {"title": "First", "format": "html", "content": "<p>HTML</p>", "text_content": "Text"}


async def test_a_cancelled_issue_is_not_sent_and_says_so(system: System) -> None:
    system.seed.subscribers(3)
    issue = (await system.api.post(ISSUES, json=BODY)).json()
    await system.api.post(f"{ISSUES}/{issue['id']}/publish")
    await system.fan_outs_finished()
    cancelled = await system.api.post(f"{ISSUES}/{issue['id']}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    await system.deliver_all_pending()
    shown = (await system.api.get(f"{ISSUES}/{issue['id']}")).json()
    assert (shown["status"], shown["counts"]["cancelled"], shown["counts"]["audience"]) == ("cancelled", 3, 3)
    assert shown["finished_at"] is not None
    assert system.newsletter_mails() == []
    [decision] = (await system.api.get(f"{ISSUES}/{issue['id']}/decisions")).json()["items"]
    assert decision["action"] == "cancel"


async def test_just_what_failed_is_retried(system: System) -> None:
    system.seed.subscribers(5)
    system.oracle.fault({"kind": "item_errors", "error_code": 411, "recipients": ["reader-2@example.com"]})
    issue = (await system.api.post(ISSUES, json={**BODY, "publish": True})).json()
    await system.deliver_all_pending()
    assert (await system.api.get(f"{ISSUES}/{issue['id']}")).json()["counts"]["failed"] == 1
    system.oracle.heal()
    assert (await system.api.post(f"{ISSUES}/{issue['id']}/retry-failed")).json() == {"retried": 1}
    assert (await system.api.get(f"{ISSUES}/{issue['id']}")).json()["status"] == "sending"
    await system.deliver_all_pending()
    shown = (await system.api.get(f"{ISSUES}/{issue['id']}")).json()
    assert (shown["status"], shown["counts"]["accepted"], shown["counts"]["failed"]) == ("sent", 5, 0)
    assert sorted(mail.to for mail in system.newsletter_mails()) == [f"reader-{n}@example.com" for n in range(1, 6)]
