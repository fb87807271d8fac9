"""The delivery queue's contract: the only way in for the other services.

Each function here calls one of the insert functions that the migrations define in the schema `delivery`; the grants
allow those and nothing else. All run in the caller's transaction: work that must follow a commit is enqueued in it.
"""

from datetime import timedelta
from typing import Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.email_address import EmailAddress
from broadsheet_common.tracing import current_trace

CHUNK_SIZE_MAX = 500
"""Deliveries a chunk: Postmark takes at most 500 messages in a batch call."""

SingleMailKind = Literal["confirmation", "password_reset", "test"]


class SingleMail(msgspec.Struct, frozen=True):
    """One ready mail for the transactional stream.

    `dedupe_key` makes enqueueing idempotent; after `expires_in` the mail is not sent any more.
    """

    kind: SingleMailKind
    to: EmailAddress
    subject: str
    html_body: str
    text_body: str
    dedupe_key: str
    expires_in: timedelta


async def enqueue_single_mail(connection: AsyncConnection, mail: SingleMail) -> None:
    """Queue one mail; a second call with the same `dedupe_key` changes nothing."""
    await connection.execute(
        sa.text("""
            SELECT delivery.enqueue_single_mail(:kind, :dedupe_key, :to_email, :subject, :html_body, :text_body,
                                                :expires_in, :traceparent)
        """).bindparams(sa.bindparam("expires_in", type_=sa.Interval)),
        {
            "kind": mail.kind,
            "dedupe_key": mail.dedupe_key,
            "to_email": mail.to,
            "subject": mail.subject,
            "html_body": mail.html_body,
            "text_body": mail.text_body,
            "expires_in": mail.expires_in,
            "traceparent": current_trace().traceparent,
        },
    )


async def open_issue_run(connection: AsyncConnection, *, issue_id: int, newsletter_id: int) -> None:
    """Let delivery know the issue: from now on its chunks are claimed as they are enqueued."""
    await connection.execute(
        sa.text("SELECT delivery.open_issue_run(:issue_id, :newsletter_id, :traceparent)"),
        {"issue_id": issue_id, "newsletter_id": newsletter_id, "traceparent": current_trace().traceparent},
    )


async def close_fan_out(connection: AsyncConnection, *, issue_id: int) -> None:
    """The audience is complete: once every delivery is settled, the issue is sent."""
    await connection.execute(sa.text("SELECT delivery.close_fan_out(:issue_id)"), {"issue_id": issue_id})


async def enqueue_provider_event(connection: AsyncConnection, body: str) -> None:
    """Take in one webhook of the provider's as it came; delivery applies it. `body` is a JSON document."""
    await connection.execute(sa.text("SELECT delivery.enqueue_provider_event(:body)"), {"body": body})
