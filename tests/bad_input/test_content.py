"""Values that are well-formed and wrong: names, subjects, templates, addresses."""

import pytest

from harness.system import System

ISSUES = "/api/v1/issues"
ISSUE = {"title": "First", "format": "html", "content": "<p>HTML</p>", "text_content": "Text"}
BREAKS = ["\r\nBcc: other@example.com", "\nX: y", "\r", "\u2028", "\u2029", "\x00", "\x1b[2J", "\x85"]


@pytest.mark.parametrize("broken", BREAKS, ids=repr)
async def test_a_name_cannot_bring_a_header_along(system: System, broken: str) -> None:
    answer = await system.api.post("/api/v1/subscribers", json={"email": "a@example.com", "name": f"A{broken}"})
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"
    form = await system.visitor.post("/subscriptions", data={"email": "a@example.com", "name": f"A{broken}"})
    assert form.status_code == 400
    assert system.seed.count("subscriptions.subscriber") == 0


@pytest.mark.parametrize("broken", BREAKS, ids=repr)
@pytest.mark.parametrize("where", ["inside", "at the end"])
async def test_a_title_cannot_bring_a_header_along(system: System, broken: str, where: str) -> None:
    system.seed.subscribers(1)
    title = f"First{broken}" + (" issue" if where == "inside" else "")
    answer = await system.api.post(ISSUES, json={**ISSUE, "title": title, "publish": True})
    assert answer.status_code in {400, 422}
    await system.log_in()
    assert (await system.publish_by_form(title=title)).status_code == 400
    assert system.seed.count("publishing.issue") == 0
    assert system.seed.count("publishing.idempotency_key") == 0


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"title": ""}, "/title"),
        ({"title": "   "}, "/title"),
        ({"title": "\u200b\u2060"}, "/title"),
        ({"title": "x" * 2_001}, "/title"),
        ({"format": "html", "content": ""}, "/content"),
        ({"text_content": " \n"}, "/text_content"),
        ({"format": "html", "content": "{{ subscriber.name"}, "/content"),
        ({"format": "html", "content": "{% if %}"}, "/content"),
        ({"text_content": "{% for x in (1..1000000000) %}x{% endfor %}"}, "/text_content"),
        ({"text_content": "{{ no_such_field }}"}, "/text_content"),
        ({"format": "html", "content": "a\x00b"}, "/content"),
        ({"format": "html", "content": "x" * 5_000_001}, "/content"),
        ({"newsletter_id": 999}, "/newsletter_id"),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_an_issue_that_could_not_be_mailed_is_422_and_names_the_field(
    system: System, changes: dict[str, object], pointer: str
) -> None:
    system.seed.subscribers(1)
    answer = await system.api.post(ISSUES, json={**ISSUE, **changes, "publish": True})
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert answer.json()["errors"][0]["detail"]
    for table in ("publishing.issue", "publishing.fan_out", "delivery.issue_run"):
        assert system.seed.count(table) == 0


async def test_every_field_at_fault_is_named_at_once(system: System) -> None:
    answer = await system.api.post(ISSUES, json={"title": "", "content": "{% if", "text_content": "", "publish": True})
    assert answer.status_code == 422
    assert {error["pointer"] for error in answer.json()["errors"]} == {"/title", "/content", "/text_content"}


async def test_a_publish_without_recipients_changes_nothing(system: System) -> None:
    answer = await system.api.post(ISSUES, json={**ISSUE, "publish": True}, headers={"Idempotency-Key": "key-1"})
    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    for table in ("publishing.issue", "publishing.fan_out", "delivery.issue_run", "publishing.idempotency_key"):
        assert system.seed.count(table) == 0
    system.seed.subscribers(1)
    again = await system.api.post(ISSUES, json={**ISSUE, "publish": True}, headers={"Idempotency-Key": "key-1"})
    assert again.status_code == 201, "the key was not used up"


async def test_an_invalid_address_in_the_database_is_excluded_with_its_reason_and_holds_nobody_up(
    system: System,
) -> None:
    readers = system.seed.subscribers(4)
    system.seed.execute(
        "UPDATE subscriptions.subscriber SET email = 'no address', email_key = 'no address' WHERE id = %s",
        (readers[1],),
    )
    issue_id = (await system.api.post(ISSUES, json={**ISSUE, "publish": True})).json()["id"]
    await system.deliver_all_pending()
    issue = (await system.api.get(f"{ISSUES}/{issue_id}")).json()
    assert issue["status"] == "sent"
    assert {name: count for name, count in issue["counts"].items() if count} == {
        "audience": 4,
        "accepted": 3,
        "excluded": 1,
    }
    page = (await system.api.get(f"{ISSUES}/{issue_id}/deliveries", params={"status": "excluded"})).json()
    [excluded] = page["items"]
    assert excluded["subscriber_id"] == readers[1]
    assert "not valid" in excluded["reason"]
    shown = await system.api.get(f"/api/v1/subscribers/{readers[1]}")
    assert shown.status_code == 200, "the API still shows whose address it is"


@pytest.mark.parametrize("newsletter_id", [0, -1, 2**63, "first", 1.5])
async def test_a_newsletter_id_that_is_none_is_400(system: System, newsletter_id: object) -> None:
    answer = await system.api.post(ISSUES, json={**ISSUE, "newsletter_id": newsletter_id})
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert system.seed.count("publishing.issue") == 0


@pytest.mark.parametrize("field", ["{{ subscriber.name }}", "{{ subscriber.name | escape }}"])
async def test_a_name_with_markup_that_gets_in_by_another_way_is_escaped_once(system: System, field: str) -> None:
    [reader] = system.seed.subscribers(1)
    system.seed.execute("UPDATE subscriptions.subscriber SET name = '<b>&' WHERE id = %s", (reader,))
    await system.api.post(ISSUES, json={**ISSUE, "format": "html", "content": f"<p>{field}</p>", "publish": True})
    await system.deliver_all_pending()
    [mail] = system.newsletter_mails()
    assert "<p>&lt;b&gt;&amp;</p>" in mail.html
