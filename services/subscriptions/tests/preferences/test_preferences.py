"""A person's own page: what the mailed link opens and for how long, and how an address changes; on a real database."""

import asyncio

import pytest

from broadsheet_common.contracts.address_hash import AddressHasher
from broadsheet_subscriptions.background.prune import prune_round
from harness.cluster import Database
from harness.keys import ERASURE_KEYS

from ..background.test_prune import LIFETIMES
from ..conftest import Subscriptions, engine_for

ADA = "ada@example.com"
NEW = "Ada.New@example.com"
PLACES = ("subscriptions.subscriber", "subscriptions.subscription", "subscriptions.address_change")
WITH_A_LINK: list[tuple[str, dict[str, object]]] = [
    ("preferences/lookup", {}),
    ("preferences/leave", {"newsletter_id": None}),
    ("preferences/name", {"name": "Lovelace"}),
    ("preferences/address", {"email": NEW}),
    ("preferences/export", {}),
    ("preferences/erase", {}),
]


def everything(subscriptions: Subscriptions) -> list[object]:
    """All that a link could change, as it stands."""
    return [subscriptions.rows(f"SELECT one::text FROM {place} AS one ORDER BY 1") for place in PLACES]


def mails_of(subscriptions: Subscriptions, kind: str) -> list[tuple[str, str]]:
    """Address and text of each queued mail of the kind, oldest first."""
    rows = subscriptions.rows("SELECT to_email, text_body FROM delivery.single_mail WHERE kind = %s ORDER BY id", kind)
    return [(str(to), str(text)) for to, text in rows]


def let_time_pass(subscriptions: Subscriptions) -> None:
    """Over every cool-down, and within every lifetime."""
    subscriptions.rows("UPDATE subscriptions.preferences_link SET created_at = created_at - interval '2 min'")
    subscriptions.rows("UPDATE subscriptions.address_change SET requested_at = requested_at - interval '2 min'")


async def mailed_link(subscriptions: Subscriptions, email: str = ADA) -> str:
    """The token of a fresh link to the person's page."""
    let_time_pass(subscriptions)
    token = subscriptions.unsubscribe_token(email)
    assert (await subscriptions.public("preferences-links", token=token)).status_code == 202
    to, text = mails_of(subscriptions, "preferences_link")[-1]
    assert to.lower() == email.lower()
    return text.partition("/preferences/")[2].split()[0]


async def asked_for(subscriptions: Subscriptions, link: str, email: str = NEW) -> str:
    """The token that the question at the new address holds."""
    let_time_pass(subscriptions)
    asked = await subscriptions.public("preferences/address", token=link, email=email)
    assert (asked.status_code, asked.json()["pending_email"]) == (202, email)
    to, text = mails_of(subscriptions, "address_change")[-1]
    assert to == email
    return text.partition("/change-of-address/")[2].split()[0]


# The link --------------------------------------------------------------------------------------------------------


async def test_the_link_goes_to_the_address_on_file_and_the_answer_says_nothing(subscriptions: Subscriptions) -> None:
    await subscriptions.subscribe_and_confirm()
    good = await subscriptions.public("preferences-links", token=subscriptions.unsubscribe_token())
    others = [
        await subscriptions.public("preferences-links", token=token)
        for token in ("", "nonsense", "x" * 5_000, subscriptions.signer.sign("unsubscribe", 2**63), "\0")
    ]
    assert {(one.status_code, one.content) for one in (good, *others)} == {(202, b"{}")}
    [(to, text)] = mails_of(subscriptions, "preferences_link")
    assert to == ADA
    assert "The link works for 1 hour." in text
    stored = subscriptions.rows("SELECT one::text FROM subscriptions.preferences_link AS one")
    assert text.partition("/preferences/")[2].split()[0] not in str(stored), "only a hash is kept"


