"""`/admin/segments` without JavaScript: the list, the form and its buttons, refusals."""

import html
import re
from typing import Any

import httpx
import msgspec
import pytest
from litestar.status_codes import HTTP_303_SEE_OTHER

from broadsheet_gateway.access.rights import Grant
from broadsheet_gateway.admin.segments.pages import FORM_BYTES_MAX

from ...conftest import Gateway, csrf_token_of

API = "/api/v1/segments"
PAGE = "/admin/segments"
VIP = {"field": "tag", "op": "has", "value": "vip"}
SEGMENT = {
    "id": 3,
    "name": "Readers in Berlin",
    "filter": {"all": [VIP]},
    "created_at": "2026-03-01T08:00:00Z",
    "updated_at": "2026-03-02T08:00:00Z",
}
ROWS = {"mode_r": "all", "what_r-0": "tag", "op_r-0": "has", "value_r-0": "vip"}


@pytest.fixture
async def owner(gateway: Gateway) -> httpx.AsyncClient:
    client = await gateway.signed_in()
    gateway.subscriptions.answer("GET", API, body={"items": [SEGMENT], "next_cursor": None})
    gateway.subscriptions.answer("GET", f"{API}/3", body=SEGMENT, etag='"a1"')
    gateway.subscriptions.answer("PATCH", f"{API}/3", body=SEGMENT)
    gateway.subscriptions.answer("POST", f"{API}/count", body={"matching": 1204, "audience": None})
    attribute = {"name": "city", "type": "text", "label": "Home town", "created_at": "2026-03-01T08:00:00Z"}
    gateway.subscriptions.answer("GET", "/api/v1/attributes", body={"items": [attribute], "next_cursor": None})
    weekly = {"id": 7, "name": "The Weekly", "archived_at": None}
    gateway.publishing.answer("GET", "/api/v1/newsletters", body={"items": [weekly], "next_cursor": None})
    issue = {"id": 14, "title": "Queues", "status": "sent"}
    gateway.publishing.answer("GET", "/api/v1/issues", body={"items": [issue], "next_cursor": None})
    return client


