"""`/admin/newsletters`: publishing an issue by the form."""

import asyncio
import re

import httpx
import pytest

from broadsheet_common.process.database import create_engine
from broadsheet_common.process.settings import PostgresUrl
from broadsheet_gateway.accounts.create_user import UserCreated, create_user
from harness.system import System

FORM = "/admin/newsletters"
ACCEPTED = "The newsletter issue has been accepted, emails will go out shortly."
ISSUE = {"title": "First", "text_content": "Text", "html_content": "<p>HTML</p>", "idempotency_key": "key-1"}
_TOKEN = re.compile(r'name="csrf_token" value="([0-9a-f]+)"')


async def _titles(system: System) -> list[str]:
    return [item["title"] for item in (await system.api.get("/api/v1/issues")).json()["items"]]


async def _author_with_a_reader(system: System) -> None:
    system.seed.subscribers(1)
    await system.log_in()


async def test_the_form_needs_a_login(system: System) -> None:
    answer = await system.visitor.get(FORM)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


async def test_publishing_needs_a_login_and_publishes_nothing_without(system: System) -> None:
    system.seed.subscribers(1)
    answer = await system.visitor.post(FORM, data=ISSUE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert await _titles(system) == []


async def test_the_form_has_its_fields_and_a_fresh_key_each_time(system: System) -> None:
    await system.log_in()
    first, second = (await system.visitor.get(FORM)).text, (await system.visitor.get(FORM)).text
    for name in ("title", "text_content", "html_content", "idempotency_key"):
        assert f'name="{name}"' in first
    key = re.compile(r'name="idempotency_key" value="([^"]+)"')
    assert key.findall(first) != key.findall(second)


async def test_unconfirmed_subscribers_receive_nothing(system: System) -> None:
    await system.confirmed_subscriber("confirmed@example.com")
    await system.subscribe("unconfirmed@example.com")
    await system.log_in()
    await system.publish_by_form()
    await system.deliver_all_pending()
    assert [mail.to for mail in system.newsletter_mails()] == ["confirmed@example.com"]


async def test_confirmed_subscribers_receive_exactly_one_mail_of_each_issue(system: System) -> None:
    for number in range(3):
        await system.confirmed_subscriber(f"reader-{number}@example.com")
    await system.log_in()
    for title in ("First", "Second"):
        await system.publish_by_form(title=title)
        await system.deliver_all_pending()
        await system.deliver_all_pending()
    received = sorted((mail.to, mail.subject) for mail in system.newsletter_mails())
    assert received == [(f"reader-{n}@example.com", title) for n in range(3) for title in ("First", "Second")]


async def test_acceptance_leads_back_to_the_form_and_says_so_once(system: System) -> None:
    await _author_with_a_reader(system)
    answer = await system.publish_by_form()
    assert (answer.status_code, answer.headers["location"]) == (303, FORM)
    assert ACCEPTED in (await system.visitor.get(FORM)).text
    assert ACCEPTED not in (await system.visitor.get(FORM)).text


async def test_the_mail_holds_what_the_form_said(system: System) -> None:
    await _author_with_a_reader(system)
    await system.publish_by_form(title="Größe", text_content="Text & more", html_content="<p>HTML &amp; more</p>")
    await system.deliver_all_pending()
    [mail] = system.newsletter_mails()
    assert mail.subject == "Größe"
    assert mail.text.startswith("Text & more")
    assert "<body><p>HTML &amp; more</p>" in mail.html


async def test_publishing_is_idempotent(system: System) -> None:
    await _author_with_a_reader(system)
    first = await system.visitor.post(FORM, data=ISSUE)
    second = await system.visitor.post(FORM, data=ISSUE)
    assert (first.status_code, first.headers["location"]) == (second.status_code, second.headers["location"])
    assert ACCEPTED in (await system.visitor.get(FORM)).text
    await system.deliver_all_pending()
    assert len(system.newsletter_mails()) == 1
    assert await _titles(system) == ["First"]


async def test_twenty_identical_submissions_at_once_publish_once_with_equal_answers(system: System) -> None:
    await _author_with_a_reader(system)
    answers: list[httpx.Response] = await asyncio.gather(*(system.visitor.post(FORM, data=ISSUE) for _ in range(20)))
    assert {(answer.status_code, answer.headers["location"], answer.content) for answer in answers} == {
        (303, FORM, b"")
    }
    await system.deliver_all_pending()
    assert len(system.newsletter_mails()) == 1
    assert await _titles(system) == ["First"]


@pytest.mark.parametrize("field", ["title", "text_content", "html_content", "idempotency_key"])
@pytest.mark.parametrize("how", ["missing", "empty", "blank"])
async def test_a_missing_field_is_400_and_publishes_nothing(system: System, field: str, how: str) -> None:
    await _author_with_a_reader(system)
    form = {name: value for name, value in ISSUE.items() if name != field}
    if how != "missing":
        form[field] = "" if how == "empty" else " \n"
    answer = await system.visitor.post(FORM, data=form)
    assert answer.status_code == 400
    assert await _titles(system) == []


async def test_a_refused_form_comes_back_with_everything_that_was_typed(system: System) -> None:
    await _author_with_a_reader(system)
    answer = await system.visitor.post(FORM, data={**ISSUE, "title": ""})
    assert answer.status_code == 400
    assert ">\nText</textarea>" in answer.text
    assert ">\n&lt;p&gt;HTML&lt;/p&gt;</textarea>" in answer.text
    assert 'id="title-error"' in answer.text


@pytest.mark.parametrize(("key", "status"), [("k" * 49, 303), ("k" * 50, 400), ("é" * 24, 303), ("é" * 25, 400)])
async def test_a_key_may_have_up_to_49_bytes(system: System, key: str, status: int) -> None:
    await _author_with_a_reader(system)
    assert (await system.visitor.post(FORM, data={**ISSUE, "idempotency_key": key})).status_code == status
    assert await _titles(system) == (["First"] if status == 303 else [])


@pytest.mark.parametrize("field", ["title", "text_content", "html_content"])
async def test_the_same_key_with_another_body_is_422_and_publishes_nothing(system: System, field: str) -> None:
    await _author_with_a_reader(system)
    await system.visitor.post(FORM, data=ISSUE)
    answer = await system.visitor.post(FORM, data={**ISSUE, field: "Something else"})
    assert answer.status_code == 422
    assert "Something else" in answer.text, "what was written is not lost"
    assert await _titles(system) == ["First"]


async def test_keys_of_two_users_never_meet(system: System) -> None:
    await _author_with_a_reader(system)
    engine = create_engine(
        PostgresUrl.parse(system.database.url_for("gateway")), application_name="test", pool_size=1, timeout_s=10
    )
    password = "seven presses and a barrel of ink"
    made = await create_user(username="second", password=password, may_use_default_password=False, engine=engine)
    await engine.dispose()
    assert made == UserCreated()
    async with system.client() as second:
        await second.post("/login", data={"username": "second", "password": password})
        assert (await system.visitor.post(FORM, data=ISSUE)).status_code == 303
        assert (await second.post(FORM, data={**ISSUE, "title": "Second"})).status_code == 303
    assert await _titles(system) == ["Second", "First"]


async def test_keys_expire(system: System) -> None:
    await _author_with_a_reader(system)
    await system.visitor.post(FORM, data=ISSUE)
    [(lifetime_h,)] = system.seed.execute(
        "SELECT extract(epoch FROM expires_at - now()) / 3600 FROM publishing.idempotency_key"
    )
    assert 23 < float(str(lifetime_h)) <= 24
    system.seed.execute("UPDATE publishing.idempotency_key SET expires_at = now() - interval '1 s'")
    assert (await system.visitor.post(FORM, data={**ISSUE, "title": "Second"})).status_code == 303
    assert await _titles(system) == ["Second", "First"]


async def test_a_publish_without_recipients_says_so_and_keeps_nothing(system: System) -> None:
    system.seed.subscribers(1, state="pending")
    await system.log_in()
    answer = await system.publish_by_form()
    assert (answer.status_code, answer.headers["location"]) == (303, FORM)
    assert "nobody has a confirmed subscription" in (await system.visitor.get(FORM)).text
    assert system.seed.count("publishing.issue") == 0
    assert system.seed.count("delivery.issue_run") == 0


async def test_a_browser_must_send_the_token_of_its_session(system: System) -> None:
    await _author_with_a_reader(system)
    token = _TOKEN.findall((await system.visitor.get(FORM)).text)[0]
    browser = {"sec-fetch-site": "same-origin"}
    refused = await system.visitor.post(FORM, data=ISSUE, headers=browser)
    assert refused.status_code == 403
    assert "<p>HTML</p>" in refused.text.replace("&lt;", "<").replace("&gt;", ">"), "the work is not lost"
    assert await _titles(system) == []
    taken = await system.visitor.post(FORM, data={**ISSUE, "csrf_token": token}, headers=browser)
    assert taken.status_code == 303
    assert await _titles(system) == ["First"]


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "https://evil.example"}]
)
async def test_another_site_cannot_publish_in_the_users_name(system: System, headers: dict[str, str]) -> None:
    await _author_with_a_reader(system)
    token = _TOKEN.findall((await system.visitor.get(FORM)).text)[0]
    answer = await system.visitor.post(FORM, data={**ISSUE, "csrf_token": token}, headers=headers)
    assert answer.status_code == 403
    assert await _titles(system) == []


async def test_the_dashboard_shows_the_issue_and_how_far_it_is(system: System) -> None:
    system.seed.subscribers(3)
    await system.log_in()
    await system.publish_by_form(title="Shown <here>")
    await system.deliver_all_pending()
    page = (await system.visitor.get("/admin/dashboard")).text
    assert "Shown &lt;here&gt;" in page
    assert 'data-live="counts.accepted">3<' in page
