"""`/admin/attributes` without JavaScript."""

from typing import Any

import httpx
import pytest
from litestar.status_codes import HTTP_303_SEE_OTHER

from ...conftest import Gateway, Received, csrf_token_of

API = "/api/v1/attributes"
PAGE = "/admin/attributes"
CITY: dict[str, Any] = {"name": "city", "type": "text", "label": "Home town", "created_at": "2026-03-01T08:00:00Z"}


@pytest.fixture
async def owner(gateway: Gateway) -> httpx.AsyncClient:
    client = await gateway.signed_in()
    gateway.subscriptions.answer("GET", API, body={"items": [CITY], "next_cursor": None})
    gateway.subscriptions.answer("GET", f"{API}/city", body=CITY, etag='"a1"')
    gateway.subscriptions.answer("POST", "/api/v1/segments/count", body={"matching": 1204, "audience": None})
    return client


async def send(client: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    return await client.post(path, data={"csrf_token": await csrf_token_of(client), **fields})


def asked(gateway: Gateway, method: str, path: str) -> list[Received]:
    return [one for one in gateway.subscriptions.received if (one.method, one.path) == (method, path)]


async def test_an_attribute_is_added_with_the_forms_key(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    page = await owner.get(PAGE)
    assert "Home town" in page.text
    key = page.text.split('name="idempotency_key" value="')[1].split('"')[0]
    gateway.subscriptions.answer("POST", API, status=201, body=CITY)
    fields = {"name": " visits ", "type": "number", "label": "", "idempotency_key": key}
    done = await send(owner, PAGE, **fields)
    assert (done.status_code, done.headers["location"]) == (HTTP_303_SEE_OTHER, PAGE)
    [request] = asked(gateway, "POST", API)
    assert request.json == {"name": "visits", "type": "number", "label": None}
    assert request.headers["idempotency-key"] == key
    assert "The attribute is added." in (await owner.get(PAGE)).text


async def test_a_refused_attribute_keeps_what_was_typed(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    page = await send(owner, PAGE, name="", type="colour", label="Kept")
    assert page.status_code == 422
    for text in ('id="name-error"', 'id="type-error"', 'value="Kept"'):
        assert text in page.text
    assert asked(gateway, "POST", API) == []
    gateway.subscriptions.refuse("POST", API, 409, "attribute-exists")
    taken = await send(owner, PAGE, name="city", type="date", label="Kept")
    assert taken.status_code == 409
    assert "There is an attribute of this name" in taken.text
    assert '<option value="date" selected>' in taken.text
    gateway.subscriptions.refuse("POST", API, 409, "too-many-attributes", detail="There may be at most 200.")
    assert "There may be at most 200." in (await send(owner, PAGE, name="city", type="date")).text
    gateway.subscriptions.answer("POST", API, status=503)
    assert (await send(owner, PAGE, name="city", type="date")).status_code == 503


async def test_a_label_is_changed_if_nobody_else_did(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("PATCH", f"{API}/city", body=CITY)
    done = await send(owner, f"{PAGE}/city", label=" City ", version='"a1"')
    assert (done.status_code, done.headers["location"]) == (HTTP_303_SEE_OTHER, PAGE)
    [request] = asked(gateway, "PATCH", f"{API}/city")
    assert (request.json, request.headers["if-match"]) == ({"label": "City"}, '"a1"')
    gateway.subscriptions.refuse("PATCH", f"{API}/city", 412, "precondition-failed")
    gateway.subscriptions.answer("GET", f"{API}/city", body=CITY, etag='"b2"')
    stale = await send(owner, f"{PAGE}/city", label="Mine", version='"a1"')
    assert stale.status_code == 412
    assert "Somebody else changed this label meanwhile" in stale.text
    assert 'value="Mine"' in stale.text
    assert 'name="version" value="&#34;b2&#34;"' in stale.text
    empty = await send(owner, f"{PAGE}/city", label=" ", version='"a1"')
    assert empty.status_code == 422
    assert 'id="label-error"' in empty.text


async def test_an_attribute_is_removed_after_saying_of_how_many(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    page = await owner.get(f"{PAGE}/city/remove")
    assert "1,204 people" in page.text
    [count] = asked(gateway, "POST", "/api/v1/segments/count")
    assert count.json == {"filter": {"all": [{"field": "attribute", "name": "city", "op": "is_set", "value": True}]}}
    unticked = await send(owner, f"{PAGE}/city/remove")
    assert unticked.status_code == 422
    assert 'id="understood-error"' in unticked.text
    assert asked(gateway, "DELETE", f"{API}/city") == []
    gateway.subscriptions.refuse("DELETE", f"{API}/city", 409, "attribute-in-use")
    in_use = await send(owner, f"{PAGE}/city/remove", understood="yes")
    assert in_use.status_code == 409
    assert "A segment uses this attribute." in in_use.text
    gateway.subscriptions.answer("DELETE", f"{API}/city", status=204, body=b"")
    done = await send(owner, f"{PAGE}/city/remove", understood="yes")
    assert (done.status_code, done.headers["location"]) == (HTTP_303_SEE_OTHER, PAGE)


async def test_what_does_not_answer_is_said(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("POST", "/api/v1/segments/count", status=503)
    assert "Every value of it is removed" in (await owner.get(f"{PAGE}/city/remove")).text
    gateway.subscriptions.answer("GET", API, status=503)
    page = await owner.get(PAGE)
    assert page.status_code == 200
    assert "could not be loaded" in page.text


@pytest.mark.parametrize("name", ["City", "..%2Fsegments", "x" * 64, "gone"])
async def test_what_is_no_attribute_is_a_404(gateway: Gateway, owner: httpx.AsyncClient, name: str) -> None:
    gateway.subscriptions.refuse("GET", f"{API}/gone", 404, "not-found")
    for path in (f"{PAGE}/{name}", f"{PAGE}/{name}/remove"):
        assert (await owner.get(path, headers={"accept": "text/html"})).status_code == 404
    assert {one.path for one in gateway.subscriptions.received} <= {f"{API}/gone"}


@pytest.mark.parametrize("path", [PAGE, f"{PAGE}/city", f"{PAGE}/city/remove"])
@pytest.mark.parametrize(
    ("role", "newsletter", "opens"),
    [
        ("owner", None, {PAGE, f"{PAGE}/city", f"{PAGE}/city/remove"}),
        ("support", None, {PAGE}),
        ("support", 7, set()),
        ("analyst", None, set()),
    ],
)
async def test_roles_open_the_pages(
    gateway: Gateway, owner: httpx.AsyncClient, path: str, role: str, newsletter: int | None, opens: set[str]
) -> None:
    gateway.sql("UPDATE gateway.user_role SET role = %s, newsletter_id = %s", role, newsletter)
    page = await owner.get(path)
    assert page.status_code == (200 if path in opens else 403)
    if path == PAGE and path in opens:
        assert ("Add an attribute" in page.text) is (role == "owner")
    if role != "owner":
        assert (await send(owner, path, understood="yes", label="x", name="x", type="text")).status_code == 403
