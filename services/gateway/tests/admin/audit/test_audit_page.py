"""The page of the audit log: entries by name, filters, pages, the file, and a look at the chain."""

import re
from urllib.parse import unquote

import httpx
import pytest

from broadsheet_common.contracts.audit import AUDIT_ACTIONS, FIELDS
from broadsheet_gateway.admin.audit.action_words import ACTION_WORDS, KIND_WORDS, label_of, path_of
from harness.waiting import eventually

from ...conftest import Gateway, csrf_token_of

PATH = "/admin/audit"


@pytest.fixture
async def owner(gateway: Gateway) -> httpx.AsyncClient:
    """Whose sign-in, and some more, are entries."""
    client = await gateway.signed_in()
    client.headers["accept"] = "text/html"
    return client


async def until_entered(gateway: Gateway, action: str, count: int = 1) -> None:
    """Of the users of this test: entries of tests before it stay in the log."""

    def is_there() -> bool:
        sql = (
            "SELECT count(*) FROM audit.entry AS one WHERE action = %s AND number > 0 AND one.at >= "
            "(SELECT min(created_at) FROM gateway.user_account)"
        )
        return int(gateway.sql(sql, action)[0][0]) >= count

    await eventually(is_there, what=f"{action} is entered")


async def test_an_entry_says_who_did_what_from_where(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    await until_entered(gateway, "user.signed_in")
    page = await owner.get(PATH)
    assert page.status_code == 200
    (user_id,) = gateway.sql("SELECT id FROM gateway.user_account WHERE username = 'author'")[0]
    for shown in (
        ">Signed in<br>", "<code>user.signed_in</code>", f"user {user_id}", "<bdi>author</bdi>", f"user:{user_id}",
        "from 127.0.0.1", "UTC",
    ):  # fmt: skip
        assert shown in page.text
    assert "Those of this page are right." in page.text
    head = gateway.sql("SELECT number || ':' || encode(hash, 'hex') FROM audit.head")[0][0]
    assert re.search(r"<code>\d+:[0-9a-f]{64}</code>", page.text) is not None
    assert head.partition(":")[0].isdecimal()


async def enter(gateway: Gateway, action: str, target_id: str, newsletter_id: int | None = None) -> None:
    gateway.sql(
        "INSERT INTO audit.waiting (service, action, actor, person, target_kind, target_id, newsletter_id) "
        "VALUES ('publishing', %s, 'schedule', 'schedule', %s, %s, %s)",
        action,
        action.partition(".")[0],
        target_id,
        newsletter_id,
    )
    await until_entered(gateway, action)


async def test_what_it_was_done_to_is_named_and_leads_there(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    (user_id,) = gateway.sql("SELECT id FROM gateway.user_account WHERE username = 'author'")[0]
    for action, target in (
        ("issue.approved", "14"), ("subscriber.changed", "41"), ("subscriber.erased", "42"),
        ("user.deactivated", str(user_id)), ("attribute.removed", "city"),
    ):  # fmt: skip
        await enter(gateway, action, target, 7)
    person = {"id": 41, "email": "ada@example.com", "name": "Ada"}
    gateway.subscriptions.answer("GET", "/api/v1/subscribers", body={"items": [person], "next_cursor": None})
    gateway.publishing.answer(
        "GET", "/api/v1/issues", body={"items": [{"id": 14, "title": "Queues <b>"}], "next_cursor": None}
    )
    gateway.publishing.answer(
        "GET", "/api/v1/newsletters", body={"items": [{"id": 7, "name": "The Weekly"}], "next_cursor": None}
    )
    page = (await owner.get(PATH)).text
    for shown in (
        'Approved <a href="/admin/issues/14"><bdi>“Queues &lt;b&gt;”</bdi></a>',
        'Changed what is noted of <a href="/admin/subscribers/41"><bdi>ada@example.com</bdi></a>',
        "Erased <bdi>erased subscriber 42</bdi>",
        f'Deactivated <a href="/admin/users/{user_id}"><bdi>author</bdi></a>',
        "Removed <bdi>attribute city</bdi> and its values",
        "<code>issue.approved</code>, issue 14, <bdi>The Weekly</bdi>",
        "<bdi>the schedule</bdi>",
    ):
        assert shown in page, shown
    gateway.subscriptions.fail("GET", "/api/v1/subscribers", httpx.ConnectError("refused"))
    gateway.publishing.fail("GET", "/api/v1/issues", httpx.ConnectError("refused"))
    gateway.publishing.fail("GET", "/api/v1/newsletters", httpx.ConnectError("refused"))
    page = (await owner.get(PATH)).text
    for shown in ("<bdi>issue 14</bdi>", "<bdi>subscriber 42</bdi>", "<bdi>newsletter 7</bdi>"):
        assert shown in page, shown


def test_every_action_and_every_kind_of_target_has_its_words() -> None:
    assert ACTION_WORDS.keys() == AUDIT_ACTIONS
    assert {action.partition(".")[0] for action in AUDIT_ACTIONS} == KIND_WORDS.keys() == FIELDS.keys()
    for action, words in ACTION_WORDS.items():
        assert words.count("{}") <= 1, action
        assert re.fullmatch(r"[A-Z][a-z][^{}]*", label_of(action)), action
    labels = [label_of(action) for action in ACTION_WORDS]
    assert len(set(labels)) == len(labels)
    assert label_of("issue.published") == "Published an issue"
    assert not [label for label in labels if " an user" in label]


def test_the_page_of_a_target_is_one_that_there_is(gateway: Gateway) -> None:
    routes = {re.sub(r"\{[^}]*\}", "", route.path) for route in gateway.app.routes}
    for action in AUDIT_ACTIONS:
        if path := path_of(action, "1"):
            assert path.removesuffix("1") in routes, path


async def test_actions_are_offered_in_words(owner: httpx.AsyncClient) -> None:
    page = (await owner.get(PATH)).text
    assert '<option value="issue.published">Published an issue</option>' in page
    assert '<optgroup label="Issue">' in page
    assert '<option value="webhook_endpoint">Webhook</option>' in page


async def test_filters_are_combined_and_go_on_to_the_file(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    await owner.post(
        "/admin/api-keys", data={"csrf_token": await csrf_token_of(owner), "name": "Shop", "scope_read": "yes"}
    )
    await until_entered(gateway, "key.created")
    (user_id,) = gateway.sql("SELECT id FROM gateway.user_account WHERE username = 'author'")[0]
    query = f"?action=key.created&actor=user:{user_id}&target_kind=key&since=2020-01-01"
    page = (await owner.get(f"{PATH}{query}")).text
    assert "<code>key.created</code>" in page
    assert "<code>user.signed_in</code>" not in page
    assert '<option value="key.created" selected>' in page
    link = re.search(r'href="(/api/v1/audit/export[^"]*)"', page)
    assert link is not None
    path = link[1].replace("&amp;", "&")
    assert "since=2020-01-01T00:00:00+00:00" in unquote(path)
    exported = await owner.get(path)
    assert exported.status_code == 200
    assert set(re.findall(r'"action":"([a-z_.]+)"', exported.text)) == {"key.created"}
    assert "No entry fits." in (await owner.get(f"{PATH}?actor=user:999999")).text


async def test_both_days_are_part_of_the_time(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    await until_entered(gateway, "user.signed_in")
    today = gateway.sql("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD')")[0][0]
    assert "<code>user.signed_in</code>" in (await owner.get(f"{PATH}?since={today}&until={today}")).text
    assert "No entry fits." in (await owner.get(f"{PATH}?until=2020-01-01")).text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("target_kind=nonsense", "There is no such kind."),
        ("since=yesterday", "This is not a date"),
        ("until=9999-12-31", "This is not a date"),
        ("action=nonsense", "There is no such action."),
    ],
)
async def test_what_cannot_be_looked_for_is_said_at_its_field(owner: httpx.AsyncClient, query: str, said: str) -> None:
    response = await owner.get(f"{PATH}?{query}&actor=user:1")
    assert response.status_code == 422
    assert said in response.text
    assert 'value="user:1"' in response.text
    assert (await owner.get(f"{PATH}?cursor=nonsense")).status_code == 400


async def test_older_entries_are_a_page_further(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.sql(
        "INSERT INTO audit.waiting (service, action, actor, person, target_kind, target_id) "
        "SELECT 'publishing', 'layout.created', 'user:1', 'user:1', 'layout', n::text FROM generate_series(1, 60) AS n"
    )
    await until_entered(gateway, "layout.created", 60)
    page = (await owner.get(f"{PATH}?action=layout.created")).text
    assert page.count("<code>layout.created</code>") == 50
    older = re.search(r'href="(/admin/audit\?[^"]*cursor=[^"]*)"', page)
    assert older is not None
    further = (await owner.get(older[1].replace("&amp;", "&"))).text
    assert further.count("<code>layout.created</code>") >= 10
    numbers = [int(one.replace(",", "")) for one in re.findall(r"entry ([\d,]+)</span></th>", page + further)]
    assert numbers == sorted(numbers, reverse=True)


async def test_a_changed_entry_is_found_when_it_is_shown(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    await until_entered(gateway, "user.signed_in")
    (number,) = gateway.sql("SELECT max(number) FROM audit.entry WHERE action = 'user.signed_in'")[0]
    gateway.sql("ALTER TABLE audit.entry DISABLE TRIGGER USER")
    try:
        (source,) = gateway.sql("SELECT source FROM audit.entry WHERE number = %s", number)[0]
        gateway.sql("UPDATE audit.entry SET source = '192.0.2.1' WHERE number = %s", number)
        page = (await owner.get(f"{PATH}?action=user.signed_in")).text
        assert f"The chain is broken at entry {number}" in page
        assert "Those of this page are right." not in page
        gateway.sql("UPDATE audit.entry SET source = %s WHERE number = %s", source, number)
    finally:
        gateway.sql("ALTER TABLE audit.entry ENABLE TRIGGER USER")
    assert "The chain is broken" not in (await owner.get(f"{PATH}?action=user.signed_in")).text


async def test_only_owners_of_everything_see_it(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    assert 'href="/admin/audit"' in (await owner.get("/admin/password")).text
    gateway.sql("UPDATE gateway.user_role SET role = 'publisher'")
    assert (await owner.get(PATH)).status_code == 403
    assert 'href="/admin/audit"' not in (await owner.get("/admin/password")).text
