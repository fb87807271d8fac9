"""A person is erased: looked for in every column of every table afterwards, whichever tables there are."""

import io

import openpyxl
import pytest

from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_subscriptions.sign_up.store import hash_mailbox
from harness.importing import tidy_imports
from harness.system import System
from harness.waiting import eventually
from harness.whole_database import where_it_stands

from .marker import ASKED_EMAIL, EMAIL, KEY, NAME, OLD_EMAIL, OTHER, own_page, plant, sign_up_by_api, subscriber_id

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
TRACES = (KEY, OLD_EMAIL, ASKED_EMAIL, NAME, *(hash_mailbox(EmailAddress(one)).hex() for one in (EMAIL, OLD_EMAIL)))
PLANTED = {
    "delivery.erasure.email_key",
    "delivery.provider_event.email_key",
    "delivery.provider_event_inbox.body",
    "delivery.single_mail.to_email",
    "delivery.suppression.email_key",
    "delivery.suppression.note",
    "subscriptions.address_change.new_email",
    "subscriptions.address_change.new_email_key",
    "subscriptions.address_change.old_email",
    "subscriptions.address_change.old_email_key",
    "subscriptions.audience.filter",
    "subscriptions.idempotency_key.body",
    "subscriptions.import_person.after",
    "subscriptions.import_piece.content",
    "subscriptions.import_reject.cells",
    "subscriptions.import_sample.first_rows",
    "subscriptions.mailbox_quota.mailbox_hash",
    "subscriptions.segment.filter",
    "subscriptions.subscriber.attributes",
    "subscriptions.subscriber.email",
    "subscriptions.subscriber.email_key",
    "subscriptions.subscriber.name",
    "subscriptions.subscriber.tags",
    "subscriptions.subscriber_tag.tag",
    "subscriptions.webhook_attempt.answer",
}
"""Where a person stands before: the search would find nothing in an empty database."""
NOT_YET = {"delivery.erasure.email_key"}
"""What the erasure itself holds, until it is finished."""


async def _counts(system: System) -> list[object]:
    return [item["counts"] for item in (await system.api.get("/api/v1/issues")).json()["items"]]


async def _finish(system: System) -> None:
    """As delivery's loops do it."""
    await system.delivery.apply_events()
    system.seed.execute("UPDATE delivery.erasure SET run_at = now()")
    await system.delivery.finish_erasures()
    assert system.seed.execute("SELECT 1 FROM delivery.erasure WHERE finished_at IS NULL") == []
    await tidy_imports(system.database)


async def test_nothing_names_an_erased_person_in_any_column_of_any_table_and_the_counts_stay(system: System) -> None:
    person = await plant(system)
    assert set(where_it_stands(system.seed, *TRACES)) == PLANTED - NOT_YET
    before = await _counts(system)
    erased = await system.api.post(f"/api/v1/subscribers/{person}/erase", json={})
    assert erased.status_code == 200, erased.text
    assert (erased.json()["subscriber_id"], erased.json()["finished"]) == (person, False)
    await _finish(system)
    assert where_it_stands(system.seed, *TRACES) == []
    assert where_it_stands(system.seed, OTHER) != []
    assert await _counts(system) == before
    again = (await system.api.post(f"/api/v1/subscribers/{person}/erase", json={})).json()
    assert again == {**erased.json(), "finished": True}
    assert (await system.api.get(f"/api/v1/subscribers/{person}")).status_code == 404
    assert (await system.api.get(f"/api/v1/subscribers/{person}/export")).status_code == 404


async def test_the_search_finds_a_person_in_a_table_that_nobody_thought_of(system: System) -> None:
    await system.run_sql("CREATE TABLE publishing.unthought_of (id integer, what jsonb, raw bytea)")
    try:
        await system.run_sql(
            "INSERT INTO publishing.unthought_of VALUES (1, jsonb_build_object('a', %s::text), convert_to(%s, 'UTF8'))",
            EMAIL.upper(),
            EMAIL,
        )
        assert where_it_stands(system.seed, KEY) == ["publishing.unthought_of.what", "publishing.unthought_of.raw"]
    finally:
        await system.run_sql("DROP TABLE publishing.unthought_of")


async def test_a_request_that_is_sent_again_after_the_erasure_signs_nobody_up_anew(system: System) -> None:
    person = await plant(system)
    assert (await system.api.post(f"/api/v1/subscribers/{person}/erase", json={})).status_code == 200
    [(newsletter_id,)] = system.seed.execute("SELECT id FROM publishing.newsletter WHERE slug = 'second'")
    refused = await sign_up_by_api(system, newsletter_id)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:broadsheet:problem:idempotency-answer-erased")
    assert system.seed.execute("SELECT 1 FROM subscriptions.subscriber WHERE email_key = %s", (KEY,)) == []


