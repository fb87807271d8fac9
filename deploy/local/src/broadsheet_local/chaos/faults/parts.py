"""Processes die while an issue is between its parts: when an A/B test is decided, and between two waves.

The moments are brought near by the database's owner: a test waits a minute at least, and time zones are hours apart.
"""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg

from broadsheet_local.chaos.shortened import LEASE_S
from broadsheet_local.chaos.stage import Campaign, Stage
from broadsheet_local.demo.bulk_import import CONNECT_TIMEOUT_S
from broadsheet_local.supervision.concurrency import in_thread

SETTLED_MAX_S: Final = LEASE_S + 20.0
EARLY_LOOK_S: Final = 0.3
_SENT_MAX_S: Final = 60.0
_MEASURED = "UPDATE publishing.newsletter SET track_links = true WHERE id = %s"
_DUE = """
UPDATE publishing.ab_test SET look_at = now() + %(wait)s, give_up_at = now() + %(wait)s WHERE issue_id = %(issue_id)s
"""
_DECISION = """
SELECT test.winner, run.winner, test.reason,
       (SELECT count(*) FROM publishing.issue_step WHERE issue_id = test.issue_id AND step = 'winner_chosen'),
       (SELECT count(*) FROM delivery.delivery_chunk WHERE issue_id = test.issue_id AND variant = 0)
  FROM publishing.ab_test AS test JOIN delivery.issue_run AS run USING (issue_id)
 WHERE test.issue_id = %s
"""
_SIZES = """
SELECT variant, sum(last_seq - first_seq + 1)::integer FROM delivery.delivery_chunk WHERE issue_id = %s GROUP BY variant
"""
_IN_TOKYO = """
UPDATE subscriptions.subscriber SET attributes = '{"time_zone": "Asia/Tokyo"}'
 WHERE id IN (SELECT subscriber_id FROM subscriptions.subscription WHERE newsletter_id = %s) AND id %% 2 = 0
"""
_FIRE = "UPDATE publishing.issue SET scheduled_at = now() + %s WHERE id = %s AND status = 'scheduled'"
# Tokyo's wave is the earlier one.
_BRING_NEAR = """
UPDATE delivery.delivery_chunk AS chunk
   SET run_at = now() + CASE WHEN chunk.run_at = (SELECT min(run_at) FROM delivery.delivery_chunk
                                                   WHERE issue_id = %(issue_id)s)
                             THEN %(first)s ELSE %(second)s END
 WHERE issue_id = %(issue_id)s
"""
_WAVES = "SELECT recipients FROM publishing.wave WHERE issue_id = %s AND recipients > 0 ORDER BY number"


async def kill_while_choosing(stage: Stage) -> None:
    """`kill -9` of publishing, and mostly of a sender, about when the winner of an A/B test is chosen, by a person or
    at its time. One winner is recorded, once; all who waited get it, and nobody gets two variants.
    """
    await stage.slow_calls(low_ms=50, high_ms=200)
    readers = await stage.readers(stage.random.randint(300, 600))
    title, after = f"Issue {stage.slug()}", await stage.sandbox.messages()
    by_hand = stage.chance(0.5)
    subjects = {1: title, 2: f"{title} second", 3: f"{title} third"}
    test = {
        "others": [{"subject": subjects[2]}, {"subject": subjects[3]}],
        "share_percent": stage.random.randint(20, 60),
        "decide_by": "hand" if by_hand else "clicks",
        "wait_minutes": 60,
    }
    await _run(stage, _MEASURED, (readers.newsletter_id,))
    body = {
        "title": title,
        "content": "Hello {{ subscriber.name }}.",
        "newsletter_id": readers.newsletter_id,
        "ab_test": test,
        "publish": True,
    }
    issue_id: int = (await stage.insist("POST", "/api/v1/issues", json=body, key=f"create-{title}")).json()["id"]
    campaign = stage.adopt(title, issue_id, readers, after)
    campaign.subjects = frozenset(subjects.values())
    await stage.until(lambda: _only_the_rest_waits(stage, campaign), within_s=_SENT_MAX_S, what="the test was sent")
    before = dict(await _rows(stage, _SIZES, (issue_id,)))
    stage.note(f"deliveries by variant: {before}")

    wanted = stage.random.choice(sorted(subjects))
    choosing: asyncio.Task[object] | None = None
    wait_s = stage.random.uniform(0.0, 2.0)
    if by_hand:
        choosing = asyncio.create_task(_choose_after(stage, issue_id, wanted, wait_s))
    else:
        await _run(stage, _DUE, {"issue_id": issue_id, "wait": timedelta(seconds=wait_s)})
    stage.note(f"the winner is chosen {'by hand' if by_hand else 'at its time'} in {wait_s:.2f} s")
    # The task that decides looks every five seconds.
    await asyncio.sleep(max(0.0, wait_s + stage.random.uniform(-0.3, 0.3 if by_hand else 5.5)))
    victims = ["publishing"] + ([stage.random.choice(stage.stack.replicas)] if stage.chance(0.7) else [])
    for victim in victims:
        stage.stack.send_signal(victim, signal.SIGKILL)
    began = time.monotonic()
    stage.note(f"killed {' and '.join(victims)}")
    await stage.pause_s(0.0, 1.5)
    await asyncio.gather(*(stage.stack.start(victim) for victim in victims))
    back = time.monotonic()
    stage.note(f"they are back after {back - began:.1f} s")
    if choosing is not None:
        await choosing
    settled = await stage.settled(campaign)
    seconds = None if settled is None else max(0.0, campaign.status_since_s - back)
    stage.recovered(seconds, within_s=SETTLED_MAX_S, what="from their return, everything was settled")

    [(winner, released, reason, steps, waiting)] = await _rows(stage, _DECISION, (issue_id,))
    stage.note(f"the winner is {winner}, because of: {reason}")
    stage.expect(winner == (wanted if by_hand else 1), f"the winner is {winner}")
    stage.expect(
        (winner, steps, waiting) == (released, 1, 0),
        f"winner {winner}, released {released}, chosen {steps} times, {waiting} chunks wait",
    )
    sent: Counter[int] = Counter()
    async for one in stage.sandbox.accepted(after=after):
        sent.update(number for number, subject in subjects.items() if one.message.subject == subject)
    due = {number: before.get(number, 0) + (before.get(0, 0) if number == winner else 0) for number in subjects}
    stage.expect(dict(sent) == {number: count for number, count in due.items() if count}, f"sent {sent}, due {due}")


