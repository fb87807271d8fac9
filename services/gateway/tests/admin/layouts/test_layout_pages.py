"""The pages on layouts: what they show, what they ask of publishing, and what they say of its refusals."""

import html
import re
from typing import Any

import httpx
import pytest

from broadsheet_common.http.problems import FieldProblem
from broadsheet_gateway.admin.layouts.layout import SourceFault, faults_of

from ...conftest import Gateway, csrf_token_of

PATH = "/admin/settings/layouts"
API = "/api/v1/layouts"
SOURCE = "<html>\n<p>{{ content }}</p>\n</html>"


def layout(**changes: Any) -> dict[str, Any]:
    return {
        "id": 2, "name": "Two columns", "format": "html", "source": SOURCE, "created_at": "2026-01-02T03:04:05Z",
        "updated_at": "2026-01-02T03:04:05Z", **changes,
    }  # fmt: skip


@pytest.fixture
async def owner(gateway: Gateway) -> httpx.AsyncClient:
    client = await gateway.signed_in()
    client.headers["accept"] = "text/html"
    gateway.publishing.answer("GET", f"{API}/2", body=layout(), etag='"v1"')
    gateway.publishing.answer("GET", API, body={"items": [layout()], "next_cursor": None})
    newsletters = [{"id": 3, "name": "Harbour Notes", "layout_id": 2}, {"id": 4, "name": "Other", "layout_id": None}]
    gateway.publishing.answer("GET", "/api/v1/newsletters", body={"items": newsletters, "next_cursor": None})
    return client


async def form(client: httpx.AsyncClient, **fields: str) -> dict[str, str]:
    given = {"version": '"v1"', "name": "Two columns", "format": "html", "source": SOURCE.replace("\n", "\r\n")}
    return {"csrf_token": await csrf_token_of(client), **given, **fields}


def changes(gateway: Gateway) -> list[tuple[str, str]]:
    return [(one.method, one.path) for one in gateway.publishing.received if one.method != "GET"]


