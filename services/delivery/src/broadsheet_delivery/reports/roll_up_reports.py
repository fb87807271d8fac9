"""Roll up the figures of reports, in the background, so that no report counts on request.

What waits stands in a queue that triggers fill in the transactions that store it. A step takes some of it, works out
what the recipients' events add with the new ones and without them (`recipient_figures`), and adds the difference, all
in one transaction. So each event counts once, whatever crashes and in whatever order events come, and a second open
of the same person is no second reader.

One step at a time over all replicas: a step holds the one row of `report_pace`. While mails are being sent, the roll-up
rests forty-nine times as long as it worked, so it takes a fiftieth of the time; figures are then older, and say so.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.background.set_aside import SetAside
from broadsheet_common.process.database import may_be_the_items_fault
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.reports import block_store
from broadsheet_delivery.reports import roll_up_store as store
from broadsheet_delivery.reports.block_store import Cohort, block_of
from broadsheet_delivery.reports.link_name import name_of_link
from broadsheet_delivery.reports.recipient_figures import Cell, FigureSums, RecipientEvent
from broadsheet_delivery.reports.roll_up_store import Pace, StoredEvent
from broadsheet_delivery.reports.tables import REPORT_BLOCK_SIZE

ITEMS_A_STEP: Final = 2_000
ITEMS_A_STEP_WHILE_SENDING: Final = 500
"""A step works on the event loop on which mails are composed."""
OLDER_EVENTS_A_STEP: Final = 10_000
CHUNKS_A_STEP: Final = 10
BLOCKS_A_STEP: Final = 5
STEPS_A_ROUND_MAX: Final = 200
REST_WHILE_SENDING: Final = 49.0
"""Times as long as the step took."""


class Arrivals(msgspec.Struct, frozen=True):
    """What a step brings into the figures. `gone`: all that have left by the mail's link, of them `leaving` now."""

    event_ids: frozenset[int]
    leaving: set[int]
    gone: set[int]


async def roll_up_reports(context: DeliveryContext) -> int:
    """One bounded round. Returns how many steps found work. Any number of replicas may run it.

    An issue whose step fails is set aside, and has its turn again after the others.
    """
    steps = 0
    while steps < STEPS_A_ROUND_MAX and await _step(context):
        steps += 1
    return steps


async def _step(context: DeliveryContext) -> bool:
    """One transaction. Returns whether it found work that could be done."""
    held: SetAside[int] = context.set_asides.of("delivery.reports")
    began_s = time.monotonic()
    turn: Turn | None = None
    try:
        async with context.engine.begin() as connection:
            pace = await store.take_turn(connection)
            turn = None if pace is None else await _next_turn(connection, pace, held.resting())
            if pace is None or turn is None:
                return False
            await _take(connection, pace, turn)
            rest_s = REST_WHILE_SENDING * (time.monotonic() - began_s) if pace.is_sending else 0.0
            await store.end_turn(connection, issue_id=turn.issue_id, rest=timedelta(seconds=rest_s))
    except Exception as error:
        if turn is None or turn.issue_id is None or not may_be_the_items_fault(error):
            raise
        held.hold(turn.issue_id, error)
        return True
    if turn.issue_id is not None:
        held.forget(turn.issue_id)
    return True


class Turn(msgspec.Struct, frozen=True):
    """What a step does: of one issue its acceptances, its events or both; without an issue, the older events."""

    issue_id: int | None
    has_accepted: bool = False
    has_events: bool = False


async def _next_turn(connection: AsyncConnection, pace: Pace, resting: frozenset[int]) -> Turn | None:
    """Issues take turns, so that neither a long queue nor a long issue keeps the others waiting."""
    after = pace.last_issue_id
    to_pass = await block_store.next_issue_to_pass(connection, after_issue_id=after, resting=resting)
    waiting = await store.next_issue_with_events(connection, after_issue_id=after, resting=resting)
    found = [one for one in (to_pass, waiting) if one is not None]
    if found:
        issue_id = min(found, key=lambda one: (one <= after, one))
        return Turn(issue_id, has_accepted=issue_id == to_pass, has_events=issue_id == waiting)
    return Turn(None) if pace.backfill_next_id <= pace.backfill_end_id else None


