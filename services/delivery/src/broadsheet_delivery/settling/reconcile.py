"""Reconcile: settle calls that may or may not have been sent, by asking Postmark.

An uncertain call is searched for by its attempt id on its stream. What the search shows was accepted. What it
does not show was not sent only if all of this holds, because the search lags without a documented bound:
  - the search answered 200;
  - the attempt is older than the floor (DELIVERY_RECONCILE_FLOOR_S);
  - a canary is visible: a mail that was accepted later on the same stream shows in the same search.
Only then does the rest of a chunk become pending again. A transactional mail (a confirmation) may be sent again
on the floor alone: a second copy does no harm, and somebody waits for it. A welcome mail may not: it is given up
at the deadline. Until then everything stays uncertain, and is asked about again after a growing wait. What is still
uncertain at the deadline (DELIVERY_RECONCILE_DEADLINE_S) is parked: an operator may decide about it
(decide_uncertain), and it is asked about only now and then.

The search may hang: calls are asked about concurrently, each for a bounded time, and `park_overdue` parks what
the rounds did not reach.
"""

import asyncio
import uuid
from enum import Enum
from random import Random
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.composing.compose_mail import delivery_id
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.postmark.answer import FoundMessage, UnusableAnswerError
from broadsheet_delivery.postmark.boot_clock import boot_time_s
from broadsheet_delivery.postmark.call_result import AcceptedItem, Answered
from broadsheet_delivery.postmark.message import METADATA_DELIVERY, METADATA_MAIL, encode_message
from broadsheet_delivery.queue.interface import (
    ChunkRange,
    Settled,
    SettledMail,
    canary_is_wanted,
    find_canary,
    give_up_welcome_mails,
    insert_attempt,
    insert_attempt_end,
    insert_outcomes,
    raise_accepted_count,
    requeue_uncertain,
    settle_mails,
    settle_uncertain,
    uncertain_mails,
)
from broadsheet_delivery.queue.outcome import Accepted
from broadsheet_delivery.settling.due_attempts_store import UncertainAttempt, take_due_attempts
from broadsheet_delivery.settling.parking_store import (
    OVERDUE_A_ROUND_MAX,
    park_all_overdue,
    park_uncertain,
    settle_waiting_alone,
)
from broadsheet_delivery.throttle.back_off import parked_wait_s, search_wait_s

ATTEMPTS_A_ROUND_MAX = 20
ASKED_AT_ONCE_MAX = 10
_NEVER_KNOWN: Final = "Postmark did not show in time whether it was sent, and it is not sent twice."


class Canary(Enum):
    """Whether a mail that was accepted after the call in question is visible."""

    VISIBLE = "visible"
    HIDDEN = "hidden"
    JUST_SENT = "just sent"


class Finding(msgspec.Struct, frozen=True):
    """What the search showed; it was asked after the canary was looked for."""

    found: list[FoundMessage]
    canary: Canary

    @property
    def rest_was_not_sent(self) -> bool:
        """Whether a mail that the search does not show was certainly not sent."""
        return self.canary is Canary.VISIBLE

    def wait_s(self, searches: int, random: Random) -> float:
        """The wait before the next search, after so many; short if a canary may become visible at any moment."""
        return search_wait_s(0 if self.canary is Canary.JUST_SENT else searches, random)


async def reconcile(context: DeliveryContext) -> int:
    """One bounded round over the uncertain calls that are due. Returns how many were asked about.

    They are asked about concurrently and settled one after another. If one cannot be settled, the others still
    are, and its exception is raised at the end.
    """
    attempts = await _due_attempts(context)
    free = asyncio.Semaphore(ASKED_AT_ONCE_MAX)
    asking = [asyncio.create_task(_ask_in_turn(context, attempt, free)) for attempt in attempts]
    failures: list[Exception] = []
    try:
        for asked in asyncio.as_completed(asking):
            try:
                await _settle(context, *(await asked))
            except Exception as error:  # noqa: BLE001  # raised below, after the others
                failures.append(error)
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    if failures:
        raise failures[0]
    return len(attempts)