async def test_an_unsubscribe_link_opens_nothing_of_the_persons(subscriptions: Subscriptions) -> None:
    await subscriptions.subscribe_and_confirm()
    before = everything(subscriptions)
    for path, body in WITH_A_LINK:
        refused = await subscriptions.public(path, token=subscriptions.unsubscribe_token(), **body)
        assert (refused.status_code, refused.json()["type"]) == (401, "urn:broadsheet:problem:unknown-token"), path
        assert ADA not in refused.text
    looked_up = await subscriptions.public("unsubscribes/lookup", token=subscriptions.unsubscribe_token())
    assert ADA not in looked_up.text
    assert everything(subscriptions) == before


async def test_a_link_to_the_page_is_no_unsubscribe_link_and_no_confirmation(subscriptions: Subscriptions) -> None:
    await subscriptions.subscribe_and_confirm()
    link = await mailed_link(subscriptions)
    assert (await subscriptions.public("unsubscribes", token=link)).status_code == 404
    assert (await subscriptions.public("confirmations", token=link)).status_code == 401
    assert (await subscriptions.public("address-changes", token=link)).status_code == 401
    assert subscriptions.state() == "confirmed"


@pytest.mark.parametrize(("path", "body"), WITH_A_LINK)
@pytest.mark.parametrize("token", ["", "unknown", "x" * 43, "x" * 5_000, "\0", "é", "' OR 1=1"])
async def test_a_token_that_nobody_made_is_unauthorised(
    shared_subscriptions: Subscriptions, path: str, body: dict[str, object], token: str
) -> None:
    refused = await shared_subscriptions.public(path, token=token, **body)
    assert (refused.status_code, refused.json()["type"]) == (401, "urn:broadsheet:problem:unknown-token")


async def test_one_link_a_cool_down_and_ten_a_day_also_of_presses_at_once(subscriptions: Subscriptions) -> None:
    await subscriptions.subscribe_and_confirm()
    token = subscriptions.unsubscribe_token()
    await asyncio.gather(*(subscriptions.public("preferences-links", token=token) for _ in range(5)))
    assert len(mails_of(subscriptions, "preferences_link")) == 1
    for _ in range(12):
        let_time_pass(subscriptions)
        assert (await subscriptions.public("preferences-links", token=token)).status_code == 202
    assert len(mails_of(subscriptions, "preferences_link")) == 10


async def test_a_link_that_is_too_old_opens_nothing(subscriptions: Subscriptions) -> None:
    await subscriptions.subscribe_and_confirm()
    link = await mailed_link(subscriptions)
    assert (await subscriptions.public("preferences/lookup", token=link)).status_code == 200
    subscriptions.rows("UPDATE subscriptions.preferences_link SET expires_at = now()")
    before = everything(subscriptions)
    for path, body in WITH_A_LINK:
        assert (await subscriptions.public(path, token=link, **body)).status_code == 401, path
    assert everything(subscriptions) == before


async def test_expired_links_and_questions_are_removed_after_a_day(
    subscriptions: Subscriptions, database: Database
) -> None:
    await subscriptions.subscribe_and_confirm()
    link = await mailed_link(subscriptions)
    await asked_for(subscriptions, link)
    subscriptions.rows("UPDATE subscriptions.preferences_link SET expires_at = now()")
    subscriptions.rows("UPDATE subscriptions.address_change SET expires_at = now()")
    engine = engine_for(database)
    await prune_round(engine, LIFETIMES)
    count = (
        "SELECT (SELECT count(*) FROM subscriptions.preferences_link),"
        " (SELECT count(*) FROM subscriptions.address_change)"
    )
    assert subscriptions.rows(count) == [(1, 1)], "what the daily bounds count stays for a day"
    subscriptions.rows("UPDATE subscriptions.preferences_link SET created_at = now() - interval '25 hours'")
    subscriptions.rows("UPDATE subscriptions.address_change SET requested_at = now() - interval '25 hours'")
    await prune_round(engine, LIFETIMES)
    assert subscriptions.rows(count) == [(0, 0)]
    await engine.dispose()


# The page --------------------------------------------------------------------------------------------------------


