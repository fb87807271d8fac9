"""Concurrent sign-ups and confirmations, all through the public pages."""

import asyncio
from collections.abc import Iterator

from broadsheet_local.demo.bulk_import import reader_email
from broadsheet_local.demo.people import Gateway
from broadsheet_local.demo.progress import Phase
from broadsheet_local.demo.sandbox_log import CapturedMail, SandboxLog, confirmation_link
from broadsheet_local.supervision.concurrency import all_or_first_error

PEOPLE_AT_ONCE = 16
MAIL_POLL_S = 0.1


async def sign_up_readers(gateway: Gateway, count: int, phase: Phase) -> None:
    """Readers 1 to `count` fill in the form, PEOPLE_AT_ONCE at a time."""
    numbers = iter(range(1, count + 1))
    done = 0

    async def person() -> None:
        nonlocal done
        for number in numbers:
            await gateway.sign_up(f"Reader {number}", reader_email(number))
            done += 1
            phase.update(done, waiting_for="the sign-up form")

    await all_or_first_error(person() for _ in range(PEOPLE_AT_ONCE))


async def confirm_readers(
    gateway: Gateway, log: SandboxLog, count: int, public_url: str, confirmed: set[str], phase: Phase
) -> None:
    """Confirm by the links of the captured mails until `count` readers have; `confirmed` collects them."""
    after = 0
    while len(confirmed) < count:
        page = await log.page(after, bodies=True)
        if page:
            after = page[-1].sequence
            links = iter(new_links(page, public_url, confirmed).items())
            await all_or_first_error(press(gateway, links, confirmed, phase) for _ in range(PEOPLE_AT_ONCE))
        else:
            phase.update(len(confirmed), waiting_for="confirmation mails in the sandbox")
            await asyncio.sleep(MAIL_POLL_S)


def new_links(page: list[CapturedMail], public_url: str, confirmed: set[str]) -> dict[str, str]:
    """Recipient to link. A confirmation mail may be sent again when its outcome was uncertain; people confirm once."""
    links: dict[str, str] = {}
    for mail in page:
        link = confirmation_link(mail, public_url)
        if link is not None and mail.recipients[0] not in confirmed:
            links.setdefault(mail.recipients[0], link)
    return links


async def press(gateway: Gateway, links: Iterator[tuple[str, str]], confirmed: set[str], phase: Phase) -> None:
    for reader, link in links:
        await gateway.confirm(link)
        confirmed.add(reader)
        phase.update(len(confirmed), waiting_for="confirmation mails in the sandbox")
