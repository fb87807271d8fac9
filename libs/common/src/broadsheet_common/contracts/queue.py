"""The delivery queue's contract: the only way in for the other services.

Each function here calls one of the insert functions that the migrations define in the schema `delivery`; the grants
allow those and nothing else. All run in the caller's transaction: work that must follow a commit is enqueued in it.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_common.process.tracing import current_trace

CHUNK_SIZE_MAX = 500
"""Deliveries a chunk: Postmark takes at most 500 messages in a batch call."""

PartitionStage = Literal["excluded", "validated", "retreating", "own", "default", "removed"]
RunStateBefore = Literal["open", "paused", "cancelled", "finished"]

AccountMailKind = Literal["password_reset", "invitation", "account_address", "account_notice"]
ReaderMailKind = Literal["confirmation", "test", "preferences_link", "address_change", "address_notice"]


class AccountMail(msgspec.Struct, frozen=True):
    """One ready mail to a user, or to somebody who is invited: on the transactional stream, from the installation's
    sender.

    `dedupe_key` makes enqueueing idempotent; after `expires_in` the mail is not sent any more.
    """

    kind: AccountMailKind
    to: EmailAddress
    subject: str
    html_body: str
    text_body: str
    dedupe_key: str
    expires_in: timedelta


class ReaderMail(msgspec.Struct, frozen=True):
    """One ready mail to a reader: on the transactional stream, from the sender of its newsletter.

    `newsletter_id` None: it is about none, and comes from the installation's sender. `dedupe_key` and `expires_in` as
    of an `AccountMail`. `traceparent`: the trace that the mail belongs to; None is the current one.
    """

    kind: ReaderMailKind
    newsletter_id: int | None
    to: EmailAddress
    subject: str
    html_body: str
    text_body: str
    dedupe_key: str
    expires_in: timedelta
    traceparent: str | None = None


async def enqueue_account_mail(connection: AsyncConnection, mail: AccountMail) -> None:
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


_ENQUEUE_READER_MAILS = sa.text("""
    SELECT delivery.enqueue_reader_mails(:kind, :newsletter_ids, :dedupe_keys, :to_emails, :subjects, :html_bodies,
                                         :text_bodies, :expires_in, :traceparents)
""").bindparams(
    sa.bindparam("expires_in", type_=sa.Interval),
    sa.bindparam("newsletter_ids", type_=pg.ARRAY(sa.BigInteger)),
    *(
        sa.bindparam(name, type_=pg.ARRAY(sa.Text))
        for name in ("dedupe_keys", "to_emails", "subjects", "html_bodies", "text_bodies", "traceparents")
    ),
)


async def enqueue_reader_mail(connection: AsyncConnection, mail: ReaderMail) -> None:
    """Queue one mail; a second call with the same `dedupe_key` changes nothing."""
    await enqueue_reader_mails(connection, [mail])


async def enqueue_reader_mails(connection: AsyncConnection, mails: Sequence[ReaderMail]) -> None:
    """Queue several mails of one kind and one life-time, in one statement; see `enqueue_reader_mail`.

    Raises ValueError if they are not of one kind and one life-time, or if there are none.
    """
    [(kind, expires_in)] = {(mail.kind, mail.expires_in) for mail in mails}
    own = current_trace().traceparent
    await connection.execute(
        _ENQUEUE_READER_MAILS,
        {
            "kind": kind,
            "newsletter_ids": [mail.newsletter_id for mail in mails],
            "dedupe_keys": [mail.dedupe_key for mail in mails],
            "to_emails": [mail.to for mail in mails],
            "subjects": [mail.subject for mail in mails],
            "html_bodies": [mail.html_body for mail in mails],
            "text_bodies": [mail.text_body for mail in mails],
            "expires_in": expires_in,
            "traceparents": [mail.traceparent or own for mail in mails],
        },
    )


async def enqueue_welcome_mail(
    connection: AsyncConnection, *, newsletter_id: int, subscriber_id: int, expires_in: timedelta
) -> None:
    """Queue the newsletter's welcome mail for this person, if it has one; a second call changes nothing."""
    await connection.execute(
        sa.text("""
            SELECT delivery.enqueue_welcome_mail(:newsletter_id, :subscriber_id, :expires_in, :traceparent)
        """).bindparams(sa.bindparam("expires_in", type_=sa.Interval)),
        {
            "newsletter_id": newsletter_id,
            "subscriber_id": subscriber_id,
            "expires_in": expires_in,
            "traceparent": current_trace().traceparent,
        },
    )