async def _take(connection: AsyncConnection, pace: Pace, turn: Turn) -> None:
    if turn.issue_id is None:
        await store.queue_older_events(connection, pace, limit=OLDER_EVENTS_A_STEP)
        return
    if turn.has_accepted:
        await _count_accepted(connection, turn.issue_id)
    if turn.has_events:
        await _count_events(connection, turn.issue_id, pace)


async def _count_accepted(connection: AsyncConnection, issue_id: int) -> None:
    """Done chunks while the issue is under way; once all of it when it has ended, which finds what was settled in the
    single-mail lane, or later than its chunk.
    """
    held = await block_store.find_pass(connection, issue_id)
    if held.finished_at is None:
        spans = await block_store.take_done_chunks(connection, issue_id, limit=CHUNKS_A_STEP)
        await _count_spans(connection, issue_id, spans)
        await store.note_rolled(connection, issue_id)
        return
    first_seq = held.next_seq if held.pass_for == held.finished_at else 1
    behind = min(first_seq + BLOCKS_A_STEP * REPORT_BLOCK_SIZE, held.seq_end)
    if first_seq < behind:
        await _count_spans(connection, issue_id, [(first_seq, behind - 1)])
    await block_store.note_pass(
        connection, issue_id, pass_for=held.finished_at, next_seq=behind, complete=behind >= held.seq_end
    )


async def _count_spans(connection: AsyncConnection, issue_id: int, spans: list[tuple[int, int]]) -> None:
    if spans:
        blocks = {block for first, last in spans for block in range(block_of(first), block_of(last) + 1)}
        await block_store.fill_blocks(connection, issue_id, sorted(blocks))
        await block_store.count_accepted(connection, issue_id, spans)


async def _count_events(connection: AsyncConnection, issue_id: int, pace: Pace) -> None:
    items = await store.take_waiting(
        connection, issue_id, limit=min(ITEMS_A_STEP, ITEMS_A_STEP_WHILE_SENDING if pace.is_sending else ITEMS_A_STEP)
    )
    published_at = await store.published_at(connection, issue_id)
    if published_at is None:
        return
    new_ids = [item for item in items if item > 0]
    leaving = {-item for item in items if item < 0}
    seqs = sorted(leaving | await store.seqs_of_events(connection, new_ids))
    await block_store.fill_blocks(connection, issue_id, sorted({block_of(seq) for seq in seqs}))
    cohorts = await block_store.cohorts_of(connection, issue_id, seqs)
    events = await store.events_of_recipients(connection, issue_id, seqs=seqs, pace=pace)
    gone = await store.departures_of(connection, issue_id, seqs=seqs)
    names = {name_of_link(one.shared_link, one.link) for one in events if one.record_type == "Click"}
    links = await store.number_links(connection, issue_id, sorted(names)) if names else {}
    await store.add_figures(
        connection,
        issue_id,
        _differences(cohorts, events, links, Arrivals(frozenset(new_ids), leaving, gone), published_at),
    )
    await store.note_rolled(connection, issue_id)


def _differences(
    cohorts: Sequence[Cohort],
    events: Sequence[StoredEvent],
    links: Mapping[str, int],
    arrivals: Arrivals,
    published_at: datetime,
) -> Counter[Cell]:
    by_recipient: defaultdict[int, list[StoredEvent]] = defaultdict(list)
    for one in events:
        by_recipient[one.seq].append(one)
    sums = FigureSums(published_at)
    for cohort in cohorts:
        theirs = by_recipient.get(cohort.seq, [])
        left = cohort.seq in arrivals.gone
        with_new = [_event(one, links) for one in theirs]
        before = [event for event, one in zip(with_new, theirs, strict=True) if one.id not in arrivals.event_ids]
        sums.add(with_new, variant=cohort.variant, domain=cohort.domain, left=left, weight=1)
        left_before = left and cohort.seq not in arrivals.leaving
        sums.add(before, variant=cohort.variant, domain=cohort.domain, left=left_before, weight=-1)
    return sums.cells()


def _event(one: StoredEvent, links: Mapping[str, int]) -> RecipientEvent:
    is_click = one.record_type == "Click"
    return RecipientEvent(
        one.record_type,
        one.occurred_at,
        bounce_type=(one.bounce_type or "unknown") if one.record_type == "Bounce" else None,
        link=links[name_of_link(one.shared_link, one.link)] if is_click else 0,
        by_agent=one.machine is not None,
        leaves=one.leaves,
    )
