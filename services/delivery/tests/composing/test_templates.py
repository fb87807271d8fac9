"""Templates that are much work, or cannot be rendered; and content that is corrected while it is being sent."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from broadsheet_common.mail.template_work import WORK_MAX, Work
from broadsheet_delivery.composing import compose_batch as compose_batch_module
from broadsheet_delivery.composing.compose_batch import compose_batch
from broadsheet_delivery.composing.compose_turns import SLICE_WORK, ComposeTurns
from broadsheet_delivery.composing.render_counts import RENDER_FAILURES_MIN
from broadsheet_delivery.postmark.message import Message
from broadsheet_delivery.sending.send_chunk import send_chunk
from broadsheet_delivery.throttle.state_store import pause_issue, resume_issue
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import Delivering, delivering
from harness.oracle import Oracle
from harness.queue.queue_time import make_due
from harness.seeding import Seed

# A sample mail passes it, whoever it is about; every other reader's is too much.
TOO_MUCH = (
    "<p>Hi</p>{% assign a = subscriber.name | append: 'xxxxxxxxxxxxxxxxxxxxxxxx' %}"
    + "{% assign a = a | append: a %}" * 9
    + "{% if subscriber.name != 'Ada Lovelace' %}"
    + "{{ a }}" * 300
    + "{% endif %}"
)
JUST_UNDER = "{{ subscriber.name | upcase }}" * 950


def _correct(seed: Seed, issue_id: int, *, html_content: str) -> None:
    """As docs/operating/repair.md says it."""
    seed.execute(
        "UPDATE publishing.compiled_content SET html_content = %s WHERE issue_id = %s", (html_content, issue_id)
    )


class RecordedTurns(ComposeTurns):
    """Writes down whose slice it was."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[object] = []

    @asynccontextmanager
    async def turn(self, issue_id: int) -> AsyncIterator[None]:
        async with super().turn(issue_id):
            self.events.append(issue_id)
            yield


async def test_a_mail_that_is_too_much_work_fails_alone_with_its_reason(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    readers = seed.subscribers(30)
    seed.execute("UPDATE subscriptions.subscriber SET name = 'Ada Lovelace' WHERE id <> %s", (readers[3],))
    issue_id = seed.published_issue(readers, html=TOO_MUCH)
    await delivery.send_all_due()
    assert seed.progress(issue_id).state == "finished"
    assert seed.progress(issue_id).counts == {"accepted": 29, "failed": 1}
    [(reason,)] = seed.execute("SELECT reason FROM delivery.delivery_outcome WHERE outcome = 'failed'")
    assert "too much work" in str(reason)
    assert len(oracle.sends()) == 29


@pytest.mark.parametrize("lane", ["chunk", "alone"])
async def test_an_issue_that_fails_everywhere_is_paused_and_nobody_is_marked_failed(
    seed: Seed, delivery: Delivering, oracle: Oracle, lane: str
) -> None:
    count = RENDER_FAILURES_MIN + 5
    readers = seed.subscribers(count)
    issue_id = seed.published_issue(readers, html=TOO_MUCH if lane == "chunk" else "<p>x</p>")
    if lane == "alone":
        oracle.fault({"kind": "item_errors", "error_code": 429, "pattern": "reader"})
        await delivery.send_one_chunk()
        oracle.heal()
        make_due(seed)
        _correct(seed, issue_id, html_content=TOO_MUCH)
    await delivery.send_all_due()
    progress = seed.progress(issue_id)
    assert (progress.state, progress.counts) == ("paused", {"pending": count})
    [(reason,)] = seed.execute("SELECT pause_reason FROM delivery.issue_run WHERE issue_id = %s", (issue_id,))
    assert "too much work" in str(reason)
    assert oracle.messages() == []
    _correct(seed, issue_id, html_content="<p>put right</p>")
    async with delivery.context.engine.begin() as connection:
        assert await resume_issue(connection, issue_id=issue_id)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": count}


async def test_failures_are_counted_over_calls_that_carry_few_mails(
    seed: Seed, delivery: Delivering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compose_batch_module, "BATCH_WORK_MAX", 1)
    issue_id = seed.published_issue(seed.subscribers(40), html=TOO_MUCH)
    await delivery.send_all_due()
    progress = seed.progress(issue_id)
    assert (progress.state, progress.failed) == ("paused", RENDER_FAILURES_MIN - 1)
    assert progress.counts["pending"] == 40 - progress.failed


async def test_two_issues_have_slices_in_turn_and_the_loop_is_looked_at_between_any_two(
    seed: Seed, delivery: Delivering
) -> None:
    readers = seed.subscribers(300)
    heavy = seed.published_issue(readers[:60], html=JUST_UNDER)
    light = seed.published_issue(readers)
    turns = RecordedTurns()
    context = msgspec.structs.replace(delivery.context, turns=turns)
    claimed = [await delivery.claim(), await delivery.claim()]
    by_issue = {one.chunk.issue_id: one for one in claimed if one is not None}

    work = Work()
    one = by_issue[heavy]
    mail = context.composer.newsletter_mail(one.content, one.recipients[0], str(uuid.uuid4()), work)
    assert isinstance(mail, Message)
    assert SLICE_WORK < work.used < WORK_MAX, "just under the bound of a mail, and more than a slice"

    async def live() -> None:
        while True:
            turns.events.append("live")
            await asyncio.sleep(0)

    async def compose(issue_id: int) -> None:
        await compose_batch(context, by_issue[issue_id].content, by_issue[issue_id].recipients, uuid.uuid4())
        turns.events.append(f"{issue_id} is done")

    living = asyncio.create_task(live())
    # Several calls' worth of the heavy issue, and one of the other.
    await asyncio.gather(compose(heavy), compose(heavy), compose(heavy), compose(light))
    living.cancel()
    events = turns.events
    slices = [event for event in events if event in {heavy, light}]
    assert slices.count(light) > 1
    last_light = max(place for place, event in enumerate(slices) if event == light)
    first_light = slices.index(light)
    between = slices[first_light : last_light + 1]
    assert between == [light if place % 2 == 0 else heavy for place in range(len(between))]
    assert first_light <= 2, "it waits for no more than the slice that is under way and one of those before it"
    assert events.index(f"{light} is done") < events.index(f"{heavy} is done")
    places = [place for place, event in enumerate(events) if event in {heavy, light}]
    assert all("live" in events[a:b] for a, b in itertools.pairwise(places))


async def test_a_call_carries_no_more_work_than_its_lease_can_bear(
    seed: Seed, delivery: Delivering, oracle: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compose_batch_module, "BATCH_WORK_MAX", 10 * WORK_MAX)
    issue_id = seed.published_issue(seed.subscribers(50), html=JUST_UNDER)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 50}
    assert set(oracle.sends().values()) == {1}
    [(largest,)] = seed.execute("SELECT max(message_count) FROM delivery.send_attempt")
    assert 10 <= int(str(largest)) <= 25


