"""An issue goes to whom its preview said, also when the segment changes, is deleted, or its finder dies meanwhile."""

import asyncio
from typing import Any

from sqlalchemy import text

from broadsheet_common.contracts.audit import Actor
from broadsheet_common.process.database import create_engine
from broadsheet_common.process.settings import PostgresUrl
from broadsheet_delivery.reporting.roll_up_engagement import roll_up_engagement
from broadsheet_publishing.fan_out.fan_out import NothingToDo, fan_out_step
from broadsheet_publishing.issues.cancel_issue import cancel_issue
from broadsheet_subscriptions.segments.freeze_audience import freeze_audiences
from harness.cluster import Database
from harness.owner import Owner
from harness.seeding import Seed
from harness.system import System

VIP = {"field": "tag", "op": "has", "value": "vip"}


def _tag(seed: Seed, *, every: int) -> None:
    """Every so many subscribers have the tag `vip`."""
    seed.execute("UPDATE subscriptions.subscriber SET tags = '{vip}' WHERE id %% %s = 0", (every,))


async def _segment(system: System, tree: object) -> int:
    created = await system.api.post("/api/v1/segments", json={"name": "Segment", "filter": tree})
    assert created.status_code == 201, created.text
    return int(created.json()["id"])


async def _publish(system: System, segment_id: int) -> int:
    written = await system.api.post(
        "/api/v1/issues",
        json={
            "title": "To some",
            "format": "html",
            "content": "<p>Hello</p>",
            "text_content": "Hello",
            "segment_id": segment_id,
            "publish": True,
        },
    )
    assert written.status_code == 201, written.text
    assert (written.json()["segment_id"], written.json()["status"]) == (segment_id, "publishing")
    return int(written.json()["id"])


async def _count(system: System, tree: object) -> dict[str, Any]:
    answer = await system.api.post("/api/v1/segments/count", json={"filter": tree, "newsletter_id": 1})
    assert answer.status_code == 200, answer.text
    counted: dict[str, Any] = answer.json()
    return counted


async def test_the_audience_that_was_previewed_is_the_one_that_is_frozen_and_sent_to(system: System) -> None:
    """Confirmed and tagged: 20. Of those one is suppressed. Others are tagged, and pending or gone, or not tagged."""
    people = system.seed.subscribers(40)
    pending = system.seed.subscribers(6, state="pending", prefix="pending")
    gone = system.seed.subscribers(4, state="unsubscribed", prefix="gone")
    tagged = people[:20] + pending + gone[:3]
    system.seed.execute("UPDATE subscriptions.subscriber SET tags = '{vip}' WHERE id = ANY(%s)", (tagged,))
    system.seed.execute(
        "INSERT INTO delivery.suppression (message_stream, email_key, reason, source) "
        "SELECT 'broadcast', email_key, 'It bounced.', 'test' FROM subscriptions.subscriber WHERE id = %s",
        (people[0],),
    )
    previewed = await _count(system, VIP)
    assert previewed == {
        "matching": 29,
        "audience": {
            "newsletter_id": 1,
            "recipients": 20,
            "suppressed": 1,
            "excluded": {"pending": 6, "unsubscribed": 3, "not_subscribed": 0},
        },
    }
    issue_id = await _publish(system, await _segment(system, VIP))
    await system.fan_outs_finished()
    await system.deliver_all_pending()
    issue = (await system.api.get(f"/api/v1/issues/{issue_id}")).json()
    counts = {name: count for name, count in issue["counts"].items() if count}
    assert counts == {"audience": 20, "accepted": 19, "suppressed": 1}
    sent_to = {message.to for message in system.newsletter_mails()}
    assert sent_to == {f"reader-{n}@example.com" for n in range(2, 21)}
    assert system.seed.count("subscriptions.audience_block") == 0, "the members are not kept"
    [(kept,)] = system.seed.execute("SELECT member_count FROM subscriptions.audience")
    assert kept == 20


async def test_a_segment_that_nobody_is_in_ends_sent_to_nobody(system: System) -> None:
    system.seed.subscribers(3)
    issue_id = await _publish(system, await _segment(system, VIP))
    await system.fan_outs_finished()
    await system.deliver_all_pending()
    issue = (await system.api.get(f"/api/v1/issues/{issue_id}")).json()
    assert (issue["status"], issue["counts"]["audience"]) == ("sent", 0)
    assert system.newsletter_mails() == []