async def test_the_list_says_which_newsletters_have_a_layout(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    page = (await owner.get(PATH)).text
    assert "Two columns" in page
    assert "<bdi>Harbour Notes</bdi>" in page
    gateway.publishing.fail("GET", "/api/v1/newsletters", httpx.ConnectError("down"))
    assert "not known at the moment" in (await owner.get(PATH)).text
    gateway.publishing.fail("GET", API, httpx.ConnectError("down"))
    assert "does not answer" in (await owner.get(PATH)).text


async def test_a_layout_is_made_once(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    page = (await owner.get(f"{PATH}/new")).text
    assert "{{ content }}" in page
    key = re.search(r'name="version" value="([^"]+)"', page)
    assert key is not None
    gateway.publishing.answer("POST", API, status=201, body=layout())
    response = await owner.post(PATH, data=await form(owner, version=key[1]))
    assert (response.status_code, response.headers["location"]) == (303, f"{PATH}/2")
    assert gateway.publishing.last.json == {"name": "Two columns", "format": "html", "source": SOURCE}
    assert gateway.publishing.last.headers["idempotency-key"] == key[1]


async def test_faults_of_the_source_stand_at_their_lines_and_it_is_kept(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    errors = [
        {"pointer": "/source", "detail": "Line 2: there is no field `nmae`"},
        {"pointer": "/source", "detail": "Line 9: the end is missing"},
        {"pointer": "/source", "detail": "It needs one place."},
    ]
    for method, path in (("POST", API), ("PATCH", f"{API}/2")):
        gateway.publishing.refuse(method, path, 422, "invalid-input", errors=errors)
    for path in (PATH, f"{PATH}/2"):
        response = await owner.post(path, data=await form(owner, version="k1", source="<html>\r\n  <p>{{ nmae }}\r\n"))
        assert response.status_code == 422
        assert "It has 3 faults, listed at the top with their lines." in response.text
        assert (
            "<strong>Line 2:</strong> there is no field <code>nmae</code><br><code><bdi>&lt;p&gt;{{ nmae }}"
            in response.text
        )
        assert "<strong>Line 9:</strong> the end is missing</li>" in response.text
        assert "&lt;html&gt;\n  &lt;p&gt;{{ nmae }}\n</textarea>" in response.text
        assert ('value="k1"' in response.text) == (path != PATH), "another request needs another key"


def test_a_fault_of_another_field_is_no_fault_of_the_source() -> None:
    problems = [FieldProblem("/name", "Line 1: x"), FieldProblem("/source", "Line 3: y\nz")]
    assert faults_of(problems, "a\nb\n c ") == (SourceFault("y\nz", 3, "c"),)


async def test_a_change_is_sent_with_the_version_that_was_shown(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.publishing.answer("PATCH", f"{API}/2", body=layout())
    response = await owner.post(f"{PATH}/2", data=await form(owner, name="Wide", format="mjml"))
    assert (response.status_code, response.headers["location"]) == (303, f"{PATH}/2")
    assert gateway.publishing.last.headers["if-match"] == '"v1"'
    assert gateway.publishing.last.json == {"name": "Wide", "format": "mjml", "source": SOURCE}


async def test_who_comes_second_sees_both_sources(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.publishing.answer("GET", f"{API}/2", body=layout(source="<p>theirs"), etag='"v2"')
    gateway.publishing.refuse("PATCH", f"{API}/2", 412, "precondition-failed")
    response = await owner.post(f"{PATH}/2", data=await form(owner, source="<p>mine"))
    assert response.status_code == 412
    assert "&lt;p&gt;theirs</pre>" in response.text
    assert "&lt;p&gt;mine</textarea>" in response.text
    assert 'name="version" value="&#34;v2&#34;"' in response.text


async def test_without_publishing_the_typed_source_comes_back(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    for method, path, page in (("POST", API, PATH), ("PATCH", f"{API}/2", f"{PATH}/2")):
        gateway.publishing.fail(method, path, httpx.ConnectError("down"))
        response = await owner.post(page, data=await form(owner, source="<p>mine"))
        assert response.status_code == 503
        assert "&lt;p&gt;mine</textarea>" in response.text


async def test_a_layout_is_deleted_and_made_again_as_it_was(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    """Without a question, because there is a way back."""
    gateway.publishing.answer("DELETE", f"{API}/2", status=204, body=b"")
    token = await csrf_token_of(owner)
    response = await owner.post(f"{PATH}/2/delete", data={"csrf_token": token})
    assert response.status_code == 200
    assert changes(gateway) == [("DELETE", f"{API}/2")]
    names = ("version", "name", "format", "source")
    hidden = {name: re.findall(f'name="{name}" value="([^"]*)"', response.text)[0] for name in names}
    fields = {name: html.unescape(value) for name, value in hidden.items()}
    gateway.publishing.answer("POST", API, status=201, body=layout(id=9))
    undone = await owner.post(PATH, data={"csrf_token": token, **fields})
    assert (undone.status_code, undone.headers["location"]) == (303, f"{PATH}/9")
    made = gateway.publishing.last
    assert made.json == {name: layout()[name] for name in ("name", "format", "source")}
    assert made.headers["idempotency-key"] == fields["version"]


async def test_a_layout_that_is_deleted_twice_is_deleted(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.publishing.refuse("GET", f"{API}/2", 404, "not-found")
    response = await owner.post(f"{PATH}/2/delete", data={"csrf_token": await csrf_token_of(owner)})
    assert (response.status_code, response.headers["location"]) == (303, PATH)


async def test_a_layout_in_use_stays_and_who_uses_it_is_said(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.publishing.refuse("DELETE", f"{API}/2", 409, "layout-in-use")
    sent = {"csrf_token": await csrf_token_of(owner)}
    response = await owner.post(f"{PATH}/2/delete", data=sent)
    assert response.status_code == 409
    assert "These newsletters: Harbour Notes." in response.text
    gateway.publishing.answer("GET", "/api/v1/newsletters", body={"items": [], "next_cursor": None})
    assert "Look at the drafts of issues." in (await owner.post(f"{PATH}/2/delete", data=sent)).text


@pytest.mark.parametrize("path", ["", "/2", "/2/delete"])
async def test_a_form_without_the_sessions_token_does_nothing(
    gateway: Gateway, owner: httpx.AsyncClient, path: str
) -> None:
    sent = {"version": "x"}
    response = await owner.post(f"{PATH}{path}", data=sent, headers={"sec-fetch-site": "same-origin"})
    assert response.status_code == 403
    assert changes(gateway) == []