async def open_issue_run(connection: AsyncConnection, *, issue_id: int, newsletter_id: int) -> None:
    """Tell delivery about the issue: from now on its chunks are claimed as they are enqueued."""
    await connection.execute(
        sa.text("SELECT delivery.open_issue_run(:issue_id, :newsletter_id, :traceparent)"),
        {"issue_id": issue_id, "newsletter_id": newsletter_id, "traceparent": current_trace().traceparent},
    )


async def close_fan_out(connection: AsyncConnection, *, issue_id: int) -> None:
    """The audience is complete: once every delivery is settled, the issue is sent."""
    await connection.execute(sa.text("SELECT delivery.close_fan_out(:issue_id)"), {"issue_id": issue_id})


async def release_rest(connection: AsyncConnection, *, issue_id: int, winner: int) -> bool:
    """Those who wait for the winner of the issue's A/B test get this variant. False: there is nothing to decide. The
    winner is known, the fan-out is not complete, or the issue was cancelled or is sent.
    """
    row = await connection.execute(
        sa.text("SELECT delivery.release_rest(:issue_id, CAST(:winner AS smallint))"),
        {"issue_id": issue_id, "winner": winner},
    )
    return bool(row.scalar_one())


async def partition_issue(connection: AsyncConnection, *, issue_id: int, may_begin: bool) -> PartitionStage:
    """One step of giving the issue partitions of its own, if it should have some, before its first delivery is
    enqueued.

    Call it again, each time in a new transaction, until it returns `own` or `default`: until then no delivery of
    the issue can be enqueued.
    """
    row = await connection.execute(
        sa.text("SELECT delivery.partition_issue(:issue_id, :may_begin)"),
        {"issue_id": issue_id, "may_begin": may_begin},
    )
    stage: PartitionStage = row.scalar_one()
    return stage


async def cancel_issue(connection: AsyncConnection, *, issue_id: int, cancelled_by: str) -> RunStateBefore | None:
    """Begin no further call for the issue; what was not begun is cancelled soon after.

    Returns the state before. `cancelled` and `finished` issues were left unchanged; None: the issue was never
    opened.
    """
    row = await connection.execute(
        sa.text("SELECT delivery.cancel_issue(:issue_id, :cancelled_by)"),
        {"issue_id": issue_id, "cancelled_by": cancelled_by},
    )
    was: RunStateBefore | None = row.scalar_one()
    return was


async def request_preflight(connection: AsyncConnection, *, newsletter_id: int) -> None:
    """Ask for a fresh look at the newsletter's stream and sender; `delivery.published_preflight` has it soon after."""
    await connection.execute(
        sa.text("SELECT delivery.request_preflight(:newsletter_id)"), {"newsletter_id": newsletter_id}
    )


async def request_stream_check(connection: AsyncConnection, *, stream: str, handling: str) -> None:
    """Ask whether Postmark's stream fits this handling of unsubscribes (`custom`, `postmark`);
    `delivery.published_stream_checks` has it soon after.
    """
    await connection.execute(
        sa.text("SELECT delivery.request_stream_check(:stream, :handling)"), {"stream": stream, "handling": handling}
    )


async def enqueue_provider_events(connection: AsyncConnection, bodies: Sequence[str]) -> None:
    """Queue the provider's webhooks unchanged, each a JSON document; delivery applies them."""
    await connection.execute(
        sa.text("SELECT delivery.enqueue_provider_events(CAST(:bodies AS text[]))"), {"bodies": list(bodies)}
    )