async def test_an_issue_to_a_segment_that_is_not_there_is_refused(system: System) -> None:
    system.seed.subscribers(1)
    body = {"title": "T", "format": "html", "content": "<p>x</p>", "text_content": "x", "segment_id": 999}
    refused = await system.api.post("/api/v1/issues", json=body)
    assert [one["pointer"] for one in refused.json()["errors"]] == ["/segment_id"]
    assert system.seed.count("publishing.issue") == 0


async def test_who_opened_one_issue_gets_the_next(system: System) -> None:
    people = system.seed.subscribers(5)
    first = system.seed.published_issue(people)
    system.seed.execute(
        "INSERT INTO delivery.provider_event (record_type, issue_id, seq, source, occurred_at, received_at, dedupe_key,"
        " detail) SELECT 'Open', %s, seq, 'webhook', now(), now(), seq, '{}' FROM generate_series(2, 3) AS seq",
        (first,),
    )
    await system.deliver_all_pending()
    tree = {
        "all": [
            {"field": "engagement", "event": "opened", "issue_id": first},
            {"field": "engagement", "event": "received", "within_days": 1},
        ]
    }

    for _ in range(100):
        if await roll_up_engagement(system.delivery.context) == 0:
            break
    assert (await _count(system, tree))["matching"] == 2
    issue_id = await _publish(system, await _segment(system, tree))
    await system.fan_outs_finished()
    await system.deliver_all_pending()
    mails = {one.to for one in system.newsletter_mails() if one.metadata["bs_delivery"].startswith(f"{issue_id}-")}
    assert mails == {"reader-2@example.com", "reader-3@example.com"}


class _Stopped:
    """Publishing and subscriptions with no background loops: each step is the test's own."""

    def __init__(self, database: Database, *, pool_size: int = 4) -> None:
        self.owner = Owner(database.owner_url)
        self.subscriptions, self.publishing = (
            create_engine(
                PostgresUrl(database.url_for(service)), application_name="test", pool_size=pool_size, timeout_s=20
            )
            for service in ("subscriptions", "publishing")
        )

    def publish(self, tree: str) -> int:
        """An issue to a new segment, as publishing's transaction does it."""
        ((segment_id,),) = self.owner.rows(
            "INSERT INTO subscriptions.segment (name, filter) VALUES ('S', %s) RETURNING id", tree
        )
        ((issue_id,),) = self.owner.rows(
            "INSERT INTO publishing.issue (newsletter_id, title, html_content, text_content, created_by, status, "
            "published_at, segment_id) VALUES (1, 'T', 'h', 't', 'x', 'published', now(), %s) RETURNING id",
            segment_id,
        )
        self.owner.rows("INSERT INTO publishing.fan_out (issue_id, is_segmented) VALUES (%s, true)", issue_id)
        assert self.owner.rows("SELECT subscriptions.request_audience(%s, 1, %s)", issue_id, segment_id) == [(True,)]
        self.owner.rows("SELECT delivery.open_issue_run(%s, 1, %s)", issue_id, f"00-{'1' * 32}-{'2' * 16}-01")
        return int(issue_id)

    async def fan_out(self) -> None:
        for _ in range(1_000):
            if isinstance(await fan_out_step(self.publishing, page_rows=7), NothingToDo):
                return
        raise AssertionError("the fan-out does not end")

    def enqueued(self, issue_id: int) -> list[int]:
        rows = self.owner.rows("SELECT subscriber_id FROM delivery.delivery WHERE issue_id = %s ORDER BY seq", issue_id)
        return [row[0] for row in rows]

    async def close(self) -> None:
        await self.subscriptions.dispose()
        await self.publishing.dispose()


TREE = '{"field": "tag", "op": "has", "value": "vip"}'


async def test_the_fan_out_waits_for_the_audience_and_takes_each_member_once(database: Database, seed: Seed) -> None:
    """Over the edge of three blocks, one of them without members, found by several replicas at once."""
    stopped = _Stopped(database)
    seed.execute("SELECT setval('subscriptions.subscriber_id_seq', 8180)")
    people = seed.subscribers(60)
    seed.execute("SELECT setval('subscriptions.subscriber_id_seq', 24570)")
    people += seed.subscribers(60, prefix="later")
    _tag(seed, every=3)
    issue_id = stopped.publish(TREE)
    await stopped.fan_out()
    assert stopped.enqueued(issue_id) == [], "nobody, before all of them are known"
    found = await asyncio.gather(*(freeze_audiences(stopped.subscriptions, blocks_a_step=1) for _ in range(3)))
    expected = [subscriber_id for subscriber_id in people if subscriber_id % 3 == 0]
    assert sum(found) == len(expected)
    await stopped.fan_out()
    assert stopped.enqueued(issue_id) == expected
    assert seed.execute("SELECT count(*) FROM subscriptions.audience WHERE released_at IS NOT NULL") == [(1,)]
    await stopped.close()


