"""Sign-up and confirmation through the service's routes, on a real database."""

import asyncio
from datetime import timedelta

import sqlalchemy as sa

from broadsheet_common.contracts.address_hash import AddressHasher
from broadsheet_subscriptions.consent.evidence import Evidence
from broadsheet_subscriptions.settings import EXPECTED_SCHEMA_VERSION
from broadsheet_subscriptions.sign_up.store import MailBounds
from broadsheet_subscriptions.sign_up.subscribe import ConfirmationPolicy, parse_sign_up, subscribe
from harness.cluster import Database
from harness.keys import ERASURE_KEYS

from ..conftest import Subscriptions, engine_for

_WORK_DONE = """
    SELECT relname, n_tup_ins, n_tup_del FROM pg_stat_xact_user_tables
     WHERE schemaname IN ('subscriptions', 'delivery') AND n_tup_ins + n_tup_upd + n_tup_del > 0 ORDER BY relname
"""

_COUNT_ANEW = "SELECT pg_stat_force_next_flush()"


def _without_locks(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Without the rows that a sign-up locks or, for somebody new, puts in."""
    return [row for row in rows if row[0] not in {"subscriber", "subscription", "mailbox_quota"}]


async def test_a_sign_up_stores_a_pending_subscriber_and_queues_one_confirmation_mail(
    subscriptions: Subscriptions,
) -> None:
    response = await subscriptions.sign_up("Ada@Example.com", "Ada Lovelace")
    assert (response.status_code, response.json()) == (202, {})
    assert subscriptions.state() == "pending"
    ((to, subject, _, _),) = subscriptions.mails()
    assert to == "Ada@example.com"
    assert subject == "Please confirm your subscription to Newsletter"


async def test_the_mail_holds_the_link_and_nothing_the_person_typed(subscriptions: Subscriptions) -> None:
    await subscriptions.sign_up("ada.secret@example.com", "Cheap Watches")
    ((_, subject, html, text),) = subscriptions.mails()
    (token,) = subscriptions.tokens()
    link = f"https://news.example.com/subscriptions/confirm?subscription_token={token}"
    assert html.count(link) == text.count(link) == 1
    for part in (subject, html, text):
        assert "Cheap" not in part
        assert "ada" not in part.lower().replace(token.lower(), "")


async def test_the_database_keeps_no_token_that_confirms(subscriptions: Subscriptions) -> None:
    await subscriptions.sign_up()
    ((row,),) = subscriptions.rows("SELECT confirmation_token::text FROM subscriptions.confirmation_token")
    assert subscriptions.tokens()[0] not in row


async def test_following_the_mailed_link_confirms_and_a_second_time_succeeds_too(subscriptions: Subscriptions) -> None:
    await subscriptions.sign_up()
    (token,) = subscriptions.tokens()
    looked_up = await subscriptions.public("confirmations/lookup", token=token)
    assert looked_up.json() == {"newsletter": {"id": 1, "name": "Newsletter"}, "state": "pending", "suppressed": None}
    assert subscriptions.state() == "pending"
    for _ in range(2):
        confirmed = await subscriptions.public("confirmations", token=token)
        assert (confirmed.status_code, confirmed.json()["state"]) == (200, "confirmed")
    assert subscriptions.state() == "confirmed"
    assert (await subscriptions.public("confirmations/lookup", token=token)).json()["state"] == "confirmed"


async def test_confirming_a_second_time_keeps_the_first_time(subscriptions: Subscriptions) -> None:
    await subscriptions.sign_up()
    (token,) = subscriptions.tokens()
    query = "SELECT confirmed_at FROM subscriptions.subscription"
    await subscriptions.public("confirmations", token=token)
    first = subscriptions.rows(query)
    await subscriptions.public("confirmations", token=token)
    assert subscriptions.rows(query) == first


async def test_an_expired_token_is_unauthorised_and_a_new_sign_up_gets_a_new_one(subscriptions: Subscriptions) -> None:
    await subscriptions.sign_up()
    subscriptions.rows("UPDATE subscriptions.confirmation_token SET expires_at = now()")
    subscriptions.end_cool_down()
    assert (await subscriptions.public("confirmations", token=subscriptions.tokens()[0])).status_code == 401
    await subscriptions.sign_up()
    assert (await subscriptions.public("confirmations", token=subscriptions.tokens()[1])).status_code == 200


async def test_tokens_and_their_mails_expire_after_the_lifetime(subscriptions: Subscriptions) -> None:
    await subscriptions.sign_up()
    ((token, mail),) = subscriptions.rows(
        "SELECT token.expires_at - token.created_at, mail.expires_at - mail.created_at "
        "FROM subscriptions.confirmation_token AS token, delivery.single_mail AS mail"
    )
    assert (token, mail) == (timedelta(days=7), timedelta(days=7))


async def test_a_repeated_sign_up_within_the_cool_down_queues_no_second_mail(subscriptions: Subscriptions) -> None:
    for _ in range(50):
        assert (await subscriptions.sign_up()).status_code == 202
    assert len(subscriptions.mails()) == 1


async def test_after_the_cool_down_a_new_mail_goes_out_and_both_links_work(subscriptions: Subscriptions) -> None:
    await subscriptions.sign_up()
    subscriptions.end_cool_down()
    await subscriptions.sign_up()
    first, second = subscriptions.tokens()
    assert first != second
    assert (await subscriptions.public("confirmations/lookup", token=second)).status_code == 200
    assert (await subscriptions.public("confirmations", token=first)).json()["state"] == "confirmed"


async def test_a_confirmed_address_that_signs_up_again_stays_confirmed_and_is_told_so_once_a_cool_down(
    subscriptions: Subscriptions,
) -> None:
    await subscriptions.subscribe_and_confirm("ada.secret@example.com")
    await subscriptions.sign_up("ada.secret@example.com")
    assert len(subscriptions.mails()) == 1
    subscriptions.end_cool_down()
    for _ in range(20):
        response = await subscriptions.sign_up("ada.secret@example.com", "Cheap Watches")
        assert (response.status_code, response.json()) == (202, {})
    _, (to, subject, html, text) = subscriptions.mails()
    assert (to, subject) == ("ada.secret@example.com", "You are already subscribed to Newsletter")
    for part in (subject, html, text):
        assert "Cheap" not in part
        assert "ada" not in part.lower()
        assert "http" not in part
    assert subscriptions.state("ada.secret@example.com") == "confirmed"


async def test_whoever_left_and_signs_up_again_needs_a_new_confirmation(subscriptions: Subscriptions) -> None:
    await subscriptions.subscribe_and_confirm()
    await subscriptions.public("unsubscribes", token=subscriptions.unsubscribe_token())
    await subscriptions.sign_up()
    assert subscriptions.state() == "pending"
    old, new = subscriptions.tokens()
    assert (await subscriptions.public("confirmations", token=old)).status_code == 401
    assert subscriptions.state() == "pending"
    assert (await subscriptions.public("confirmations", token=new)).status_code == 200
    assert subscriptions.state() == "confirmed"


async def test_a_link_from_before_leaving_does_not_bring_anybody_back(subscriptions: Subscriptions) -> None:
    await subscriptions.subscribe_and_confirm()
    await subscriptions.public("unsubscribes", token=subscriptions.unsubscribe_token())
    for path in ("confirmations/lookup", "confirmations"):
        assert (await subscriptions.public(path, token=subscriptions.tokens()[0])).status_code == 401
    assert subscriptions.state() == "unsubscribed"


async def test_twenty_sign_ups_of_one_address_at_once_are_one_subscriber_and_one_mail(
    subscriptions: Subscriptions,
) -> None:
    responses = await asyncio.gather(
        *(subscriptions.sign_up(email) for email in ["ada@example.com", "ADA@example.com"] * 10)
    )
    assert {response.status_code for response in responses} == {202}
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.subscriber") == [(1,)]
    assert len(subscriptions.mails()) == 1


async def test_confirming_and_leaving_at_once_ends_in_one_of_the_two_states(subscriptions: Subscriptions) -> None:
    await subscriptions.sign_up()
    (token,) = subscriptions.tokens()
    leaving = subscriptions.unsubscribe_token()
    await asyncio.gather(
        *(subscriptions.public("confirmations", token=token) for _ in range(5)),
        *(subscriptions.public("unsubscribes", token=leaving) for _ in range(5)),
    )
    # Leaving ends the link, so whatever the order, nobody is confirmed after they left.
    assert subscriptions.state() == "unsubscribed"


async def test_two_spellings_of_an_address_are_one_subscriber_and_mail_goes_to_the_first(
    subscriptions: Subscriptions,
) -> None:
    await subscriptions.sign_up("User@bücher.com")
    subscriptions.end_cool_down()
    await subscriptions.sign_up("USER@XN--BCHER-KVA.COM")
    assert subscriptions.rows("SELECT email, email_key FROM subscriptions.subscriber") == [
        ("User@xn--bcher-kva.com", "user@xn--bcher-kva.com")
    ]
    assert [mail[0] for mail in subscriptions.mails()] == ["User@xn--bcher-kva.com"] * 2


async def test_somebody_else_cannot_rename_a_subscriber(subscriptions: Subscriptions) -> None:
    await subscriptions.sign_up(name="Ada Lovelace")
    await subscriptions.sign_up(name="Somebody Rude")
    assert subscriptions.rows("SELECT name FROM subscriptions.subscriber") == [("Ada Lovelace",)]


async def test_a_newsletter_can_be_chosen(subscriptions: Subscriptions) -> None:
    newsletter_id = subscriptions.add_newsletter("second")
    await subscriptions.public("subscriptions", email="ada@example.com", name="Ada", newsletter_id=newsletter_id)
    await subscriptions.sign_up()
    assert [mail[1].rpartition(" ")[2] for mail in subscriptions.mails()] == ["Second", "Newsletter"]
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.subscriber") == [(1,)]


async def test_the_work_is_the_same_whether_the_address_is_known_or_not(
    database: Database, subscriptions: Subscriptions
) -> None:
    """Statement for statement, so that the time of the answer says nothing about the address."""
    await subscriptions.subscribe_and_confirm("confirmed@example.com")
    await subscriptions.sign_up("pending@example.com")
    await subscriptions.sign_up("departed@example.com")
    await subscriptions.public("unsubscribes", token=subscriptions.unsubscribe_token("departed@example.com"))
    await subscriptions.subscribe_and_confirm("told@example.com")
    subscriptions.rows("UPDATE subscriptions.subscription SET confirmation_queued_at = NULL WHERE state = 'confirmed'")
    await subscriptions.sign_up("told@example.com")
    subscriptions.rows(
        "INSERT INTO delivery.suppression (message_stream, email_key, reason, source) "
        "VALUES ('outbound', 'suppressed@example.com', 'HardBounce', 'send')"
    )
    policy = ConfirmationPolicy(
        "https://x.example",
        timedelta(days=7),
        MailBounds(cool_down=timedelta(seconds=60), mailbox_mails_max=3, mailbox_window=timedelta(days=1)),
        lambda: next(tokens),
        AddressHasher.parse(ERASURE_KEYS.reveal()),
    )
    tokens = iter("abcdefghij")
    engine = engine_for(database)
    trips: dict[str, list[str]] = {}
    written: dict[str, list[tuple[object, ...]]] = {}

    @sa.event.listens_for(engine.sync_engine, "before_cursor_execute")
    def note(_c: object, _u: object, statement: str, *_: object) -> None:
        # The savepoint is released for some and rolled back for the others: a round trip each.
        if statement not in {_WORK_DONE, _COUNT_ANEW}:
            trips[who].append("savepoint" if "SAVEPOINT" in statement else statement)

    for who in ("new", "suppressed", "confirmed", "pending", "told", "departed"):
        trips[who] = []
        async with engine.begin() as connection:
            evidence = Evidence(source="form", ip="192.0.2.1")
            sign_up = parse_sign_up(email=f"{who}@example.com", name="Ada", newsletter=None, evidence=evidence)
            await subscribe(connection, sign_up, policy)
            # Rows put in and deleted by table, those that the savepoint took back too.
            written[who] = [tuple(row) for row in await connection.execute(sa.text(_WORK_DONE))]
            await connection.execute(sa.text(_COUNT_ANEW))
    await engine.dispose()
    assert len(trips["new"]) == 6
    assert [who for who in trips if trips[who] != trips["new"]] == []
    # That somebody new has no rows yet is the only difference.
    known = {who: _without_locks(rows) for who, rows in written.items()}
    assert [who for who in known if known[who] != known["new"]] == []
    assert {table for table, *_ in known["new"]} == {
        "confirmation_token",
        "consent_event",
        "single_mail",
        "unsettled_mail",
    }


async def test_a_database_fault_is_an_error_and_leaves_nothing_half_done(subscriptions: Subscriptions) -> None:
    subscriptions.rows("ALTER TABLE delivery.single_mail RENAME TO gone")
    response = await subscriptions.sign_up()
    assert response.status_code == 500
    assert response.json()["type"] == "urn:broadsheet:problem:internal"
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.subscriber") == [(0,)]
    subscriptions.rows("ALTER TABLE delivery.gone RENAME TO single_mail")
    assert (await subscriptions.sign_up()).status_code == 202
    assert len(subscriptions.mails()) == 1


async def test_a_database_that_is_away_is_unavailable_and_comes_back_by_itself(subscriptions: Subscriptions) -> None:
    subscriptions.take_database_away()
    response = await subscriptions.sign_up()
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert (await subscriptions.client.get("/health/ready")).status_code == 503
    assert (await subscriptions.client.get("/health/live")).status_code == 200
    subscriptions.bring_database_back()
    assert (await subscriptions.sign_up()).status_code == 202
    ready = (await subscriptions.client.get("/health/ready")).json()
    assert (ready["status"], ready["checks"]) == ("ready", {"database": "ok"})


async def test_another_schema_version_is_not_ready(subscriptions: Subscriptions) -> None:
    subscriptions.rows("UPDATE alembic_version SET version_num = '0000'")
    response = await subscriptions.client.get("/health/ready")
    assert (response.status_code, response.json()["checks"]) == (
        503,
        {"database": f"schema 0000, not yet {EXPECTED_SCHEMA_VERSION}"},
    )
