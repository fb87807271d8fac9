"""What stops all sending or one issue until somebody resumes it."""

import asyncio
import time

from broadsheet_local.chaos.faults.database import is_settled
from broadsheet_local.chaos.shortened import CALL_TIMEOUT_S
from broadsheet_local.chaos.stage import Stage

PAUSED_MAX_S = 30.0
_COME_BACK = 503
ACCOUNT_ERRORS = ((401, 10), (422, 405), (422, 412), (422, 413))


async def unauthorized(stage: Stage) -> None:
    """The token is refused, or the account may not send, in the middle of an issue: all sending pauses, no delivery
    fails.
    """
    await stage.slow_calls(high_ms=300)
    campaign = await stage.publish(stage.random.randint(800, 1200))
    await stage.moment(campaign)
    status, code = stage.random.choice(ACCOUNT_ERRORS)
    rule = {"kind": "status", "name": "account", "status": status, "error_code": code, "message": "Not allowed."}
    await stage.sandbox.set_faults(rule, seed=stage.seed)
    stage.note(f"from now on HTTP {status}, code {code}")
    await _paused_then_resumed(stage)
    await is_settled(stage, campaign)


async def out_of_credits(stage: Stage) -> None:
    """The last 23 of an issue get a quota error, each at its place in a batch: only they wait, and are sent later."""
    readers = await stage.readers(stage.random.randint(300, 500))
    last = sorted(readers.subscriber_ids, key=readers.subscriber_ids.__getitem__)[-23:]
    quota = {"kind": "item_errors", "name": "quota", "error_code": 405, "recipients": last, "message": "Not allowed."}
    await stage.slow_calls(quota, high_ms=300)
    campaign = await stage.publish(readers)
    await _paused_then_resumed(stage)
    await is_settled(stage, campaign)


async def _paused_then_resumed(stage: Stage) -> None:
    reason = ""

    async def paused() -> bool:
        nonlocal reason
        sending = await stage.api.sending()
        reason = (sending.reason or "") if sending is not None else ""
        return sending is not None and sending.state == "paused"

    await stage.until(paused, within_s=PAUSED_MAX_S, what="all sending was paused")
    stage.note(f"paused: {reason}")
    stage.expect(reason, "sending is paused and no reason is shown")
    await stage.sandbox.clear_faults()
    await asyncio.sleep(CALL_TIMEOUT_S)  # calls that were under way end
    before = await stage.sandbox.messages()
    await stage.pause_s(0.5, 1.5)
    stage.expect(await stage.sandbox.messages() == before, "mail went out although all sending was paused")
    for campaign in stage.campaigns:
        seen = campaign.last
        stage.expect(seen is not None and seen.counts.failed == 0, f"deliveries were marked failed: {seen}")
        stage.expect(
            seen is not None and seen.status != "sent", "the issue's state is sent although deliveries are left"
        )
    await stage.insist("POST", "/api/v1/senders/resume", key=f"resume-{stage.slug()}")
    stage.note("resumed")


async def pause_restart_resume(stage: Stage) -> None:
    """An issue is paused while Postmark throttles, every sender is replaced, and it is resumed: all of it is sent."""
    await stage.slow_calls({"kind": "rate_limit", "name": "429", "probability": 0.3, "count": 20}, high_ms=300)
    campaign = await stage.publish(stage.random.randint(800, 1200))
    await stage.moment(campaign, high=0.5)
    path = f"/api/v1/issues/{campaign.issue_id}"
    await stage.insist("POST", f"{path}/pause", json={"reason": "A word was wrong."}, key=f"pause-{stage.slug()}")
    stage.note("paused the issue")
    await asyncio.sleep(CALL_TIMEOUT_S / 2)
    await asyncio.gather(*(_replace(stage, name) for name in stage.stack.replicas))
    stage.note("every sender was replaced")
    before = await stage.sandbox.messages()
    await stage.pause_s(0.5, 1.5)
    stage.expect(await stage.sandbox.messages() == before, "mail went out although the issue was paused")
    stage.expect(campaign.last is not None and campaign.last.status == "paused", f"not paused: {campaign.last}")
    await stage.insist("POST", f"{path}/resume", key=f"go-on-{stage.slug()}")
    stage.note("resumed the issue")
    await is_settled(stage, campaign)


async def _replace(stage: Stage, name: str) -> None:
    await stage.stack.end(name)
    await stage.stack.start(name)


async def publish_many_times(stage: Stage) -> None:
    """One issue is published 50 times at once, with the same key and with different ones: one fan-out.

    A client that is told to come back (503) does, under the same key.
    """
    await stage.slow_calls(high_ms=200)
    readers = await stage.readers(stage.random.randint(300, 600))
    title = f"Issue {stage.slug()}"
    after = await stage.sandbox.messages()
    issue_id = await stage.create_issue(readers, title, publish=False)
    same = stage.random.randint(10, 40)
    keys = [f"same-{title}"] * same + [f"other-{number}-{title}" for number in range(50 - same)]
    stage.random.shuffle(keys)
    path = f"/api/v1/issues/{issue_id}/publish"
    answers = await asyncio.gather(
        *(stage.insist("POST", path, key=key, ends=lambda answer: answer.status != _COME_BACK) for key in keys)
    )
    campaign = stage.adopt(title, issue_id, readers, after)
    statuses = sorted({answer.status or 0 for answer in answers})
    accepted = {key for key, answer in zip(keys, answers, strict=True) if answer.succeeded}
    stage.note(f"{same} with one key, {50 - same} with others: answered {statuses}")
    stage.expect(set(statuses) <= {202, 409}, f"publishing in parallel was answered {statuses}")
    stage.expect(len(accepted) == 1, f"{len(accepted)} different keys were told that they had published it")
    await is_settled(stage, campaign)


async def unsubscribe_meanwhile(stage: Stage) -> None:
    """People unsubscribe while an issue is sent: nobody who had unsubscribed before the call for them began gets it."""
    await stage.slow_calls(low_ms=300, high_ms=500)
    readers = await stage.readers(stage.random.randint(800, 1200))
    campaign = await stage.publish(readers)
    leavers = stage.random.sample(sorted(readers.addresses), 60)
    campaign.expect_leavers(leavers)
    await stage.moment(campaign, low=0.0, high=0.2)
    acknowledged: dict[str, float] = {}

    async def leave(email: str) -> None:
        token = stage.unsubscribe_token(readers.subscription_ids[email])
        answer = await stage.api.unsubscribe(token)
        stage.expect(answer.succeeded, f"unsubscribing was answered {answer}")
        acknowledged[email] = time.time()

    for first in range(0, len(leavers), 6):
        await asyncio.gather(*(leave(email) for email in leavers[first : first + 6]))
        await stage.pause_s(0.0, 0.1)
    await is_settled(stage, campaign)
    late = [
        f"{recipient} {one.accepted_unix_s - acknowledged[recipient]:.2f} s later"
        async for one in stage.sandbox.accepted(after=campaign.after)
        for recipient in one.recipients
        if recipient in acknowledged and one.accepted_unix_s > acknowledged[recipient] + CALL_TIMEOUT_S
    ]
    stage.expect(not late, f"sent to people who had left: {', '.join(late[:5])}")
    got = {recipient async for recipient in stage.recipients(campaign)}
    left_before = len(set(leavers) - got)
    stage.note(f"{left_before} of {len(leavers)} leavers got nothing")
    stage.expect(left_before > 0, "everybody who left had got the issue before: the scenario tested nothing")
