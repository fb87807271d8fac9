"""Asks the pending people of an import to confirm: a few mails at a time, no faster than the configured pace.

A hundred thousand such mails at once look like an attack to every mailbox provider; and if a list is bad, it is
better to learn that from the first complaints. The pace is stored in one row, so that all replicas keep it
together.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.background.set_aside import SetAside
from broadsheet_common.process.database import may_be_the_items_fault
from broadsheet_subscriptions.consent.evidence import Evidence
from broadsheet_subscriptions.imports import ask_store
from broadsheet_subscriptions.imports.ask_store import PersonToAsk
from broadsheet_subscriptions.sign_up.subscribe import ConfirmationPolicy, SignUpMailing, queue_mails

MAILS_A_BATCH: Final = 20
LOOP: Final = "imports.confirmations"


async def ask_for_confirmation(
    engine: AsyncEngine, policy: ConfirmationPolicy, *, mails_per_minute: int, set_aside: SetAside[int] | None = None
) -> int:
    """One batch, if it is time for one: tokens and mails in one transaction. Returns the number of mails.

    If somebody cannot be asked, they are set aside, and the others are asked in the next round.
    """
    held = SetAside[int](LOOP) if set_aside is None else set_aside
    person: PersonToAsk | None = None
    try:
        async with engine.begin() as connection:
            if not await ask_store.take_turn(connection):
                return 0
            people = await ask_store.pick_people(connection, limit=MAILS_A_BATCH, resting=held.resting())
            for person in people:
                await _ask(connection, policy, person)
            person = None
            if people:
                await ask_store.wait(connection, timedelta(minutes=len(people) / mails_per_minute))
    except Exception as error:
        if person is None or not may_be_the_items_fault(error):
            raise
        held.hold(person.subscription_id, error)
        return 0
    for one in people:
        held.forget(one.subscription_id)
    return len(people)


async def _ask(connection: AsyncConnection, policy: ConfirmationPolicy, person: PersonToAsk) -> None:
    mailing = SignUpMailing(
        subscription_id=person.subscription_id,
        to=person.email,
        # The pace bounds these mails. A quota is not used: its row would have to be locked before the person's.
        counts_for=None,
        newsletter=person.newsletter,
        asks_to_confirm=True,
        evidence=Evidence(source="import", actor=f"import:{person.import_id}"),
    )
    await queue_mails(connection, [mailing], policy)
