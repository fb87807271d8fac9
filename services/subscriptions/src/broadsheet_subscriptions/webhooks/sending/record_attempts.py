"""Records the results of attempts: in the log, in each delivery's status, and in the endpoints' failures."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, assert_never

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_subscriptions.webhooks.endpoints.endpoint import FAILURES_BEFORE_DISABLING
from broadsheet_subscriptions.webhooks.sending import store
from broadsheet_subscriptions.webhooks.sending.answer import (
    Answer,
    Answered,
    Delivered,
    EndpointGone,
    Failed,
    NotAnswered,
    RetryIn,
    describe,
    shown_answer,
)
from broadsheet_subscriptions.webhooks.sending.attempt import Attempt, Called, GivenBack, NotToBeTold
from broadsheet_subscriptions.webhooks.sending.store import AttemptMade, Claimed, Settlement

GONE_REASON: Final = "The endpoint answered 410: it is gone for good."

_log = structlog.get_logger()


async def record_attempts(
    connection: AsyncConnection, made: Sequence[tuple[Claimed, Attempt]], *, failing_max: timedelta
) -> None:
    """Records all of them in the caller's transaction. An endpoint that has failed for `failing_max` is disabled."""
    called = [(claimed, attempt) for claimed, attempt in made if isinstance(attempt, Called)]
    if called:
        await store.record_attempts(connection, [_log_line(claimed, attempt) for claimed, attempt in called])
    await store.settle(connection, [_settlement(claimed, attempt) for claimed, attempt in made])
    # A test does not count for the endpoint's failures: it is sent while the set-up may still be wrong.
    await _note_endpoints(
        connection, [(claimed, attempt) for claimed, attempt in called if not claimed.is_test], failing_max
    )


def _log_line(claimed: Claimed, called: Called) -> AttemptMade:
    match called.answer:
        case Answered(status=status, body=body):
            return AttemptMade(claimed, called.duration_ms, status, None, shown_answer(body))
        case NotAnswered(reason=reason):
            return AttemptMade(claimed, called.duration_ms, None, reason, None)
        case _:
            assert_never(called.answer)


def _settlement(claimed: Claimed, attempt: Attempt) -> Settlement:
    match attempt:
        case GivenBack():
            return Settlement(claimed, "waiting", begun=False)
        case NotToBeTold():
            return Settlement(claimed, "cancelled", begun=False)
        case Called(verdict=verdict):
            match verdict:
                case Delivered():
                    return Settlement(claimed, "delivered")
                case RetryIn(wait_s=wait_s):
                    return Settlement(claimed, "waiting", wait_s=wait_s)
                case Failed() | EndpointGone():
                    return Settlement(claimed, "failed")
                case _:
                    assert_never(verdict)
        case _:
            assert_never(attempt)


async def _note_endpoints(
    connection: AsyncConnection, called: Sequence[tuple[Claimed, Called]], failing_max: timedelta
) -> None:
    succeeded: set[int] = set()
    gone: set[int] = set()
    failures: defaultdict[int, list[Answer]] = defaultdict(list)
    for claimed, attempt in called:
        match attempt.verdict:
            case Delivered():
                succeeded.add(claimed.endpoint_id)
            case EndpointGone():
                gone.add(claimed.endpoint_id)
            case RetryIn() | Failed():
                failures[claimed.endpoint_id].append(attempt.answer)
            case _:
                assert_never(attempt.verdict)
    if succeeded:
        await store.note_success(connection, sorted(succeeded))
    for endpoint_id in sorted(gone | (failures.keys() - succeeded)):
        if endpoint_id in gone:
            await store.disable_endpoint(connection, endpoint_id, reason=GONE_REASON)
            disabled = True
        else:
            answers = failures[endpoint_id]
            disabled = await store.note_failure(
                connection,
                endpoint_id,
                failures=len(answers),
                described=describe(answers[-1]),
                failing_max=failing_max,
                failures_min=FAILURES_BEFORE_DISABLING,
            )
        if disabled:
            _log.warning("webhooks.endpoint_disabled", endpoint_id=endpoint_id)