async def test_whoever_gives_up_waiting_for_a_turn_passes_it_on() -> None:
    turns = ComposeTurns()
    taken: list[int] = []

    async def take(issue_id: int) -> None:
        async with turns.turn(issue_id):
            taken.append(issue_id)

    async with turns.turn(1):
        waiting = [asyncio.create_task(take(number)) for number in (2, 3, 4)]
        await asyncio.sleep(0)
        waiting[0].cancel()
    # The turn is given to one whose task is cancelled before it runs.
    waiting[1].add_done_callback(lambda _: None)
    await asyncio.sleep(0)
    waiting[1].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await asyncio.wait_for(take(5), 10)
    assert taken == [4, 5]


@pytest.mark.parametrize("corrected", ["content", "sender"])
async def test_a_correction_reaches_every_replica_with_its_next_claim(
    database: Database, seed: Seed, sandbox: RunningSandbox, delivery: Delivering, oracle: Oracle, corrected: str
) -> None:
    issue_id = seed.published_issue(seed.subscribers(2_000), html="<p>worng</p>")
    async with delivering(database, sandbox.base_url, sandbox.token) as other:
        assert await delivery.send_one_chunk()
        assert await other.send_one_chunk()
        # Only one of them has stopped the issue itself.
        async with delivery.context.engine.begin() as connection:
            assert await pause_issue(connection, issue_id=issue_id, reason="by hand")
        if corrected == "content":
            _correct(seed, issue_id, html_content="<p>right</p>")
        else:
            seed.execute("UPDATE publishing.newsletter SET from_email = 'right@example.com', from_name = 'Right'")
        async with delivery.context.engine.begin() as connection:
            assert await resume_issue(connection, issue_id=issue_id)
        for replica in (other, delivery):
            assert await replica.send_one_chunk()
    messages = oracle.messages()
    assert len(messages) == 2_000
    if corrected == "content":
        assert ["right" in message.html for message in messages] == [False] * 1_000 + [True] * 1_000
    else:
        assert seed.execute("SELECT sender_version > 1 FROM publishing.published_newsletters") == [(True,)]


async def test_what_does_not_change_a_mail_is_not_read_anew(seed: Seed, delivery: Delivering) -> None:
    seed.published_issue(seed.subscribers(1_000))
    first = await delivery.claim()
    assert first is not None
    seed.execute("UPDATE publishing.newsletter SET is_listed = NOT is_listed, sender_version = sender_version")
    second = await delivery.claim()
    assert second is not None
    assert first.content is second.content
    await send_chunk(delivery.context, first)


async def test_the_title_is_merged_for_each_reader_and_holds_no_line_break(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    readers = seed.subscribers(2)
    seed.execute(
        "UPDATE subscriptions.subscriber SET name = %s WHERE id = %s", ("Ann\r\nBcc: all@example.com", readers[1])
    )
    seed.published_issue(readers, html="<p>{{ issue.title }}</p>", title="Hi {{ subscriber.name }}, news")
    await delivery.send_all_due()
    subjects = {message.to: message.subject for message in oracle.messages()}
    assert subjects["reader-2@example.com"] == "Hi Ann Bcc: all@example.com, news"
    assert subjects["reader-1@example.com"] == "Hi Reader 1, news"
    assert any("<p>Hi Reader 1, news</p>" in message.html for message in oracle.messages())