async def kill_between_waves(stage: Stage) -> None:
    """`kill -9` of publishing and all senders between two waves of an issue: nothing of the second goes out before its
    time, and each wave goes out once.
    """
    await stage.slow_calls(low_ms=50, high_ms=200)
    readers = await stage.readers(stage.random.randint(300, 600))
    await _run(stage, _IN_TOKYO, (readers.newsletter_id,))
    title, after = f"Issue {stage.slug()}", await stage.sandbox.messages()
    issue_id = await stage.create_issue(readers, title, publish=False)
    campaign = stage.adopt(title, issue_id, readers, after)
    at = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%dT09:00")
    schedule = {"at": at, "time_zone": "Europe/Paris", "in_reader_time_zone": True}
    await stage.insist("POST", f"/api/v1/issues/{issue_id}/schedule", json=schedule, key=f"schedule-{title}")
    await _run(stage, _FIRE, (timedelta(seconds=0.5), issue_id))
    if stage.chance(0.4):
        await stage.pause_s(0.3, 2.0)
        await stage.stack.end("publishing", signal.SIGKILL)
        stage.note("killed publishing about when it enqueues")
        await stage.stack.start("publishing")
    await stage.until(lambda: _is_sending(campaign), within_s=_SENT_MAX_S, what="all were enqueued")
    first, second = [count for (count,) in await _rows(stage, _WAVES, (issue_id,))]
    stage.note(f"two waves, of {first} and {second}")
    gap_s = stage.random.uniform(8.0, 12.0)
    due = time.monotonic() + gap_s
    waits = {"first": timedelta(0), "second": timedelta(seconds=gap_s), "issue_id": issue_id}
    await _run(stage, _BRING_NEAR, waits)

    await stage.pause_s(0.0, 4.0)
    victims = ["publishing", *stage.stack.replicas]
    for victim in victims:
        stage.stack.send_signal(victim, signal.SIGKILL)
    stage.note(f"killed {' and '.join(victims)}")
    await stage.pause_s(0.0, 2.0)
    await asyncio.gather(*(stage.stack.start(victim) for victim in victims))
    back = time.monotonic()
    if back < due - EARLY_LOOK_S:
        await asyncio.sleep(due - back - EARLY_LOOK_S)
        early = await stage.sandbox.messages() - after
        stage.expect(early <= first, f"{early} mails went out before the second wave, which follows {first}")
    settled = await stage.settled(campaign)
    seconds = None if settled is None else max(0.0, campaign.status_since_s - max(due, back))
    stage.recovered(seconds, within_s=SETTLED_MAX_S, what="from the second wave's time, everything was settled")


async def _choose_after(stage: Stage, issue_id: int, variant: int, wait_s: float) -> None:
    await asyncio.sleep(wait_s)
    await stage.insist("POST", f"/api/v1/issues/{issue_id}/winner", json={"variant": variant}, key="none")


async def _only_the_rest_waits(stage: Stage, campaign: Campaign) -> bool:
    if campaign.last is None or campaign.last.status != "sending":
        return False
    sizes = dict(await _rows(stage, _SIZES, (campaign.issue_id,)))
    counts = campaign.last.counts
    return counts.in_flight == counts.uncertain == 0 and counts.pending == sizes.get(0, 0)


async def _is_sending(campaign: Campaign) -> bool:
    await asyncio.sleep(0)
    return campaign.last is not None and campaign.last.status == "sending"


async def _rows(stage: Stage, statement: str, parameters: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
    def read() -> list[tuple[Any, ...]]:
        with psycopg.connect(stage.stack.postgres.url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            return connection.execute(statement.encode(), parameters).fetchall()

    return await in_thread(read)


async def _run(stage: Stage, statement: str, parameters: Sequence[Any] | Mapping[str, Any]) -> None:
    def write() -> None:
        with psycopg.connect(stage.stack.postgres.url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            connection.execute(statement.encode(), parameters)

    await in_thread(write)