async def test_each_range_of_an_audience_is_planned_for_itself(database: Database, seed: Seed) -> None:
    """The plan for any range, which Postgres would keep after five, took four times as long for a million people."""
    stopped = _Stopped(database, pool_size=1)
    seed.subscribers(1)
    seed.execute("SELECT setval('subscriptions.subscriber_id_seq', 100000)")
    seed.subscribers(1, prefix="later")
    _tag(seed, every=1)
    stopped.publish(TREE)
    assert await freeze_audiences(stopped.subscriptions, blocks_a_step=1) == 2
    async with stopped.subscriptions.connect() as connection:
        found = await connection.execute(
            text(
                "SELECT custom_plans, generic_plans FROM pg_prepared_statements "
                "WHERE statement LIKE '%set_bit%' AND statement NOT LIKE '%pg_prepared_statements%'"
            )
        )
        [(custom, generic)] = found.all()
    assert custom >= 10
    assert generic == 0
    await stopped.close()


async def test_an_audience_is_of_the_tree_as_it_was_published(database: Database, seed: Seed) -> None:
    """The segment is changed, and deleted, before anybody looks for its members; and people come too late."""
    stopped = _Stopped(database)
    people = seed.subscribers(10)
    _tag(seed, every=2)
    issue_id = stopped.publish(TREE)
    seed.execute("UPDATE subscriptions.segment SET filter = '{\"all\": []}'")
    seed.execute("DELETE FROM subscriptions.segment")
    seed.subscribers(4, prefix="late")
    seed.execute("UPDATE subscriptions.subscriber SET tags = '{vip}' WHERE email LIKE 'late%%'")
    seed.leave(people[1])
    await freeze_audiences(stopped.subscriptions)
    await stopped.fan_out()
    expected = [one for one in people if one % 2 == 0 and one != people[1]]
    assert stopped.enqueued(issue_id) == expected
    await stopped.close()


async def test_a_finder_that_is_killed_in_the_middle_leaves_nobody_out(database: Database, seed: Seed) -> None:
    stopped = _Stopped(database)
    seed.execute("SELECT setval('subscriptions.subscriber_id_seq', 8180)")
    people = seed.subscribers(30)
    _tag(seed, every=2)
    issue_id = stopped.publish(TREE)
    # Its second step cannot commit: the first one's block is there, and its cursor behind it.
    seed.execute("ALTER TABLE subscriptions.audience ADD CONSTRAINT stuck CHECK (next_block < 2)")
    await freeze_audiences(stopped.subscriptions, blocks_a_step=1)
    assert seed.execute("SELECT next_block, completed_at IS NULL, failure_count FROM subscriptions.audience") == [
        (1, True, 1)
    ]
    assert await freeze_audiences(stopped.subscriptions, blocks_a_step=1) == 0, "it waits before it is tried again"
    await stopped.fan_out()
    assert stopped.enqueued(issue_id) == []
    seed.execute("ALTER TABLE subscriptions.audience DROP CONSTRAINT stuck")
    seed.execute("UPDATE subscriptions.audience SET run_at = now()")
    await freeze_audiences(stopped.subscriptions, blocks_a_step=1)
    await stopped.fan_out()
    assert stopped.enqueued(issue_id) == [one for one in people if one % 2 == 0]
    await stopped.close()


async def test_an_issue_that_is_cancelled_while_its_audience_is_sought_enqueues_nobody(
    database: Database, seed: Seed
) -> None:
    stopped = _Stopped(database)
    seed.subscribers(10)
    _tag(seed, every=1)
    issue_id = stopped.publish(TREE)
    async with stopped.publishing.begin() as connection:
        await cancel_issue(connection, issue_id, by=Actor("key:1", "user:1"))
    assert await freeze_audiences(stopped.subscriptions) == 0, "nobody looks for members that nobody needs"
    await stopped.fan_out()
    assert stopped.enqueued(issue_id) == []
    assert seed.count("subscriptions.audience_block") == 0
    assert seed.execute("SELECT finished_at IS NOT NULL FROM publishing.fan_out") == [(True,)]
    await stopped.close()