async def park_overdue(context: DeliveryContext) -> int:
    """Park what is uncertain past the deadline, whatever the search does. Returns how many chunks and mails.

    They stay due, so the next round asks about each once more before their wait becomes long.
    """
    async with context.engine.begin() as connection:
        parked = await park_all_overdue(connection, deadline=context.reconcile_deadline, limit=OVERDUE_A_ROUND_MAX)
    if parked:
        context.log.warning("delivery.parked_overdue", chunks_or_mails=parked)
    return parked


async def _ask_in_turn(
    context: DeliveryContext, attempt: UncertainAttempt, free: asyncio.Semaphore
) -> tuple[UncertainAttempt, Finding | None]:
    """None: the search gave no usable answer."""
    async with free:
        try:
            return attempt, await _ask(context, attempt)
        except UnusableAnswerError as error:
            context.log.warning("delivery.search_unavailable", attempt_id=str(attempt.id), reason=str(error))
            return attempt, None


async def _settle(context: DeliveryContext, attempt: UncertainAttempt, finding: Finding | None) -> None:
    if finding is not None and attempt.chunk is not None:
        await _settle_chunk(context, attempt, attempt.chunk, finding)
    elif finding is not None:
        await _settle_mails(context, attempt, finding)
    if attempt.overdue:
        await _park(context, attempt)


async def _due_attempts(context: DeliveryContext) -> list[UncertainAttempt]:
    async with context.engine.begin() as connection:
        return await take_due_attempts(
            connection,
            limit=ATTEMPTS_A_ROUND_MAX,
            call_timeout=context.call_timeout,
            floor=context.reconcile_floor,
            deadline=context.reconcile_deadline,
        )


async def _ask(context: DeliveryContext, attempt: UncertainAttempt) -> Finding:
    """The canary first: a mail accepted before it is then in the search that is asked after it. The other way round,
    a search that catches up in between would show the canary, although the attempt was searched for too early.
    """
    canary = await _look_for_canary(context, attempt) if attempt.old_enough else Canary.HIDDEN
    found = await context.postmark.search(attempt_id=attempt.id, stream=attempt.stream)
    return Finding(found, canary)


async def _look_for_canary(context: DeliveryContext, attempt: UncertainAttempt) -> Canary:
    """Whether a mail accepted on the stream after the attempt's call had ended is visible."""
    async with context.engine.connect() as connection:
        canary = await find_canary(
            connection, stream=attempt.stream, attempt_id=attempt.id, call_timeout=context.call_timeout
        )
    if canary is None:
        return Canary.JUST_SENT if await _send_canary(context, attempt) else Canary.HIDDEN
    seen = await context.postmark.search(attempt_id=canary, stream=attempt.stream)
    return Canary.VISIBLE if seen else Canary.HIDDEN


async def _send_canary(context: DeliveryContext, attempt: UncertainAttempt) -> bool:
    """If no later mail of ours can serve: one mail to the operator's own address, if one is set."""
    if context.canary_address is None:
        return False
    canary_id = uuid.uuid4()
    async with context.engine.begin() as connection:
        if not await canary_is_wanted(
            connection, stream=attempt.stream, attempt_id=attempt.id, call_timeout=context.call_timeout
        ):
            return False
        await insert_attempt(
            connection,
            attempt_id=canary_id,
            lane="canary",
            stream=attempt.stream,
            replica_id=context.replica.id,
            message_count=1,
        )
    mail = context.composer.canary_mail(to=context.canary_address, stream=attempt.stream, attempt_id=canary_id)
    # A canary that takes longer is treated as lost: other calls wait for the result of this round.
    until_s = boot_time_s() + context.postmark.search_timeout_s
    result = await context.postmark.send_batch([encode_message(mail)], until_s=until_s)
    accepted = isinstance(result, Answered) and isinstance(result.items[0], AcceptedItem)
    async with context.engine.begin() as connection:
        await insert_attempt_end(
            connection,
            attempt_id=canary_id,
            verdict="answered" if isinstance(result, Answered) else "uncertain",
            accepted_count=int(accepted),
        )
    return accepted


