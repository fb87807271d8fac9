"""Sign-ups that arrive together are written together, and each is answered as it would be alone."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from broadsheet_subscriptions.sign_up.take_sign_ups import BATCH_MAX

from ..conftest import Subscriptions

TRACE_IDS = ("4bf92f3577b34da6a3ce929d0e0e4736", "00000000000000000000000000000abc")
ACCEPTED = {"status": 202}


def item(email: str, name: str = "Reader", **more: object) -> dict[str, object]:
    return {"email": email, "name": name, **more}


async def together(subscriptions: Subscriptions, *items: object) -> list[dict[str, Any]]:
    response = await subscriptions.public("subscriptions/batch", items=list(items))
    assert response.status_code == 200, response.text
    answers: list[dict[str, Any]] = response.json()["items"]
    return answers


@pytest.fixture
def holding(subscriptions: Subscriptions) -> Iterator[psycopg.Connection]:
    """Another transaction, open until the test ends."""
    with psycopg.connect(subscriptions.owner_url) as connection:
        yield connection
        connection.rollback()


async def test_each_of_several_gets_a_pending_subscription_and_a_mail_of_its_own(subscriptions: Subscriptions) -> None:
    emails = [f"reader-{number:02}@example.com" for number in range(BATCH_MAX)]
    assert await together(subscriptions, *map(item, emails)) == [ACCEPTED] * BATCH_MAX
    assert {to for to, _, _, _ in subscriptions.mails()} == set(emails)
    assert {subscriptions.state(email) for email in emails} == {"pending"}
    tokens = subscriptions.tokens()
    assert len(set(tokens)) == BATCH_MAX
    for email, token in zip([to for to, _, _, _ in subscriptions.mails()], tokens, strict=True):
        assert (await subscriptions.public("confirmations", token=token)).status_code == 200
        assert subscriptions.state(email) == "confirmed"


async def test_they_are_written_in_one_transaction(subscriptions: Subscriptions) -> None:
    await together(subscriptions, *(item(f"reader-{number}@example.com") for number in range(10)))
    assert subscriptions.rows("SELECT count(*), count(DISTINCT xmin::text) FROM subscriptions.subscriber") == [(10, 1)]
    assert subscriptions.rows("SELECT count(DISTINCT xmin::text) FROM subscriptions.consent_event") == [(1,)]


async def test_known_and_unknown_addresses_fare_as_they_would_alone(subscriptions: Subscriptions) -> None:
    await subscriptions.subscribe_and_confirm("confirmed@example.com")
    await subscriptions.sign_up("pending@example.com")
    await subscriptions.sign_up("departed@example.com")
    await subscriptions.public("unsubscribes", token=subscriptions.unsubscribe_token("departed@example.com"))
    subscriptions.end_cool_down()
    await subscriptions.sign_up("cooling@example.com")
    before = len(subscriptions.mails())
    names = ("confirmed", "pending", "departed", "cooling", "new")
    answers = await together(subscriptions, *(item(f"{name}@example.com") for name in names))
    assert answers == [ACCEPTED] * 5
    states = {name: subscriptions.state(f"{name}@example.com") for name in names}
    assert states == {
        "confirmed": "confirmed", "pending": "pending", "departed": "pending", "cooling": "pending", "new": "pending",
    }  # fmt: skip
    subjects = {to: subject for to, subject, _, _ in subscriptions.mails()[before:]}
    asked, told = "Please confirm your subscription to Newsletter", "You are already subscribed to Newsletter"
    assert subjects == {
        "confirmed@example.com": told,
        "pending@example.com": asked,
        "departed@example.com": asked,
        "new@example.com": asked,
    }
    # What a bound held back leaves nothing: neither token nor entry, nor a count of its mailbox.
    [(cooling,)] = subscriptions.rows(
        "SELECT count(*) FROM subscriptions.consent_event AS entry "
        "JOIN subscriptions.subscriber AS person ON person.id = entry.subscriber_id "
        "WHERE person.email_key = 'cooling@example.com'"
    )
    assert cooling == 1
    assert subscriptions.rows("SELECT sum(mails) FROM subscriptions.mailbox_quota") == [(8,)]


async def test_the_consent_record_has_what_each_of_them_sent(subscriptions: Subscriptions) -> None:
    visitors = [
        {"ip": f"192.0.2.{n}", "user_agent": f"Browser {n}", "form_url": f"https://x.example/{n}"} for n in (1, 2)
    ]
    await together(
        subscriptions,
        *(item(f"reader-{n}@example.com", wording_version=1, visitor=visitor) for n, visitor in enumerate(visitors)),
    )
    rows = subscriptions.rows(
        "SELECT kind, source, host(ip), user_agent, form_url, wording_version, mail FROM subscriptions.consent_event "
        "ORDER BY ip"
    )
    assert rows == [("requested", "form", v["ip"], v["user_agent"], v["form_url"], 1, "confirmation") for v in visitors]


async def test_each_mail_belongs_to_the_trace_of_its_own_request(subscriptions: Subscriptions) -> None:
    sent = {
        f"reader-{number}@example.com": f"00-{trace_id}-00f067aa0ba902b7-01"
        for number, trace_id in enumerate(TRACE_IDS)
    }
    await together(subscriptions, *(item(email, traceparent=trace) for email, trace in sent.items()))
    assert dict(subscriptions.rows("SELECT to_email, traceparent FROM delivery.single_mail")) == sent


async def test_a_faulty_one_is_refused_in_its_place_and_the_others_are_taken(subscriptions: Subscriptions) -> None:
    answers = await together(
        subscriptions,
        item("first@example.com"),
        item("no address"),
        item("bidi@example.com", name="\u202eevil"),
        item("long@example.com", name="x" * 100_000),
        item("unknown@example.com", newsletter="nothing"),
        item("more@example.com", colour="red"),
        "no object",
        {"email": "nameless@example.com"},
        item("last@example.com"),
    )
    assert [answer["status"] for answer in answers] == [202, 422, 422, 400, 422, 400, 400, 400, 202]
    pointers = [[error["pointer"] for error in answer.get("problem", {}).get("errors", [])] for answer in answers]
    assert pointers == [[], ["/email"], ["/name"], ["/name"], ["/newsletter"], ["/colour"], [""], ["/name"], []]
    assert {to for to, _, _, _ in subscriptions.mails()} == {"first@example.com", "last@example.com"}
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.subscriber") == [(2,)]


async def test_a_fault_is_described_as_it_is_for_one_alone(subscriptions: Subscriptions) -> None:
    faulty = (item("no address", name=""), item("long@example.com", name="x" * 100_000), item("a@b.example", "\u202e"))
    answers = await together(subscriptions, *faulty)
    for one, answer in zip(faulty, answers, strict=True):
        alone = (await subscriptions.public("subscriptions", **one)).json()
        for name in ("type", "title", "status", "errors"):
            assert answer["problem"][name] == alone[name]


async def test_one_that_the_database_refuses_harms_no_other(subscriptions: Subscriptions) -> None:
    subscriptions.rows("ALTER TABLE subscriptions.subscriber ADD CONSTRAINT refused CHECK (name <> 'Refused')")
    answers = await together(
        subscriptions, item("a@example.com"), item("b@example.com", name="Refused"), item("c@example.com")
    )
    assert [answer["status"] for answer in answers] == [202, 500, 202]
    assert answers[1]["problem"]["type"] == "urn:broadsheet:problem:internal"
    assert "Refused" not in str(answers)
    assert {to for to, _, _, _ in subscriptions.mails()} == {"a@example.com", "c@example.com"}


async def test_one_whose_row_somebody_holds_is_to_come_again_and_the_others_are_taken(
    subscriptions: Subscriptions, holding: psycopg.Connection
) -> None:
    await subscriptions.sign_up("held@example.com")
    subscriptions.end_cool_down()
    holding.execute("SELECT FROM subscriptions.subscriber FOR UPDATE")
    answers = await together(subscriptions, item("a@example.com"), item("held@example.com"), item("z@example.com"))
    assert [answer["status"] for answer in answers] == [202, 503, 202]
    assert [to for to, _, _, _ in subscriptions.mails()].count("held@example.com") == 1


async def test_the_short_bound_on_waiting_for_a_row_is_for_those_who_have_company(subscriptions: Subscriptions) -> None:
    [bound_alone] = await _lock_timeouts(subscriptions, [item("a@example.com")])
    [bound_together] = await _lock_timeouts(subscriptions, [item("b@example.com"), item("c@example.com")])
    assert bound_alone != bound_together == "500ms"


async def _lock_timeouts(subscriptions: Subscriptions, items: list[object]) -> list[str]:
    """What the transactions of these sign-ups had set."""
    subscriptions.rows("CREATE TABLE IF NOT EXISTS public.seen (bound text)")
    subscriptions.rows("TRUNCATE public.seen")
    subscriptions.rows("""
        CREATE OR REPLACE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN INSERT INTO public.seen VALUES (current_setting('lock_timeout')); RETURN NULL; END $$
    """)
    subscriptions.rows("""
        CREATE OR REPLACE TRIGGER see AFTER INSERT ON subscriptions.subscriber
        FOR EACH STATEMENT EXECUTE FUNCTION public.see()
    """)
    assert await together(subscriptions, *items) == [ACCEPTED] * len(items)
    return [str(bound) for (bound,) in subscriptions.rows("SELECT bound FROM public.seen")]


async def test_twice_the_same_address_is_one_subscriber_and_one_mail(subscriptions: Subscriptions) -> None:
    answers = await together(
        subscriptions,
        item("Ada@example.com"),
        item("other@example.com"),
        item("ada@example.com"),
        item("ada@example.com"),
    )
    assert answers == [ACCEPTED] * 4
    assert sorted(to for to, _, _, _ in subscriptions.mails()) == ["Ada@example.com", "other@example.com"]


async def test_addresses_of_one_mailbox_share_its_quota_when_they_come_together(subscriptions: Subscriptions) -> None:
    answers = await together(subscriptions, *(item(f"ada+{number}@example.com") for number in range(14)))
    assert answers == [ACCEPTED] * 14
    assert len(subscriptions.mails()) == 10
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.subscriber") == [(14,)]


async def test_a_fault_of_the_database_is_answered_to_each_and_leaves_nothing_half_done(
    subscriptions: Subscriptions,
) -> None:
    subscriptions.rows("ALTER TABLE delivery.single_mail RENAME TO gone")
    answers = await together(subscriptions, item("a@example.com"), item("b@example.com"))
    assert [answer["status"] for answer in answers] == [500, 500]
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.subscriber") == [(0,)]


async def test_while_the_database_is_away_each_is_to_come_again(subscriptions: Subscriptions) -> None:
    subscriptions.take_database_away()
    answers = await together(subscriptions, item("a@example.com"), item("b@example.com"))
    assert [answer["status"] for answer in answers] == [503, 503]
    subscriptions.bring_database_back()
    assert await together(subscriptions, item("a@example.com"), item("b@example.com")) == [ACCEPTED] * 2


@pytest.mark.parametrize(
    "body", [b"", b"no json", b"[]", b"{}", b'{"items": []}', b'{"items": [1], "more": 2}', b'{"items": ["\xff"]}']
)
async def test_what_is_no_batch_is_malformed(subscriptions: Subscriptions, body: bytes) -> None:
    headers = {**subscriptions.identity("public", subject="public"), "content-type": "application/json"}
    response = await subscriptions.client.post("/public/subscriptions/batch", content=body, headers=headers)
    assert response.status_code == 400


async def test_more_than_a_batch_holds_is_refused_whole(subscriptions: Subscriptions) -> None:
    items = [item(f"reader-{number}@example.com") for number in range(BATCH_MAX + 1)]
    assert (await subscriptions.public("subscriptions/batch", items=items)).status_code == 400
    assert subscriptions.mails() == []


async def test_a_batch_needs_the_gateways_identity_for_public_pages(subscriptions: Subscriptions) -> None:
    body = {"items": [item("a@example.com")]}
    path = "/public/subscriptions/batch"
    assert (await subscriptions.client.post(path, json=body)).status_code == 401
    author = subscriptions.identity("read", "write")
    assert (await subscriptions.client.post(path, json=body, headers=author)).status_code == 403