async def _checked_import(system: System, content: bytes, media_type: str = "text/csv") -> int:
    """An import that waits after its dry run; its number."""
    answer = await system.api.post(
        "/api/v1/imports",
        content=content,
        params={"consent_basis": "They asked.", "state": "confirmed", "dry_run": "true"},
        headers={"Content-Type": media_type},
    )
    assert answer.status_code == 202, answer.text
    path = f"/api/v1/imports/{answer.json()['id']}"

    def is_checked() -> bool:
        return system.seed.count("subscriptions.import_job", f"id = {answer.json()['id']} AND status = 'checked'") == 1

    await eventually(is_checked, what=f"{path} is checked")
    return int(answer.json()["id"])


async def _start(system: System, import_id: int) -> dict[str, object]:
    path = f"/api/v1/imports/{import_id}"
    assert (await system.api.post(f"{path}/start", json={"dry_run": False})).status_code == 202
    await eventually(
        lambda: system.seed.count("subscriptions.import_job", "status IN ('queued', 'running')") == 0,
        what="the import is over",
    )
    answer: dict[str, object] = (await system.api.get(path)).json()
    return answer


async def test_a_file_that_waits_loses_the_erased_person_and_goes_on_with_everybody_else(system: System) -> None:
    await system.confirmed_subscriber(EMAIL, NAME)
    person = await subscriber_id(system, EMAIL)
    others = [f"jo{KEY}", f"{KEY}.au", *(f"reader-{n}@example.com" for n in range(40_000))]
    lines = [f"{address},Some Body" for address in others]
    # At the beginning, across the border of two stored pieces, and at the end without a line break.
    lines.insert(0, f'"{EMAIL}","{NAME}"')
    lines.insert(30_000, f"{KEY.upper()},{NAME}")
    content = "\n".join(["email,name", *lines, f"{EMAIL},{NAME}"]).encode()
    theirs = await _checked_import(system, content)
    foreign = await _checked_import(system, f"email,name\njo{KEY},Jo\n".encode())
    assert (await system.api.post(f"/api/v1/subscribers/{person}/erase", json={})).status_code == 200
    await _finish(system)
    assert where_it_stands(system.seed, NAME) == []
    [(stored,)] = system.seed.execute(
        "SELECT string_agg(content, '' ORDER BY position) FROM subscriptions.import_piece WHERE import_id = %s",
        (theirs,),
    )
    assert len(bytes(stored)) == len(content)  # type: ignore[call-overload]
    assert (await _start(system, foreign))["status"] == "done"
    after = await _start(system, theirs)
    assert (after["status"], after["status_reason"]) == ("done", None)
    assert system.seed.count("subscriptions.subscriber", "starts_with(email, 'reader-')") == 40_000
    assert system.seed.count("subscriptions.subscriber", f"email_key = '{KEY}'") == 0


