"""`POST /subscriptions`: the public form."""

import asyncio

import httpx
import pytest

from harness.system import LINK, System

READER = "reader@example.com"


async def _stored(system: System) -> list[tuple[str, str, str]]:
    """Name, address and state of everybody, as the API tells them."""
    items = (await system.api.get("/api/v1/subscribers")).json()["items"]
    return [(item["name"], item["email"], one["state"]) for item in items for one in item["subscriptions"]]


async def test_the_home_page_has_a_subscribe_form(system: System) -> None:
    answer = await system.visitor.get("/")
    assert answer.status_code == 200
    for part in ('action="/subscriptions"', 'name="name"', 'name="email"'):
        assert part in answer.text


async def test_valid_data_is_200_and_stores_a_pending_subscriber(system: System) -> None:
    answer = await system.subscribe(READER, "Le Guin")
    assert answer.status_code == 200
    assert await _stored(system) == [("Le Guin", READER, "pending")]


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"name": "Le Guin"},
        {"email": READER},
        {"name": "", "email": READER},
        {"name": " \t ", "email": READER},
        {"name": "Le Guin", "email": ""},
        {"name": "Le Guin", "email": "definitely-not-an-address"},
        {"name": "Le Guin", "email": "@example.com"},
        {"name": "Le Guin", "email": "reader@"},
        {"name": "Le Guin", "email": "reader@example.com\r\nBcc: other@example.com"},
        {"name": "<script>", "email": READER},
        {"name": "x" * 257, "email": READER},
    ],
)
async def test_empty_invalid_and_missing_fields_are_400_and_store_nothing(system: System, form: dict[str, str]) -> None:
    answer = await system.visitor.post("/subscriptions", data=form or {"other": "1"})
    assert answer.status_code == 400
    assert system.seed.count("subscriptions.subscriber") == 0
    assert system.seed.count("delivery.single_mail") == 0


async def test_an_invalid_form_comes_back_with_what_was_typed_and_what_is_wrong(system: System) -> None:
    answer = await system.subscribe("not-an-address", "Le Guin")
    assert 'value="Le Guin"' in answer.text
    assert 'value="not-an-address"' in answer.text
    assert 'id="email-error"' in answer.text
    assert 'id="name-error"' not in answer.text


async def test_new_pending_confirmed_and_departed_addresses_get_the_same_page(system: System) -> None:
    new = await system.subscribe(READER)
    pending = await system.subscribe(READER)
    await system.confirm(await system.confirmation_link(READER))
    confirmed = await system.subscribe(READER)
    system.seed.execute("UPDATE subscriptions.subscription SET state = 'unsubscribed', unsubscribed_at = now()")
    departed = await system.subscribe(READER)
    assert {answer.status_code for answer in (new, pending, confirmed, departed)} == {200}
    assert {answer.content for answer in (new, pending, confirmed, departed)} == {new.content}


async def test_a_duplicate_address_stays_one_subscriber_with_the_first_name(system: System) -> None:
    await system.subscribe(READER, "First")
    await system.subscribe("Reader@EXAMPLE.com", "Second")
    assert await _stored(system) == [("First", READER, "pending")]


async def test_the_same_address_twice_at_once_is_one_subscriber_and_one_mail(system: System) -> None:
    answers = await asyncio.gather(*(system.subscribe(READER) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    await system.deliver_all_pending()
    assert system.seed.count("subscriptions.subscriber") == 1
    assert len(system.oracle.messages()) == 1


async def test_an_international_domain_is_one_subscriber_however_it_is_written(system: System) -> None:
    await system.subscribe("user@bücher.com")
    await system.subscribe("USER@xn--bcher-kva.com")
    await system.subscribe("user@XN--BCHER-KVA.com")
    assert [email for _, email, _ in await _stored(system)] == ["user@xn--bcher-kva.com"]


async def test_a_local_part_beyond_ascii_is_refused_with_a_reason(system: System) -> None:
    answer = await system.subscribe("bücher@example.com")
    assert answer.status_code == 400
    assert "only ASCII characters" in answer.text
    assert system.seed.count("subscriptions.subscriber") == 0


async def test_the_confirmation_mail_has_one_link_the_same_in_html_and_text(system: System) -> None:
    await system.subscribe(READER)
    await system.deliver_all_pending()
    [mail] = system.oracle.messages()
    assert mail.to == READER
    assert mail.stream == "outbound"
    [in_text] = LINK.findall(mail.text)
    [in_html] = LINK.findall(mail.html)
    assert in_text == in_html
    assert in_text.startswith("http://127.0.0.1:8081/subscriptions/confirm?subscription_token=")


async def test_the_mail_waits_in_the_queue_and_is_not_sent_in_the_request(system: System) -> None:
    system.oracle.fault({"kind": "hang", "seconds": 60})
    answer = await asyncio.wait_for(system.subscribe(READER), timeout=10)
    assert answer.status_code == 200
    assert system.oracle.messages() == []
    assert system.seed.count("delivery.single_mail") == 1


async def test_while_postmark_is_down_a_sign_up_succeeds_and_its_mail_comes_later(system: System) -> None:
    system.oracle.fault({"kind": "status", "status": 503, "error_code": 100})
    assert (await system.subscribe(READER)).status_code == 200
    await system.deliver_all_pending()
    assert system.oracle.messages() == []
    system.oracle.heal()
    await system.deliver_all_pending()
    assert [mail.to for mail in system.oracle.messages()] == [READER]


async def test_a_database_fault_is_a_5xx_and_leaves_nothing_half_done(system: System) -> None:
    await system.run_sql("ALTER TABLE subscriptions.confirmation_token RENAME COLUMN token_hash TO hidden")
    try:
        answer = await system.subscribe(READER)
        assert answer.status_code >= 500
        assert system.seed.count("subscriptions.subscriber") == 0
        assert system.seed.count("delivery.single_mail") == 0
    finally:
        await system.run_sql("ALTER TABLE subscriptions.confirmation_token RENAME COLUMN hidden TO token_hash")


async def test_after_a_database_fault_the_same_sign_up_succeeds(system: System) -> None:
    await system.run_sql("ALTER TABLE subscriptions.subscriber RENAME COLUMN name TO hidden")
    try:
        answer = await system.subscribe(READER)
        assert answer.status_code >= 500
        assert f'value="{READER}"' in answer.text, "the form comes back with what was typed"
    finally:
        await system.run_sql("ALTER TABLE subscriptions.subscriber RENAME COLUMN hidden TO name")
    await system.confirmed_subscriber(READER)
    assert await _stored(system) == [("Reader", READER, "confirmed")]


async def test_one_address_entered_200_times_gets_one_mail(system: System) -> None:
    for _ in range(20):
        answers: list[httpx.Response] = await asyncio.gather(*(system.subscribe(READER) for _ in range(10)))
        assert {answer.status_code for answer in answers} == {200}
    await system.deliver_all_pending()
    assert system.oracle.sends() == {READER: 1}


async def test_after_the_cool_down_another_sign_up_gets_another_link_and_both_work(system: System) -> None:
    await system.subscribe(READER)
    first = await system.confirmation_link(READER)
    system.seed.execute(
        "UPDATE subscriptions.subscription SET confirmation_queued_at = confirmation_queued_at - interval '1 hour'"
    )
    await system.subscribe(READER)
    second = await system.confirmation_link(READER)
    assert first != second
    assert (await system.confirm(first)).status_code == 200
    assert (await system.confirm(second)).status_code == 200
