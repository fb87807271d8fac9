"""Send an issue to a few people before it is sent: through the lane of single mails, marked, and never counted.

The mails are enqueued in one transaction, after they were rendered.
"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.contracts.audit import By, record_audit
from broadsheet_common.contracts.queue import ReaderMail, enqueue_reader_mail
from broadsheet_common.http.problems import FieldProblem, InvalidInputError
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_publishing.history.interface import record_step
from broadsheet_publishing.newsletters.installation import Installation
from broadsheet_publishing.previews import store
from broadsheet_publishing.previews.mail_preview import Preview
from broadsheet_publishing.previews.sample_reader import SUBJECT_MARK

ADDRESSES_MAX: Final = 10
EXPIRES_IN: Final = timedelta(hours=1)
"""Nobody wants a test mail of yesterday."""


def parse_addresses(raw: Sequence[str]) -> list[EmailAddress]:
    """Each once, in order. Raises `InvalidInputError` that names every entry at fault."""
    problems: list[FieldProblem] = []
    found: dict[str, EmailAddress] = {}
    for place, text in enumerate(raw):
        try:
            address = EmailAddress.parse(text)
        except ValueError as error:
            problems.append(FieldProblem(pointer=f"/to/{place}", detail=str(error)))
        else:
            found.setdefault(address.key, address)
    if not raw or len(raw) > ADDRESSES_MAX:
        problems.append(FieldProblem(pointer="/to", detail=f"Expected are 1 to {ADDRESSES_MAX} addresses."))
    if problems:
        raise InvalidInputError(errors=tuple(problems))
    return list(found.values())


async def require_verified(
    engine: AsyncEngine, addresses: Sequence[EmailAddress], installation: Installation, own: Sequence[str | None]
) -> None:
    """`own`: the newsletter's sender and reply address. Others must be users' or confirmed subscribers': a test mail is
    no way to write to strangers.

    Raises:
        InvalidInputError: names every address that nobody confirmed.
    """
    known = {EmailAddress.parse(text).key for text in (*own, installation.sender_address) if text}
    asked = [address.key for address in addresses if address.key not in known]
    async with engine.connect() as connection:
        unverified = await store.find_unverified(connection, asked)
    problems = tuple(
        FieldProblem(
            pointer=f"/to/{place}",
            detail="Nobody has confirmed this address: test mails go to users, confirmed subscribers and the sender.",
        )
        for place, address in enumerate(addresses)
        if address.key in unverified
    )
    if problems:
        raise InvalidInputError(errors=problems)


async def send_issue_test(
    connection: AsyncConnection,
    issue_id: int,
    preview: Preview,
    addresses: Sequence[EmailAddress],
    *,
    newsletter_id: int,
    by: By,
) -> None:
    """In the caller's transaction. It is a step of the issue's history."""
    await send_test(connection, f"test-{issue_id}", preview, addresses, newsletter_id=newsletter_id)
    await record_step(
        connection, issue_id, "test_sent", by=by, note=f"To {len(addresses)}.", after={"mails": len(addresses)}
    )


async def send_welcome_test(
    connection: AsyncConnection, newsletter_id: int, preview: Preview, addresses: Sequence[EmailAddress], *, by: By
) -> None:
    """In the caller's transaction."""
    await send_test(connection, f"test-welcome-{newsletter_id}", preview, addresses, newsletter_id=newsletter_id)
    await record_audit(
        connection,
        by,
        "newsletter.test_sent",
        newsletter_id,
        newsletter_id=newsletter_id,
        after={"mails": len(addresses)},
    )


async def send_test(
    connection: AsyncConnection, name: str, preview: Preview, addresses: Sequence[EmailAddress], *, newsletter_id: int
) -> None:
    """In the caller's transaction. `name` says what the mails are of; each call sends new ones."""
    call_key = secrets.token_hex(16)
    for address in addresses:
        digest = hashlib.sha256(f"{call_key}\n{address.key}".encode()).hexdigest()[:32]
        await enqueue_reader_mail(
            connection,
            ReaderMail(
                kind="test",
                newsletter_id=newsletter_id,
                to=address,
                subject=f"{SUBJECT_MARK}{preview.subject}",
                html_body=preview.html or "",
                text_body=preview.text,
                dedupe_key=f"{name}-{digest}",
                expires_in=EXPIRES_IN,
            ),
        )
