"""The figures of an issue are those of its events, each counted once, whatever happens while they are rolled up."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.events.apply_events import apply_provider_events
from broadsheet_delivery.reports import roll_up_reports as module
from broadsheet_delivery.reports import roll_up_store
from broadsheet_delivery.reports.roll_up_reports import roll_up_reports
from harness.cluster import Cluster
from harness.delivering import Delivering, delivering
from harness.oracle import Oracle
from harness.postmark.events import event, hard_bounce, left, tell
from harness.seeding import Seed

from .naive_report import LEFT_BY_LINK, Told, count_naively
from .world import NOON, figures, roll_up, store_events

PEOPLE = 4
RECORDED = ["Delivery", "Bounce", "SpamComplaint", "Open", "Click", "SubscriptionChange", LEFT_BY_LINK]


class _Killed(BaseException):
    """A process that ends in the middle of a transaction."""


class _World:
    """One database for all examples; each has an issue of its own."""

    def __init__(self, runner: asyncio.Runner, seed: Seed, delivery: Delivering) -> None:
        self.runner = runner
        self.seed = seed
        self.delivery = delivery
        self.people = seed.subscribers(PEOPLE)
        seed.execute(
            "UPDATE subscriptions.subscriber SET email = replace(email, 'example.com', 'example.org'), "
            "email_key = replace(email_key, 'example.com', 'example.org') WHERE id = %s",
            (self.people[-1],),
        )
        self.domains = dict.fromkeys(range(1, PEOPLE), "example.com") | {PEOPLE: "example.org"}


@pytest.fixture(scope="module")
def world(cluster: Cluster) -> Iterator[_World]:
    with cluster.database() as database, asyncio.Runner() as runner, Seed.connect(database) as seed:
        # No mail is sent, so nothing answers there.
        replica = delivering(database, "http://127.0.0.1:9", "no-token")
        delivery = runner.run(replica.__aenter__())
        try:
            yield _World(runner, seed, delivery)
        finally:
            runner.run(replica.__aexit__(None, None, None))


_told = st.builds(
    Told,
    record_type=st.sampled_from(RECORDED),
    seq=st.integers(1, PEOPLE),
    at=st.integers(0, 40).map(lambda n: NOON + timedelta(seconds=n)),
    bounce_type=st.sampled_from(["HardBounce", "SoftBounce", "Blocked", "DnsError"]),
    link=st.sampled_from([f"https://example.com/{n}" for n in range(4)]),
    by_agent=st.booleans(),
)
_steps = st.lists(st.one_of(_told, _told, _told, st.sampled_from(["roll", "two", "killed"])), max_size=40)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_steps)
def test_figures_are_those_of_a_plain_count_whatever_order_copies_crashes_and_replicas(
    world: _World, monkeypatch: pytest.MonkeyPatch, steps: list[Told | str]
) -> None:
    seed, context = world.seed, world.delivery.context
    issue_id = seed.published_issue(world.people)
    _end_of_sending(seed, issue_id)
    monkeypatch.setattr(module, "ITEMS_A_STEP", 3)

    async def die(*_: Any) -> None:
        raise _Killed

    async def killed() -> None:
        with pytest.MonkeyPatch.context() as patch:
            # After the figures were added, and before the commit.
            patch.setattr(roll_up_store, "note_rolled", die)
            try:
                await roll_up_reports(context)
            except _Killed:
                return

    async def two() -> None:
        await asyncio.gather(roll_up_reports(context), roll_up_reports(context))

    told: list[Told] = []
    for step in steps:
        match step:
            case Told():
                one = _canonical(step)
                told.append(one)
                store_events(seed, issue_id, world.people, one)
            case "killed":
                world.runner.run(killed())
            case "two":
                world.runner.run(two())
            case _:
                world.runner.run(roll_up_reports(context))
    world.runner.run(roll_up(world.delivery, seed))
    found = figures(seed, issue_id)
    expected = count_naively(told, world.domains)
    compared = {key: count for key, count in found.items() if key[0] in {"all", "domain", "link"}}
    assert {key: count for key, count in compared.items() if key[2] not in {"recipients", "accepted"}} == expected
    _assert_parts_add_up(found)


def _canonical(one: Told) -> Told:
    """Without what does not belong to its type, so that two equal ones are one event."""
    kind = one.record_type
    return Told(
        kind,
        one.seq,
        NOON if kind == LEFT_BY_LINK else one.at,
        bounce_type=one.bounce_type if kind == "Bounce" else "",
        link=one.link if kind == "Click" else "",
        by_agent=one.by_agent and kind in {"Open", "Click"},
    )


def _assert_parts_add_up(found: Any) -> None:
    for figure in ("delivered", "opens", "opened", "clicks", "clicked", "machine_clicks", "bounced"):
        whole = found["all", "", figure]
        for part in ("domain", "variant", "time"):
            assert sum(count for key, count in found.items() if key[0] == part and key[2] == figure) == whole, figure


def _end_of_sending(seed: Seed, issue_id: int) -> None:
    """As if every delivery had been accepted."""
    seed.execute(
        "INSERT INTO delivery.delivery_outcome (issue_id, seq, outcome) "
        "SELECT issue_id, seq, 'accepted' FROM delivery.delivery WHERE issue_id = %s",
        (issue_id,),
    )
    seed.execute(
        "UPDATE delivery.delivery_chunk SET status = 'done', accepted_count = last_seq - first_seq + 1 "
        "WHERE issue_id = %s",
        (issue_id,),
    )
    seed.execute(
        "UPDATE delivery.issue_run SET state = 'finished', finished_at = now(), preflight_at = now() "
        "WHERE issue_id = %s",
        (issue_id,),
    )


async def test_accepted_and_recipients_are_counted_by_domain_and_by_variant(delivery: Delivering, seed: Seed) -> None:
    people = seed.subscribers(1_200)
    seed.execute("UPDATE subscriptions.subscriber SET email_key = 'x' || id || '@b.example' WHERE mod(id, 3) = 0")
    seed.leave(people[0])
    issue_id = seed.published_issue(people)
    seed.execute(
        "INSERT INTO publishing.compiled_content (issue_id, variant, title, subject, text_content) "
        "VALUES (%s, 2, 'Title', 'Another subject', 'Hello')",
        (issue_id,),
    )
    seed.execute("UPDATE delivery.delivery_chunk SET variant = 2 WHERE first_seq = 501")
    await delivery.send_one_chunk()
    await roll_up(delivery, seed)
    assert figures(seed, issue_id)["all", "", "accepted"] == 499
    await _send_and_roll_up(delivery, seed)
    found = figures(seed, issue_id)
    assert found["all", "", "recipients"] == 1_200
    assert found["all", "", "accepted"] == 1_199
    assert (found["variant", "1", "recipients"], found["variant", "2", "recipients"]) == (700, 500)
    assert (found["variant", "1", "accepted"], found["variant", "2", "accepted"]) == (699, 500)
    of_b = sum(person % 3 == 0 for person in people)
    assert found["domain", "b.example", "recipients"] == of_b
    assert found["domain", "example.com", "recipients"] == 1_200 - of_b


async def _send_and_roll_up(delivery: Delivering, seed: Seed) -> None:
    await delivery.send_all_due()
    await roll_up(delivery, seed)


async def test_an_open_and_a_click_that_postmark_tells_of_come_into_the_figures_once(
    delivery: Delivering, seed: Seed, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(3), html='<a href="https://example.com/a?b=1&amp;c=2">x</a>')
    await delivery.send_all_due()
    first, second, third = oracle.messages()
    link = "https://example.com/a?b=1&c=2"
    agent = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"
    told = [
        event("Delivery", first),
        event("Open", first, minutes=1, UserAgent="Mozilla/5.0"),
        event("Open", first, minutes=2, UserAgent=agent),
        event("Click", first, minutes=3, UserAgent=agent, OriginalLink=link),
        hard_bounce(second),
        left(third),
    ]
    tell(seed, *told, *told)
    await apply_provider_events(delivery.context)
    tell(seed, *told)
    await apply_provider_events(delivery.context)
    await roll_up(delivery, seed)
    found = figures(seed, issue_id)
    whole = {key[2]: count for key, count in found.items() if key[0] == "all"}
    assert whole == {
        "recipients": 3, "accepted": 3, "delivered": 1, "delivery_reported": 1, "opened": 1, "opened_by_reader": 1,
        "opens": 2, "machine_opens": 1, "clicked": 1, "clicked_by_reader": 1, "clicks": 1,
        "bounced": 1, "bounced_hard": 1, "unsubscribed": 1,
    }  # fmt: skip
    assert found["link", link, "clicked"] == 1, "a link that stands in the issue is named whole"


async def test_a_link_that_is_different_for_everybody_is_one_line(
    delivery: Delivering, seed: Seed, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(
        seed.subscribers(3), html='<a href="https://example.com/?e={{ subscriber.email }}">x</a>'
    )
    await delivery.send_all_due()
    tell(
        seed,
        *(
            event("Click", one, minutes=n, OriginalLink=f"https://example.com/?e={one.to}")
            for n, one in enumerate(oracle.messages())
        ),
    )
    await apply_provider_events(delivery.context)
    await roll_up(delivery, seed)
    found = figures(seed, issue_id)
    assert {key[1]: count for key, count in found.items() if key[0] == "link" and key[2] == "clicked"} == {
        "https://example.com/?[query]": 3
    }


async def test_an_issue_has_room_for_so_many_links_and_the_others_are_one(
    delivery: Delivering, seed: Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roll_up_store, "LINKS_MAX", 2)
    people = seed.subscribers(5)
    issue_id = seed.published_issue(people)
    for n in range(5):
        store_events(seed, issue_id, people, Told("Click", n + 1, NOON, link=f"https://example.com/{n}"))
        await roll_up(delivery, seed)
    found = figures(seed, issue_id)
    clicked = {key[1]: count for key, count in found.items() if key[0] == "link" and key[2] == "clicked"}
    assert clicked == {"https://example.com/0": 1, "https://example.com/1": 1, "0": 3}


async def test_events_from_before_the_queue_are_rolled_up_in_steps(
    delivery: Delivering, seed: Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = seed.subscribers(6)
    issue_id = seed.published_issue(people)
    told = [Told(kind, seq, NOON) for seq in range(1, 7) for kind in ("Delivery", "Open")]
    store_events(seed, issue_id, people, *told)
    # As the migration finds them.
    seed.execute("DELETE FROM delivery.report_queue")
    seed.execute(
        "UPDATE delivery.report_pace SET (backfill_next_id, backfill_end_id) = "
        "(SELECT min(id), max(id) FROM delivery.provider_event)"
    )
    later = Told("Open", 1, NOON + timedelta(seconds=60))
    store_events(seed, issue_id, people, later)
    monkeypatch.setattr(module, "OLDER_EVENTS_A_STEP", 5)
    monkeypatch.setattr(module, "ITEMS_A_STEP", 2)
    await roll_up(delivery, seed)
    found = {key: count for key, count in figures(seed, issue_id).items() if key[0] in {"all", "domain"}}
    expected = count_naively([*told, later], dict.fromkeys(range(1, 7), "example.com"))
    assert {key: count for key, count in found.items() if key[2] != "recipients"} == expected


async def test_a_departure_counts_for_an_issue_that_was_sent_to_the_person_and_for_no_other(
    delivery: Delivering, seed: Seed
) -> None:
    sent_to, stranger = seed.subscribers(2)
    issue_id = seed.published_issue([sent_to])
    await delivery.send_all_due()
    for subscriber_id, number in ((sent_to, issue_id), (sent_to, issue_id), (stranger, issue_id), (sent_to, 987_654)):
        seed.execute("SELECT delivery.enqueue_departure(%s, %s)", (number, subscriber_id))
    await roll_up(delivery, seed)
    assert figures(seed, issue_id)["all", "", "unsubscribed"] == 1
    assert seed.count("delivery.departure") == 1


async def test_while_mails_wait_the_roll_up_rests_and_then_goes_on(delivery: Delivering, seed: Seed) -> None:
    people = seed.subscribers(1)
    issue_id = seed.published_issue(people)
    store_events(seed, issue_id, people, Told("Open", 1, NOON))
    assert await roll_up_reports(delivery.context) == 1
    assert seed.count("delivery.report_pace", "next_at > now()") == 1, "the mail waits to be sent"
    store_events(seed, issue_id, people, Told("Open", 1, NOON + timedelta(seconds=9)))
    seed.execute("UPDATE delivery.report_pace SET next_at = now() + interval '1 hour'")
    assert await roll_up_reports(delivery.context) == 0
    await _send_and_roll_up(delivery, seed)
    assert figures(seed, issue_id)["all", "", "opens"] == 2


async def test_an_issue_whose_step_fails_does_not_hold_up_another(
    delivery: Delivering, seed: Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = seed.subscribers(1)
    bad, good = seed.published_issue(people), seed.published_issue(people)
    for issue_id in (bad, good):
        store_events(seed, issue_id, people, Told("Open", 1, NOON))
    real = roll_up_store.published_at

    async def fails(connection: AsyncConnection, issue_id: int) -> datetime | None:
        if issue_id == bad:
            raise ValueError("a row that cannot be counted")
        return await real(connection, issue_id)

    monkeypatch.setattr(roll_up_store, "published_at", fails)
    await delivery.send_all_due()
    await roll_up(delivery, seed)
    assert figures(seed, good)["all", "", "opens"] == 1
    assert figures(seed, bad)["all", "", "opens"] == 0
    monkeypatch.setattr(roll_up_store, "published_at", real)
    delivery.context.set_asides.of("delivery.reports").forget(bad)
    await roll_up(delivery, seed)
    assert figures(seed, bad)["all", "", "opens"] == 1


async def test_a_test_mail_is_in_no_report(delivery: Delivering, seed: Seed, oracle: Oracle) -> None:
    issue_id = seed.published_issue(seed.subscribers(1))
    await delivery.send_all_due()
    seed.single_mail("author@example.com", dedupe_key="test:1")
    seed.execute("UPDATE delivery.single_mail SET kind = 'test'")
    await delivery.send_all_due()
    test_mail = next(one for one in oracle.messages() if one.to == "author@example.com")
    tell(seed, event("Open", test_mail), event("Click", test_mail, OriginalLink="https://example.com"))
    assert await apply_provider_events(delivery.context) == 2
    await roll_up(delivery, seed)
    found = figures(seed, issue_id)
    assert {key[2] for key in found if key[0] == "all"} == {"recipients", "accepted"}