async def _settle_chunk(
    context: DeliveryContext, attempt: UncertainAttempt, chunk: ChunkRange, finding: Finding
) -> None:
    ours = {delivery_id(chunk.issue_id, seq): seq for seq in range(chunk.first_seq, chunk.last_seq + 1)}
    settled = [
        Settled(ours[message.metadata[METADATA_DELIVERY]], Accepted(message.message_id))
        for message in finding.found
        if message.metadata.get(METADATA_DELIVERY) in ours
    ]
    wait_s = finding.wait_s(attempt.searches + 1, context.random)
    async with context.engine.begin() as connection:
        await insert_outcomes(connection, issue_id=chunk.issue_id, attempt_id=attempt.id, settled=settled)
        await settle_waiting_alone(connection, issue_id=chunk.issue_id, attempt_id=attempt.id, settled=settled)
        still_uncertain = not finding.rest_was_not_sent
        held = await settle_uncertain(
            connection,
            chunk,
            attempt_id=attempt.id,
            still_uncertain=still_uncertain,
            wait_s=wait_s if still_uncertain else 0.0,
        )
        await _record_end(connection, attempt, len(settled))
    context.log.info(
        "delivery.reconciled",
        attempt_id=str(attempt.id),
        issue_id=chunk.issue_id,
        found=len(settled),
        rest_was_not_sent=finding.rest_was_not_sent,
        held=held,
    )


async def _settle_mails(context: DeliveryContext, attempt: UncertainAttempt, finding: Finding) -> None:
    by_mail = {m.metadata.get(METADATA_MAIL): m.message_id for m in finding.found}
    by_delivery = {m.metadata.get(METADATA_DELIVERY): m.message_id for m in finding.found}
    async with context.engine.begin() as connection:
        settled: list[SettledMail] = []
        missing_transactional: list[int] = []
        missing_newsletter: list[int] = []
        for mail in await uncertain_mails(connection, attempt_id=attempt.id):
            if mail.issue_id is not None and mail.seq is not None:
                message_id = by_delivery.get(delivery_id(mail.issue_id, mail.seq))
                missing = missing_newsletter
            else:
                message_id = by_mail.get(str(mail.id))
                missing = missing_newsletter if mail.kind == "welcome" else missing_transactional
            if message_id is not None:
                settled.append(SettledMail(mail.id, Accepted(message_id)))
            else:
                missing.append(mail.id)
        await settle_mails(connection, settled=settled, attempt_id=attempt.id)
        for ids, goes_again in (
            (missing_transactional, attempt.old_enough),
            (missing_newsletter, finding.rest_was_not_sent),
        ):
            wait_s = 0.0 if goes_again else finding.wait_s(attempt.searches + 1, context.random)
            await requeue_uncertain(
                connection, ids=ids, attempt_id=attempt.id, still_uncertain=not goes_again, wait_s=wait_s
            )
        await _record_end(connection, attempt, len(settled))


async def _park(context: DeliveryContext, attempt: UncertainAttempt) -> None:
    async with context.engine.begin() as connection:
        parked = await park_uncertain(
            connection,
            attempt_id=attempt.id,
            chunk_id=attempt.chunk.id if attempt.chunk else None,
            wait_s=parked_wait_s(context.random),
        )
        given_up = await give_up_welcome_mails(connection, attempt_id=attempt.id, reason=_NEVER_KNOWN)
    if given_up:
        context.log.warning("delivery.welcome_mails_given_up", attempt_id=str(attempt.id), mails=given_up)
    if parked:
        context.log.warning("delivery.parked", attempt_id=str(attempt.id), chunks_or_mails=parked)


async def _record_end(connection: AsyncConnection, attempt: UncertainAttempt, found: int) -> None:
    """A call whose process died has no recorded end; what the search first shows of it becomes its end.

    A call recorded as uncertain keeps that, but its accepted mails are counted: it can serve as a canary.
    """
    if found == 0:
        return
    await insert_attempt_end(connection, attempt_id=attempt.id, verdict="reconciled", accepted_count=found)
    await raise_accepted_count(connection, attempt_id=attempt.id, found=found)
