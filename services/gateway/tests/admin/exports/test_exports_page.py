"""`/admin/exports`: the choice of a file, which the API then streams."""

from collections.abc import Awaitable
from typing import cast

import httpx
import msgspec
import pytest

from broadsheet_gateway.access.roles import Role
from broadsheet_gateway.accounts.sessions import KEY_PREFIX

from ...conftest import Answer, Gateway, csrf_token_of

EXPORTS = "/admin/exports"


@pytest.fixture
async def owner(gateway: Gateway) -> httpx.AsyncClient:
    gateway.publishing.answer("GET", "/api/v1/newsletters", body={
        "items": [{"id": 3, "name": "The Weekly", "archived_at": None}], "next_cursor": None,
    })  # fmt: skip
    client = await gateway.signed_in()
    gateway.subscriptions.received.clear()
    return client


async def send(client: httpx.AsyncClient, **form: str) -> httpx.Response:
    return await client.post(EXPORTS, data={"csrf_token": await csrf_token_of(client), **form})


async def age_proof(gateway: Gateway) -> None:
    async for key in gateway.redis.scan_iter(f"{KEY_PREFIX}*"):
        data = msgspec.json.decode(await cast("Awaitable[bytes]", gateway.redis.hget(key, "data")))
        data["authenticated_at_us"] -= 901 * 1_000_000
        await gateway.redis.hset(key, "data", msgspec.json.encode(data))


@pytest.mark.parametrize(
    ("form", "query"),
    [
        ({"format": "csv", "newsletter": "", "state": ""}, "format=csv"),
        (
            {"format": "jsonl", "newsletter": "3", "state": "confirmed"},
            "format=jsonl&newsletter_id=3&state=confirmed",
        ),
        ({"format": "exe"}, "format=csv"),
    ],
)
async def test_the_form_leads_to_the_file_which_comes_with_the_session(
    gateway: Gateway, owner: httpx.AsyncClient, form: dict[str, str], query: str
) -> None:
    assert '<option value="3">The Weekly</option>' in (await owner.get(EXPORTS)).text
    address = f"/api/v1/exports/subscribers?{query}"
    led = await send(owner, **form)
    assert (led.status_code, led.headers["location"]) == (303, address)
    assert gateway.subscriptions.received == []
    headers = {"content-type": "text/csv", "content-disposition": 'attachment; filename="subscribers.csv"'}
    gateway.subscriptions.answers["GET", "/api/v1/exports/subscribers"] = Answer(200, b"id,email\n1,a@b.c\n", headers)
    file = await owner.get(address)
    assert (file.status_code, file.content) == (200, b"id,email\n1,a@b.c\n")
    assert file.headers["content-disposition"] == 'attachment; filename="subscribers.csv"'
    assert gateway.subscriptions.last.query == query


async def test_a_fresh_proof_is_asked_for_before_anything_is_chosen(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    await age_proof(gateway)
    page = (await owner.get(EXPORTS)).text
    assert f"/admin/confirm?next={EXPORTS}" in page
    assert f'action="{EXPORTS}"' not in page
    refused = await send(owner, format="csv")
    assert (refused.status_code, refused.headers["location"]) == (303, f"/admin/confirm?next={EXPORTS}")
    direct = await owner.get("/api/v1/exports/subscribers?format=csv")
    assert direct.status_code == 403, "the file itself asks too"
    assert gateway.subscriptions.received == []


@pytest.mark.parametrize(
    ("form", "field"),
    [({"newsletter": "x"}, "newsletter"), ({"newsletter": "9" * 19}, "newsletter"), ({"state": "gone"}, "state")],
)
async def test_what_the_lists_do_not_offer_is_refused(
    owner: httpx.AsyncClient, form: dict[str, str], field: str
) -> None:
    refused = await send(owner, **({"format": "jsonl"} | form))
    assert (refused.status_code, f'id="{field}-error"' in refused.text) == (422, True)
    assert 'value="jsonl" checked' in refused.text


async def test_another_site_exports_nothing(owner: httpx.AsyncClient) -> None:
    refused = await owner.post(EXPORTS, data={"format": "csv"}, headers={"sec-fetch-site": "cross-site"})
    assert refused.status_code == 403


async def test_without_publishing_every_newsletter_can_still_be_exported(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    gateway.publishing.fail("GET", "/api/v1/newsletters", httpx.ConnectError("away"))
    page = await owner.get(EXPORTS)
    assert (page.status_code, "Every newsletter" in page.text) == (200, True)
    assert "none can be chosen now" in page.text


@pytest.mark.parametrize("role", ["editor", "publisher", "analyst", "support"])
async def test_only_owners_export(gateway: Gateway, owner: httpx.AsyncClient, role: Role) -> None:
    gateway.sql("UPDATE gateway.user_role SET role = %s", role)
    for method in ("GET", "POST"):
        assert (await owner.request(method, EXPORTS)).status_code == 403
    assert EXPORTS not in (await owner.get("/admin/dashboard")).text