async def send(client: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    return await client.post(path, data={"csrf_token": await csrf_token_of(client), **fields})


async def submit(client: httpx.AsyncClient, path: str, do: str, **fields: str) -> httpx.Response:
    return await send(client, path, **{"name": "Readers in Berlin", "version": '"a1"', **fields, "do": do})


def asked(gateway: Gateway, method: str, path: str) -> list[Any]:
    return [one for one in gateway.subscriptions.received if (one.method, one.path) == (method, path)]


def control(page: httpx.Response, name: str) -> str:
    """The tag of the control, with its options if it is a list."""
    found = re.search(rf'<(select|input|textarea) id="{re.escape(name)}".*?(?:</\1>|>)', page.text, re.DOTALL)
    if found is not None and found[1] != "input":
        found = re.search(rf'<{found[1]} id="{re.escape(name)}".*?</{found[1]}>', page.text, re.DOTALL)
    assert found is not None, name
    return found[0]


def chosen(page: httpx.Response, name: str) -> list[str]:
    return re.findall(r'<option value="([^"]*)" selected>', control(page, name))


def controls(page: httpx.Response) -> set[str]:
    return set(re.findall(r'id="((?:mode|what|op|of|value|to)_r[-0-9]*)"', page.text))


def button(page: httpx.Response, value: str) -> bool:
    return f'name="do" value="{value}"' in page.text


async def test_the_list_asks_for_no_count_until_somebody_wants_one(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    page = await owner.get(PAGE)
    assert "Readers in Berlin" in page.text
    assert f'data-count="{PAGE}/3/count"' in page.text
    assert asked(gateway, "POST", f"{API}/count") == []
    counted = await owner.get(f"{PAGE}?count=3")
    assert "1,204" in counted.text
    [count] = asked(gateway, "POST", f"{API}/count")
    assert count.json == {"filter": SEGMENT["filter"]}
    assert (await owner.get(f"{PAGE}/3/count")).json() == {"matching": 1204}


async def test_the_list_says_what_does_not_answer(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("POST", f"{API}/count", status=503)
    assert "not known" in (await owner.get(f"{PAGE}?count=3")).text
    gateway.subscriptions.answer("GET", API, status=503)
    page = await owner.get(PAGE)
    assert page.status_code == 200
    assert "could not be loaded" in page.text


async def test_a_new_segment_is_made_with_its_key(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("POST", API, status=201, body=SEGMENT)
    page = await owner.get(f"{PAGE}/new")
    assert controls(page) == {"mode_r", "what_r-0"}
    key = page.text.split('name="idempotency_key" value="')[1].split('"')[0]
    made = await submit(owner, f"{PAGE}/new", "save", idempotency_key=key, **ROWS)
    assert (made.status_code, made.headers["location"]) == (HTTP_303_SEE_OTHER, f"{PAGE}/3")
    [request] = asked(gateway, "POST", API)
    assert request.json == {"name": "Readers in Berlin", "filter": {"all": [VIP]}}
    assert request.headers["idempotency-key"] == key
    assert "The segment is saved." in (await owner.get(f"{PAGE}/3")).text


async def test_a_stored_segment_is_shown_and_changed(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    tree = {
        "any": [
            {"field": "attribute", "name": "city", "op": "in", "value": ["Berlin", "Köln"]},
            {"not": {"any": [{"field": "engagement", "event": "opened", "issue_id": 99}]}},
            {"field": "confirmed", "newsletter_id": 8, "op": "since", "value": "2026-01-01"},
        ]
    }
    gateway.subscriptions.answer("GET", f"{API}/3", body={**SEGMENT, "filter": tree}, etag='"a1"')
    page = await owner.get(f"{PAGE}/3")
    assert f'data-count="{PAGE}/3/count"' in page.text
    assert chosen(page, "mode_r") == ["any"]
    assert chosen(page, "what_r-0") == ["attribute:city"]
    assert "Home town" in control(page, "what_r-0")
    assert "Berlin\nKöln" in control(page, "value_r-0")
    assert chosen(page, "mode_r-1") == ["none"]
    # What is older than the list, or archived, is kept by its number.
    assert chosen(page, "value_r-1-0") == ["99"]
    assert chosen(page, "of_r-2") == ["8"]
    assert 'type="date" value="2026-01-01"' in control(page, "value_r-2")
    fields = {
        "mode_r": "any",
        "what_r-0": "attribute:city", "op_r-0": "in", "value_r-0": "Berlin\r\nKöln",
        "mode_r-1": "none", "what_r-1-0": "opened", "op_r-1-0": "issue", "value_r-1-0": "99",
        "what_r-2": "confirmed", "op_r-2": "since", "of_r-2": "8", "value_r-2": "2026-01-01",
    }  # fmt: skip
    saved = await submit(owner, f"{PAGE}/3", "save", **fields)
    assert saved.status_code == HTTP_303_SEE_OTHER
    [request] = asked(gateway, "PATCH", f"{API}/3")
    assert request.json["filter"] == tree
    assert request.headers["if-match"] == '"a1"'


async def test_buttons_change_the_rows_and_keep_what_was_typed(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    typed = {**ROWS, "name": "Half a name", "value_r-0": "not yet sav"}
    added = await submit(owner, f"{PAGE}/3", "add:r", **typed)
    assert added.status_code == 200
    assert controls(added) == {"mode_r", "what_r-0", "op_r-0", "value_r-0", "what_r-1"}
    assert "autofocus" in control(added, "what_r-1").partition(">")[0]
    grouped = await submit(owner, f"{PAGE}/3", "group:r", **typed)
    assert controls(grouped) == {"mode_r", "what_r-0", "op_r-0", "value_r-0", "mode_r-1", "what_r-1-0"}
    assert button(grouped, "remove:r-1")
    removed = await submit(owner, f"{PAGE}/3", "remove:r-0", **typed)
    assert controls(removed) == {"mode_r"}
    for page in (added, grouped, removed):
        assert "data-count" not in page.text  # what is shown is not what is stored
        assert 'value="Half a name"' in page.text
    for page in (added, grouped):
        assert 'value="not yet sav"' in control(page, "value_r-0")
    assert asked(gateway, "PATCH", f"{API}/3") == []


async def test_another_thing_to_look_at_gets_its_own_comparisons(owner: httpx.AsyncClient) -> None:
    page = await submit(owner, f"{PAGE}/3", "redraw", **{**ROWS, "what_r-0": "created"})
    assert chosen(page, "op_r-0") == ["within_days"]
    assert "before" in control(page, "op_r-0")
    assert "has any of" not in control(page, "op_r-0")


async def test_count_says_how_many_and_saves_nothing(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    page = await submit(owner, f"{PAGE}/3", "count", **{**ROWS, "value_r-0": "speaker"})
    assert "1,204" in page.text
    [request] = asked(gateway, "POST", f"{API}/count")
    assert request.json == {"filter": {"all": [{**VIP, "value": "speaker"}]}}
    gateway.subscriptions.answer("POST", f"{API}/count", status=503)
    silent = await submit(owner, f"{PAGE}/3", "count", **ROWS)
    assert silent.status_code == 200
    assert "The count did not come" in silent.text
    assert asked(gateway, "PATCH", f"{API}/3") == []


async def test_faults_of_the_form_are_at_their_controls(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    fields = {**ROWS, "name": " ", "what_r-1": "opened", "op_r-1": "within_days", "value_r-1": "many", "what_r-2": ""}
    page = await submit(owner, f"{PAGE}/3", "save", **fields)
    assert page.status_code == 422
    for name in ("name", "value_r-1", "what_r-2"):
        assert f'id="{name}-error"' in page.text
        assert 'aria-invalid="true"' in control(page, name)
        assert f'<a href="#{name}">' in page.text
    assert 'value="many"' in control(page, "value_r-1")
    assert 'id="value_r-0-error"' not in page.text
    assert asked(gateway, "PATCH", f"{API}/3") == []


async def test_faults_that_the_service_finds_are_at_their_rows(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    errors = [
        {"pointer": "/filter/all/1/not/any/0/within_days", "detail": "A whole number of days, 1 to 365, is expected."},
        {"pointer": "/name", "detail": "A name has 1 to 200 characters."},
    ]
    gateway.subscriptions.refuse("PATCH", f"{API}/3", 422, "invalid-input", errors=errors)
    inner = {"mode_r-1": "none", "what_r-1-0": "opened", "op_r-1-0": "within_days", "value_r-1-0": "900"}
    page = await submit(owner, f"{PAGE}/3", "save", **ROWS, **inner)
    assert page.status_code == 422
    assert '<p class="field-error" id="value_r-1-0-error">' in page.text
    assert "A whole number of days, 1 to 365" in page.text
    assert "A name has 1 to 200 characters." in page.text
    assert 'value="900"' in control(page, "value_r-1-0")


async def test_a_fault_of_the_whole_filter_is_at_the_outermost_group(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    errors = [{"pointer": "/filter", "detail": "A filter may look into at most 10 different newsletters."}]
    gateway.subscriptions.refuse("POST", f"{API}/count", 422, "invalid-input", errors=errors)
    page = await submit(owner, f"{PAGE}/3", "count", **ROWS)
    assert page.status_code == 422
    assert 'id="mode_r-error"' in page.text
    assert 'aria-invalid="true"' in control(page, "mode_r")


async def test_a_change_by_somebody_else_is_said_and_what_was_typed_is_kept(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    gateway.subscriptions.refuse("PATCH", f"{API}/3", 412, "precondition-failed")
    gateway.subscriptions.answer("GET", f"{API}/3", body={**SEGMENT, "name": "Theirs"}, etag='"b2"')
    page = await submit(owner, f"{PAGE}/3", "save", **{**ROWS, "name": "Mine"})
    assert page.status_code == 412
    assert "Somebody else changed this segment meanwhile" in page.text
    assert 'value="Mine"' in page.text
    assert 'name="version" value="&#34;b2&#34;"' in page.text


async def test_a_name_that_is_taken_is_said_at_the_name(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.refuse("POST", API, 409, "segment-exists")
    page = await submit(owner, f"{PAGE}/new", "save", **ROWS)
    assert page.status_code == 409
    assert "Another segment has this name already." in page.text
    assert 'id="name-error"' in page.text


async def test_a_service_that_does_not_answer_loses_nothing(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("PATCH", f"{API}/3", status=503)
    page = await submit(owner, f"{PAGE}/3", "save", **ROWS)
    assert page.status_code == 503
    assert 'value="vip"' in control(page, "value_r-0")
    gateway.subscriptions.answer("GET", "/api/v1/attributes", status=503)
    shown = await owner.get(f"{PAGE}/3")
    assert "The attributes could not be loaded" in shown.text
    assert "&#34;vip&#34;" in control(shown, "filter")


async def test_a_filter_that_rows_cannot_show_is_kept_as_json(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    odd = {"all": [{"not": {"all": [VIP]}}]}
    gateway.subscriptions.answer("GET", f"{API}/3", body={**SEGMENT, "filter": odd}, etag='"a1"')
    page = await owner.get(f"{PAGE}/3")
    assert "Rows cannot show this filter" in page.text
    assert controls(page) == set()
    text = msgspec.json.encode(odd).decode()
    assert (await submit(owner, f"{PAGE}/3", "save", filter=text)).status_code == HTTP_303_SEE_OTHER
    [request] = asked(gateway, "PATCH", f"{API}/3")
    assert request.json["filter"] == odd
    as_rows = await submit(owner, f"{PAGE}/3", "rows", filter=text)
    assert "Rows cannot show this filter" in as_rows.text
    shown = await submit(owner, f"{PAGE}/3", "rows", filter='{"any": [' + msgspec.json.encode(VIP).decode() + "]}")
    assert chosen(shown, "mode_r") == ["any"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"all": [}', "[" * 5_000, "null", '{"all": 1e999}'])
async def test_what_is_no_json_object_is_said_at_the_text(
    gateway: Gateway, owner: httpx.AsyncClient, text: str
) -> None:
    page = await submit(owner, f"{PAGE}/3", "save", filter=text)
    assert page.status_code == 422
    assert 'id="filter-error"' in page.text
    assert asked(gateway, "PATCH", f"{API}/3") == []


async def test_faults_of_json_name_their_place(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    errors = [{"pointer": "/filter/all/0", "detail": "An object is expected."}]
    gateway.subscriptions.refuse("PATCH", f"{API}/3", 422, "invalid-input", errors=errors)
    page = await submit(owner, f"{PAGE}/3", "save", filter='{"all": [3]}')
    assert "At /all/0: An object is expected." in page.text
    assert "[3]" in control(page, "filter")


async def test_rows_turn_into_json_unless_something_is_missing(owner: httpx.AsyncClient) -> None:
    page = await submit(owner, f"{PAGE}/3", "json", **ROWS)
    assert "&#34;vip&#34;" in control(page, "filter")
    missing = await submit(owner, f"{PAGE}/3", "json", **{**ROWS, "value_r-0": ""})
    assert missing.status_code == 422
    assert 'id="value_r-0-error"' in missing.text


async def test_a_segment_that_is_in_use_is_not_deleted_and_says_why(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.refuse("DELETE", f"{API}/3", 409, "segment-in-use")
    refused = await send(owner, f"{PAGE}/3/delete")
    assert refused.status_code == 409
    assert "An issue that is not published yet goes to this segment." in refused.text
    assert "Readers in Berlin" in refused.text
    gateway.subscriptions.fail("DELETE", f"{API}/3", httpx.ConnectError("refused"))
    assert (await send(owner, f"{PAGE}/3/delete")).status_code == 503


async def test_a_segment_is_deleted_and_made_again_as_it_was(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    """Without a question, because there is a way back."""
    gateway.subscriptions.answer("DELETE", f"{API}/3", status=204, body=b"")
    done = await send(owner, f"{PAGE}/3/delete")
    assert done.status_code == 200
    assert "“Readers in Berlin” is deleted" in done.text
    names = ("idempotency_key", "name", "filter", "do")
    hidden = {name: re.findall(f'name="{name}" value="([^"]*)"', done.text)[0] for name in names}
    fields = {name: html.unescape(value) for name, value in hidden.items()}
    gateway.subscriptions.answer("POST", API, status=201, body={**SEGMENT, "id": 9})
    undone = await send(owner, f"{PAGE}/new", **fields)
    assert (undone.status_code, undone.headers["location"]) == (HTTP_303_SEE_OTHER, f"{PAGE}/9")
    [made] = asked(gateway, "POST", API)
    assert made.json == {"name": SEGMENT["name"], "filter": SEGMENT["filter"]}
    assert made.headers["idempotency-key"] == fields["idempotency_key"]


async def test_a_segment_that_is_deleted_twice_is_deleted(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.refuse("GET", f"{API}/3", 404, "not-found")
    done = await send(owner, f"{PAGE}/3/delete")
    assert (done.status_code, done.headers["location"]) == (HTTP_303_SEE_OTHER, PAGE)
    assert "The segment is deleted." in (await owner.get(PAGE)).text


@pytest.mark.parametrize("path", [PAGE, f"{PAGE}/new", f"{PAGE}/3", f"{PAGE}/3/count"])
@pytest.mark.parametrize(
    ("grant", "opens"),
    [
        (Grant("owner"), {PAGE, f"{PAGE}/new", f"{PAGE}/3", f"{PAGE}/3/count"}),
        (Grant("editor"), {PAGE, f"{PAGE}/3", f"{PAGE}/3/count"}),
        (Grant("editor", 7), set()),
        (Grant("analyst"), set()),
    ],
    ids=["owner", "editor", "editor of one", "analyst"],
)
async def test_roles_open_the_pages(
    gateway: Gateway, owner: httpx.AsyncClient, path: str, grant: Grant, opens: set[str]
) -> None:
    gateway.sql("DELETE FROM gateway.user_role")
    gateway.sql(
        "INSERT INTO gateway.user_role (user_id, role, newsletter_id) SELECT max(id), %s, %s FROM gateway.user_account",
        grant.role,
        grant.newsletter_id,
    )
    page = await owner.get(path)
    assert page.status_code == (200 if path in opens else 403)
    assert (await submit(owner, f"{PAGE}/3", "save", **ROWS)).status_code == (
        HTTP_303_SEE_OTHER if grant.role == "owner" else 403
    )


async def test_whoever_may_only_read_sees_the_conditions_in_words(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.sql("UPDATE gateway.user_role SET role = 'editor'")
    page = await owner.get(f"{PAGE}/3")
    assert "Tag has vip" in page.text
    assert controls(page) == set()


async def test_a_large_form_is_read_whole(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    rows = {"mode_r": "any"}
    for place in range(40):
        rows |= {f"what_r-{place}": "tag", f"op_r-{place}": "has_any", f"value_r-{place}": "\r\n".join("ab" * 500)}
    assert (await submit(owner, f"{PAGE}/3", "save", **rows)).status_code == HTTP_303_SEE_OTHER
    [request] = asked(gateway, "PATCH", f"{API}/3")
    assert [len(part["value"]) for part in request.json["filter"]["any"]] == [1_000] * 40
    over = {**rows, "what_r-40": "tag"}
    assert (await submit(owner, f"{PAGE}/3", "save", **over)).status_code == 400
    huge = {**rows, "value_r-0": "x" * FORM_BYTES_MAX}
    assert (await submit(owner, f"{PAGE}/3", "save", **huge)).status_code == 413


async def test_issues_are_asked_only_for_a_condition_on_one(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    def issues_asked() -> int:
        return len([one for one in gateway.publishing.received if one.path == "/api/v1/issues"])

    await submit(owner, f"{PAGE}/3", "count", **ROWS)
    assert issues_asked() == 0
    page = await submit(owner, f"{PAGE}/3", "redraw", **{**ROWS, "what_r-0": "opened", "op_r-0": "issue"})
    assert issues_asked() == 1
    assert '<option value="14">Queues</option>' in control(page, "value_r-0")


async def test_hidden_fields_that_no_page_made_become_no_headers(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("POST", API, status=201, body=SEGMENT)
    odd = "k\r\nX-Injected: 1"
    assert (await submit(owner, f"{PAGE}/new", "save", idempotency_key=odd, **ROWS)).status_code == HTTP_303_SEE_OTHER
    assert (await submit(owner, f"{PAGE}/3", "save", version="\u00fc", **ROWS)).status_code == HTTP_303_SEE_OTHER
    [made], [changed] = asked(gateway, "POST", API), asked(gateway, "PATCH", f"{API}/3")
    assert "idempotency-key" not in made.headers
    assert "if-match" not in changed.headers
    assert "x-injected" not in made.headers


async def test_a_form_of_another_site_is_refused(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    refused = await owner.post(
        f"{PAGE}/3", data={**ROWS, "do": "save"}, headers={"sec-fetch-site": "cross-site", "accept": "text/html"}
    )
    assert refused.status_code == 403
    assert asked(gateway, "PATCH", f"{API}/3") == []