async def test_the_page_shows_the_person_and_looking_changes_nothing(subscriptions: Subscriptions) -> None:
    await subscriptions.subscribe_and_confirm()
    subscriptions.add_newsletter("second")
    link = await mailed_link(subscriptions)
    before = everything(subscriptions)
    for _ in range(2):
        shown = await subscriptions.public("preferences/lookup", token=link)
        assert shown.json() == {
            "email": ADA,
            "name": "Ada",
            "newsletters": [{"id": 1, "name": "Newsletter", "state": "confirmed", "suppressed": None}],
            "pending_email": None,
            "language": "en",
        }
    assert everything(subscriptions) == before


async def test_one_newsletter_is_left_or_all_and_again_is_success_again(subscriptions: Subscriptions) -> None:
    await subscriptions.subscribe_and_confirm()
    second, third = subscriptions.add_newsletter("second"), subscriptions.add_newsletter("third")
    for newsletter_id in (second, third):
        await subscriptions.public("subscriptions", email=ADA, name="Ada", newsletter_id=newsletter_id)
        await subscriptions.public("confirmations", token=subscriptions.tokens()[-1])
    await subscriptions.subscribe_and_confirm("other@example.com")
    link = await mailed_link(subscriptions)
    left_one = {1: "confirmed", second: "unsubscribed", third: "confirmed"}
    for chosen, expected in ((second, left_one), (None, dict.fromkeys(left_one, "unsubscribed"))):
        answers = [await subscriptions.public("preferences/leave", token=link, newsletter_id=chosen) for _ in range(2)]
        assert [{one["id"]: one["state"] for one in answer.json()["newsletters"]} for answer in answers] == [
            expected,
            expected,
        ]
    assert subscriptions.state("other@example.com") == "confirmed"
    refused = await subscriptions.public("preferences/leave", token=link, newsletter_id=77)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/newsletter_id")


async def test_an_unsubscribe_link_leaves_all_newsletters_of_its_person_and_of_nobody_else(
    subscriptions: Subscriptions,
) -> None:
    await subscriptions.subscribe_and_confirm()
    second = subscriptions.add_newsletter("second")
    await subscriptions.public("subscriptions", email=ADA, name="Ada", newsletter_id=second)
    await subscriptions.public("confirmations", token=subscriptions.tokens()[-1])
    await subscriptions.subscribe_and_confirm("other@example.com")
    for _ in range(2):
        left = await subscriptions.public("unsubscribes/all", token=subscriptions.unsubscribe_token())
        assert (left.status_code, ADA in left.text) == (200, False)
    states = subscriptions.rows(
        "SELECT email_key, state FROM subscriptions.published_recipients ORDER BY email_key, newsletter_id"
    )
    assert states == [(ADA, "unsubscribed"), (ADA, "unsubscribed"), ("other@example.com", "confirmed")]
    assert (await subscriptions.public("unsubscribes/all", token="nonsense")).status_code == 404


async def test_the_name_changes_and_a_bad_one_is_named(subscriptions: Subscriptions) -> None:
    await subscriptions.subscribe_and_confirm()
    link = await mailed_link(subscriptions)
    for _ in range(2):
        changed = await subscriptions.public("preferences/name", token=link, name="Ada Lovelace")
        assert (changed.status_code, changed.json()["name"]) == (200, "Ada Lovelace")
    for bad in ("", " ", "\0", "a" * 257, "<b>"):
        refused = await subscriptions.public("preferences/name", token=link, name=bad)
        assert refused.status_code in {400, 422}, bad
        assert [error["pointer"] for error in refused.json()["errors"]] == ["/name"]
    assert subscriptions.rows("SELECT name FROM subscriptions.subscriber") == [("Ada Lovelace",)]


# Another address -------------------------------------------------------------------------------------------------