def _spreadsheet(*rows: list[str]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


async def test_a_spreadsheet_is_given_up_only_if_it_names_the_person(system: System) -> None:
    await system.confirmed_subscriber(EMAIL, NAME)
    person = await subscriber_id(system, EMAIL)
    theirs = await _checked_import(system, _spreadsheet(["email"], [EMAIL], [OTHER]), XLSX)
    foreign = await _checked_import(system, _spreadsheet(["email"], [f"jo{KEY}"]), XLSX)
    quoted = await _checked_import(system, f'email,name\n{EMAIL},"of two\nlines"\n{OTHER},By Stander\n'.encode())
    assert (await system.api.post(f"/api/v1/subscribers/{person}/erase", json={})).status_code == 200
    for import_id, status in ((theirs, "cancelled"), (quoted, "cancelled"), (foreign, "checked")):
        answer = (await system.api.get(f"/api/v1/imports/{import_id}")).json()
        assert answer["status"] == status
        if status == "cancelled":
            assert answer["status_reason"].startswith("The file was removed because it names a person who was erased")


@pytest.mark.parametrize("way", ["form", "api", "import"])
async def test_an_address_that_was_suppressed_when_it_was_erased_is_so_again_after_a_new_sign_up(
    system: System, way: str
) -> None:
    person = await plant(system)
    await system.api.post(f"/api/v1/subscribers/{person}/erase", json={})
    await _finish(system)
    assert (await system.api.get("/api/v1/suppressions", params={"email": KEY})).json()["items"] == []
    if way == "form":
        assert (await system.subscribe(EMAIL)).status_code == 200
    elif way == "api":
        made = await system.api.post("/api/v1/subscribers", json={"email": EMAIL, "name": "Anew"})
        assert made.status_code == 201
    else:
        # A file does not bring in who is suppressed; the suppression is there, and the address comes by the API.
        answer = await system.api.post(
            "/api/v1/imports",
            content=f"email\n{EMAIL}\n".encode(),
            params={"consent_basis": "They asked.", "state": "confirmed"},
            headers={"Content-Type": "text/csv"},
        )
        path = f"/api/v1/imports/{answer.json()['id']}"
        await eventually(
            lambda: system.seed.count("subscriptions.import_job", "status IN ('queued', 'running')") == 0,
            what="the import is over",
        )
        assert (await system.api.get(path)).json()["counts"]["skipped"]["suppressed"] == 1
        made = await system.api.post("/api/v1/subscribers", json={"email": EMAIL, "name": "Anew"})
        assert made.status_code == 201
    assert await subscriber_id(system, EMAIL) != person
    items = (await system.api.get("/api/v1/suppressions", params={"email": KEY})).json()["items"]
    assert {(item["stream"], item["kind"], item["active"], item["note"]) for item in items} == {
        ("broadcast", "inactive", True, None),
        ("outbound", "manual", True, None),
    }
    system.seed.execute(
        "UPDATE subscriptions.subscription SET state = 'confirmed', confirmed_at = now() WHERE subscriber_id = %s",
        (await subscriber_id(system, EMAIL),),
    )
    await system.publish_by_form(title="After")
    await system.deliver_all_pending()
    assert [mail.to for mail in system.newsletter_mails() if mail.subject == "After"] == [OTHER]


async def test_an_erasure_under_an_idempotency_key_answers_its_repetition_and_refuses_another_body(
    system: System,
) -> None:
    await system.confirmed_subscriber(EMAIL, NAME)
    await system.confirmed_subscriber(OTHER)
    person, other = await subscriber_id(system, EMAIL), await subscriber_id(system, OTHER)
    key = {"Idempotency-Key": "erase-once"}
    answers = [
        await system.api.post(f"/api/v1/subscribers/{number}/erase", json={}, headers=key)
        for number in (person, person, other)
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 422]
    assert answers[0].json() == answers[1].json()
    assert await subscriber_id(system, OTHER) == other


async def test_who_erases_themselves_is_gone_and_a_second_press_finds_it_done(system: System) -> None:
    await system.confirmed_subscriber(EMAIL, NAME)
    await system.log_in()
    await system.publish_by_form()
    await system.deliver_all_pending()
    page = await own_page(system, EMAIL)
    asked = await system.visitor.get(f"{page}/erase")
    assert "Erase everything about you?" in asked.text
    assert asked.text.count("<button") == 1
    answers = [await system.visitor.post(f"{page}/erase") for _ in range(2)]
    assert [(answer.status_code, "Your data is erased" in answer.text) for answer in answers] == [(200, True)] * 2
    for path in (page, f"{page}/erase"):
        assert (await system.visitor.get(path)).status_code == 410
    assert (await system.visitor.post(f"{page}/download")).status_code == 410
    await _finish(system)
    assert where_it_stands(system.seed, KEY, NAME) == []
    assert system.seed.execute("SELECT requested_by FROM subscriptions.erasure") == [("subscriber",)]


async def test_an_erased_persons_mails_that_wait_are_not_sent(system: System) -> None:
    await system.subscribe(EMAIL, NAME)
    person = await subscriber_id(system, EMAIL)
    await system.api.post(f"/api/v1/subscribers/{person}/erase", json={})
    await _finish(system)
    await system.deliver_all_pending()
    assert system.oracle.messages() == []


async def test_an_old_address_that_is_somebody_elses_now_is_left_to_them(system: System) -> None:
    person = await plant(system)
    await system.confirmed_subscriber(OLD_EMAIL, "Another One")
    await system.api.post(f"/api/v1/subscribers/{person}/erase", json={})
    await _finish(system)
    assert where_it_stands(system.seed, KEY, ASKED_EMAIL, NAME) == []
    [item] = (await system.api.get("/api/v1/subscribers", params={"email": OLD_EMAIL})).json()["items"]
    assert item["subscriptions"][0]["state"] == "confirmed"
