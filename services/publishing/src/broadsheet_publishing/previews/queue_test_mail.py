"""Queue a test mail once for each request, and answer it: the same for an issue and for a welcome mail."""

from collections.abc import Awaitable, Callable, Sequence

import structlog
from litestar import Response
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.contracts.identity import ServiceRequest
from broadsheet_common.http.idempotency import find_first_answer, keep_answer, replay
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_publishing.previews.mail_preview import Preview
from broadsheet_publishing.previews.wire import TestSent
from broadsheet_publishing.tables import idempotency_key

_log = structlog.get_logger()


async def queue_test_mail(
    engine: AsyncEngine,
    request: ServiceRequest,
    key: str | None,
    preview: Preview,
    addresses: Sequence[EmailAddress],
    send: Callable[[AsyncConnection], Awaitable[None]],
    **of: int,
) -> Response[TestSent]:
    """One transaction. `key`: the request's idempotency key; `send` queues the mails; `of`: what they are of, for the
    log.

    Raises:
        IdempotencyKeyReusedError, IdempotencyInFlightError
    """
    sent = TestSent(sent=len(addresses), subject=preview.subject)
    async with engine.begin() as connection:
        if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
            return replay(answer, TestSent)
        await send(connection)
        await keep_answer(connection, idempotency_key, request, key, status=202, body=sent)
    _log.info("publishing.test_sent", mails=len(addresses), **of)
    return Response(sent, status_code=202)