async def test_an_address_changes_when_the_new_mailbox_says_so_and_the_old_one_is_told(
    subscriptions: Subscriptions,
) -> None:
    await subscriptions.subscribe_and_confirm()
    unsubscribe = subscriptions.unsubscribe_token()
    link = await mailed_link(subscriptions)
    question = await asked_for(subscriptions, link)
    [(to, text)] = mails_of(subscriptions, "address_notice")
    assert (to, NEW in text) == (ADA, False), "the old mailbox need not know the new one"
    [(_, text)] = mails_of(subscriptions, "address_change")
    assert ADA not in text, "the reader may be a stranger"
    before = everything(subscriptions)
    looked_up = await subscriptions.public("address-changes/lookup", token=question)
    assert looked_up.json() == {"new_email": NEW, "is_confirmed": False, "language": "en"}
    assert everything(subscriptions) == before
    consents = subscriptions.rows("SELECT one::text FROM subscriptions.consent_event AS one ORDER BY id")
    for _ in range(2):
        confirmed = await subscriptions.public("address-changes", token=question)
        assert (confirmed.status_code, confirmed.json()) == (
            200,
            {"new_email": NEW, "is_confirmed": True, "language": "en"},
        )
    assert subscriptions.rows("SELECT email, email_key, name FROM subscriptions.subscriber") == [
        (NEW, NEW.lower(), "Ada")
    ]
    assert subscriptions.state(NEW) == "confirmed"
    assert [to for to, _ in mails_of(subscriptions, "address_notice")] == [ADA, ADA]
    # Both consents stay: what was agreed to, and under which address.
    assert subscriptions.rows("SELECT one::text FROM subscriptions.consent_event AS one ORDER BY id") == consents
    assert subscriptions.rows(
        "SELECT old_email, new_email, confirmed_at IS NOT NULL FROM subscriptions.address_change"
    ) == [(ADA, NEW, True)]
    assert (await subscriptions.public("preferences/lookup", token=link)).status_code == 401, "of the old mailbox"
    assert (await subscriptions.public("unsubscribes", token=unsubscribe)).status_code == 200, "links work for years"
    assert subscriptions.state(NEW) == "unsubscribed"


async def test_the_last_question_counts_and_an_old_one_is_too_late(subscriptions: Subscriptions) -> None:
    await subscriptions.subscribe_and_confirm()
    link = await mailed_link(subscriptions)
    first = await asked_for(subscriptions, link, "first@example.com")
    second = await asked_for(subscriptions, link, "second@example.com")
    assert (await subscriptions.public("address-changes", token=first)).status_code == 401
    subscriptions.rows("UPDATE subscriptions.address_change SET expires_at = now() WHERE new_email LIKE 'second%%'")
    assert (await subscriptions.public("address-changes", token=second)).status_code == 401
    assert subscriptions.rows("SELECT email FROM subscriptions.subscriber") == [(ADA,)]


async def test_an_address_that_is_anothers_is_answered_alike_and_told_to_its_mailbox_alone(
    subscriptions: Subscriptions,
) -> None:
    await subscriptions.subscribe_and_confirm()
    await subscriptions.subscribe_and_confirm("taken@example.com")
    link = await mailed_link(subscriptions)
    free = await subscriptions.public("preferences/address", token=link, email=NEW)
    let_time_pass(subscriptions)
    taken = await subscriptions.public("preferences/address", token=link, email="taken@example.com")
    assert free.status_code == taken.status_code == 202
    assert free.json() == taken.json() | {"pending_email": NEW}
    before = everything(subscriptions)
    _, text = mails_of(subscriptions, "address_change")[-1]
    question = text.partition("/change-of-address/")[2].split()[0]
    refused = await subscriptions.public("address-changes", token=question)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:broadsheet:problem:address-taken")
    assert everything(subscriptions) == before


async def test_one_address_that_two_confirm_at_once_goes_to_one_of_them(subscriptions: Subscriptions) -> None:
    people = (ADA, "grace@example.com")
    for email in people:
        await subscriptions.subscribe_and_confirm(email)
    questions = [await asked_for(subscriptions, await mailed_link(subscriptions, email)) for email in people]
    answers = await asyncio.gather(*(subscriptions.public("address-changes", token=one) for one in questions))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.subscriber WHERE email = %s", NEW) == [(1,)]


