"""A row that always fails is set aside and blocks no other: neither a provider's change nor a settled mail."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.background import set_aside
from broadsheet_common.background.set_aside import SetAside
from broadsheet_subscriptions.consent.note_settled_mails import note_settled_mails
from broadsheet_subscriptions.leaving import apply_provider_changes as module
from broadsheet_subscriptions.leaving.apply_provider_changes import apply_provider_changes
from broadsheet_subscriptions.leaving.provider_change_store import ProviderChange
from harness.cluster import Database
from harness.owner import Owner

from ..conftest import engine_for, running_subscriptions


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    made = engine_for(database)
    yield made
    await made.dispose()


@pytest.fixture
def owner(database: Database) -> Owner:
    """No app runs, so that none of its loops is first."""
    return Owner(database.owner_url)


class UnforeseenError(Exception):
    """A class that no code names."""


async def test_a_change_that_fails_stays_and_rests_while_the_others_are_applied(
    owner: Owner, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.rows(
        "INSERT INTO subscriptions.provider_change (kind, email_key, newsletter_ids, occurred_at) "
        "SELECT 'unsubscribe', 'reader-' || n || '@example.com', '{1}', now() FROM generate_series(1, 300) AS n"
    )
    apply = module._apply

    async def fail_for_one(connection: AsyncConnection, change: ProviderChange) -> None:
        if change.email_key == "reader-7@example.com":
            raise UnforeseenError
        await apply(connection, change)

    held: SetAside[int] = SetAside(module.LOOP)
    with monkeypatch.context() as patched:
        patched.setattr(module, "_apply", fail_for_one)
        assert await apply_provider_changes(engine, held) == 299
        assert await apply_provider_changes(engine, held) == 0, "it rests"
    left = "SELECT email_key FROM subscriptions.provider_change"
    assert owner.rows(left) == [("reader-7@example.com",)]
    assert len(held) == 1
    assert await apply_provider_changes(engine) == 1
    assert owner.rows(left) == []


async def test_a_mail_whose_entry_cannot_be_written_rests_while_the_others_are_noted(
    database: Database, owner: Owner, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_subscriptions(database) as subscriptions:
        for number in range(3):
            assert (await subscriptions.sign_up(email=f"reader-{number}@example.com")).status_code == 202
    owner.rows(
        "UPDATE delivery.single_mail SET status = 'cancelled', settled_at = now(), html_body = NULL, text_body = NULL"
    )
    owner.rows("UPDATE subscriptions.unsettled_mail SET look_at = now()")
    [(poison,)] = owner.rows("SELECT id FROM subscriptions.subscriber ORDER BY id OFFSET 1 LIMIT 1")
    owner.rows(
        "ALTER TABLE subscriptions.consent_event ADD CONSTRAINT fault "
        f"CHECK (kind <> 'mail_not_sent' OR subscriber_id <> {poison}) NOT VALID"
    )
    held: SetAside[int] = SetAside("subscriptions.settled_mails")
    monkeypatch.setattr(set_aside, "REST_FIRST_S", 60.0)
    assert await note_settled_mails(engine, held) == 2
    noted = "SELECT count(*) FROM subscriptions.consent_event WHERE kind = 'mail_not_sent'"
    assert (owner.rows(noted), len(held)) == ([(2,)], 1)
    owner.rows("ALTER TABLE subscriptions.consent_event DROP CONSTRAINT fault")
    assert await note_settled_mails(engine) == 1
    assert owner.rows(noted) == [(3,)]
