"""Tell Postmark which suppressions were made or lifted here: after the commit, and again until it has answered."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec

from broadsheet_common.background.set_aside import SetAside, batch_or_each
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.postmark.answer import UnusableAnswerError
from broadsheet_delivery.postmark.boot_clock import boot_time_s
from broadsheet_delivery.postmark.records import ADDRESSES_A_CALL_MAX
from broadsheet_delivery.suppressions.store import (
    Telling,
    ToTell,
    end_telling,
    lease_telling,
    lift_by_consent,
    list_lift_requests,
    put_telling_off,
)
from broadsheet_delivery.throttle.back_off import retry_wait_s

CALLS_A_ROUND_MAX: Final = 10
REQUESTS_A_BATCH_MAX: Final = 100
REQUESTS_A_ROUND_MAX: Final = 1_000
_LEASE_MARGIN: Final = timedelta(seconds=5)


class _LiftRequest(msgspec.Struct, frozen=True):
    """The id of a request, told apart from the ids of suppressions."""

    id: int

    def __str__(self) -> str:
        return f"lift request {self.id}"


async def tell_postmark(context: DeliveryContext) -> int:
    """One bounded round. Returns how many changes Postmark was told of. No transaction is open during a call.

    Requests of people who confirmed again are handled first.
    """
    for _ in range(REQUESTS_A_ROUND_MAX // REQUESTS_A_BATCH_MAX):
        if not await _lift_by_consent(context):
            break
    told = 0
    for _ in range(CALLS_A_ROUND_MAX):
        began_s = boot_time_s()
        async with context.engine.begin() as connection:
            telling = await lease_telling(
                connection, lease=context.call_timeout + _LEASE_MARGIN, limit=ADDRESSES_A_CALL_MAX
            )
        if telling is None:
            break
        told += await _tell_or_put_off(context, telling, until_s=began_s + context.call_timeout.total_seconds())
    return told


async def _lift_by_consent(context: DeliveryContext) -> int:
    """One batch. Returns how many requests were handled. One that fails alone is set aside."""
    held: SetAside[int | _LiftRequest] = context.set_asides.of("delivery.tell_postmark")

    async def lift(requests: Sequence[_LiftRequest]) -> int:
        async with context.engine.begin() as connection:
            handled = await lift_by_consent(connection, ids=[request.id for request in requests])
        for request in requests:
            held.forget(request)
        return handled

    async def put_aside(request: _LiftRequest, error: Exception) -> None:
        held.hold(request, error)

    resting = {key.id for key in held.resting() if isinstance(key, _LiftRequest)}
    async with context.engine.connect() as connection:
        ids = await list_lift_requests(connection, limit=REQUESTS_A_BATCH_MAX, resting=resting)
    return await batch_or_each([_LiftRequest(request_id) for request_id in ids], lift, put_aside=put_aside)


async def _tell_or_put_off(context: DeliveryContext, telling: Telling, *, until_s: float) -> int:
    """Changes that cannot be told together are told one by one; one that fails alone waits and stays untold."""

    async def tell(changes: Sequence[ToTell]) -> int:
        return await _tell(context, Telling(telling.stream, telling.active, list(changes)), until_s=until_s)

    async def put_aside(change: ToTell, error: Exception) -> None:
        context.set_asides.of("delivery.tell_postmark").hold(change.id, error)
        async with context.engine.begin() as connection:
            wait_s = retry_wait_s(change.tell_count, context.random)
            await put_telling_off(connection, ids=[change.id], wait_s=wait_s)

    return await batch_or_each(telling.changes, tell, put_aside=put_aside)


async def _tell(context: DeliveryContext, telling: Telling, *, until_s: float) -> int:
    ids_of = {change.email_key: change.id for change in telling.changes}
    try:
        answers = await context.records.tell(
            stream=telling.stream, addresses=list(ids_of), suppress=telling.active, until_s=until_s
        )
    except UnusableAnswerError as error:
        context.log.warning("delivery.suppressions_not_told", stream=telling.stream, reason=str(error))
        failures = max(change.tell_count for change in telling.changes)
        wait_s = retry_wait_s(failures, context.random)
        async with context.engine.begin() as connection:
            await put_telling_off(connection, ids=list(ids_of.values()), wait_s=wait_s)
        return 0
    async with context.engine.begin() as connection:
        for answer in answers:
            suppression_id = ids_of.pop(answer.email_address.lower(), None)
            if suppression_id is None:
                continue
            if answer.refusal is not None:
                context.log.error("delivery.suppression_refused", suppression_id=suppression_id)
            await end_telling(connection, ids=[suppression_id], active=telling.active, error=answer.refusal)
        # Addresses that the answer does not name are due again when their lease ends.
    return len(answers)