async def test_a_person_and_an_address_are_asked_once_a_cool_down(subscriptions: Subscriptions) -> None:
    await subscriptions.subscribe_and_confirm()
    await subscriptions.subscribe_and_confirm("grace@example.com")
    ada, grace = await mailed_link(subscriptions), await mailed_link(subscriptions, "grace@example.com")
    answers = [
        await subscriptions.public("preferences/address", token=link, email=email)
        for link, email in ((ada, NEW), (ada, NEW), (ada, "third@example.com"), (grace, NEW))
    ]
    assert {answer.status_code for answer in answers} == {202}
    assert [to for to, _ in mails_of(subscriptions, "address_change")] == [NEW]


@pytest.mark.parametrize("email", ["", "no address", "a@b", "\0@example.com", ADA, "é@example.com"])
async def test_a_bad_new_address_is_named_and_nobody_is_written_to(subscriptions: Subscriptions, email: str) -> None:
    await subscriptions.subscribe_and_confirm()
    link = await mailed_link(subscriptions)
    refused = await subscriptions.public("preferences/address", token=link, email=email)
    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/email"]
    assert mails_of(subscriptions, "address_change") == mails_of(subscriptions, "address_notice") == []


async def test_a_new_address_that_was_suppressed_when_it_was_erased_is_so_before_it_is_written_to(
    subscriptions: Subscriptions,
) -> None:
    key_id, address_hash = AddressHasher.parse(ERASURE_KEYS.reveal()).current(NEW.lower())
    subscriptions.rows(
        "INSERT INTO delivery.erased_address (address_hash, key_id) VALUES (%s, %s)", address_hash, key_id
    )
    subscriptions.rows(
        "INSERT INTO delivery.erased_suppression (message_stream, address_hash, kind, reason, source) "
        "VALUES ('outbound', %s, 'complaint', 'It complained.', 'webhook')",
        address_hash,
    )
    await subscriptions.subscribe_and_confirm()
    await asked_for(subscriptions, await mailed_link(subscriptions))
    assert subscriptions.rows("SELECT email_key, kind, active FROM delivery.suppression") == [
        (NEW.lower(), "complaint", True)
    ]


# Being erased ----------------------------------------------------------------------------------------------------


async def test_who_is_erased_is_told_so_by_every_link_they_had(subscriptions: Subscriptions) -> None:
    await subscriptions.subscribe_and_confirm()
    link = await mailed_link(subscriptions)
    question = await asked_for(subscriptions, link)
    for _ in range(2):
        assert (await subscriptions.public("preferences/erase", token=link)).status_code == 200
    for path, body in WITH_A_LINK[:-1]:
        gone = await subscriptions.public(path, token=link, **body)
        assert (gone.status_code, gone.json()["type"]) == (410, "urn:broadsheet:problem:person-erased"), path
    assert (await subscriptions.public("address-changes", token=question)).status_code == 401
    assert [subscriptions.rows(f"SELECT 1 FROM {place}") for place in PLACES] == [[], [], []]


async def test_an_erasure_and_a_change_of_address_at_once_leave_nobody_or_one_whole_person(
    subscriptions: Subscriptions,
) -> None:
    await subscriptions.subscribe_and_confirm()
    link = await mailed_link(subscriptions)
    question = await asked_for(subscriptions, link)
    changed, erased = await asyncio.gather(
        subscriptions.public("address-changes", token=question), subscriptions.public("preferences/erase", token=link)
    )
    assert changed.status_code in {200, 401}
    assert erased.status_code in {200, 401, 409}
    people = subscriptions.rows("SELECT email FROM subscriptions.subscriber")
    assert people == ([] if erased.status_code == 200 else [(NEW,)])
    if erased.status_code == 200:
        waiting = {key for (key,) in subscriptions.rows("SELECT email_key FROM delivery.erasure")}
        assert waiting == {ADA, NEW.lower()}
