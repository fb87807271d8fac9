"""The pages on API keys: making, renaming, rotating, revoking, their uses, and who may see which."""

import re
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import cast

import httpx
import msgspec
import pytest

from broadsheet_gateway.accounts.sessions import KEY_PREFIX
from harness.owner import AUDIT_LOG

from ...conftest import Gateway, csrf_token_of

PATH = "/admin/api-keys"
SECRET = re.compile(r"bs_[0-9a-f]{8}_[A-Za-z0-9_-]{43}")


@pytest.fixture
async def owner(gateway: Gateway) -> httpx.AsyncClient:
    client = await gateway.signed_in()
    client.headers["accept"] = "text/html"
    newsletters = [{"id": 3, "name": "The Weekly", "archived_at": None}]
    gateway.publishing.answer("GET", "/api/v1/newsletters", body={"items": newsletters, "next_cursor": None})
    return client


async def send(client: httpx.AsyncClient, path: str, **form: str) -> httpx.Response:
    return await client.post(path, data={"csrf_token": await csrf_token_of(client), **form})


async def make(client: httpx.AsyncClient, name: str = "Shop", **form: str) -> tuple[str, str]:
    """The path of the key's page, and its secret."""
    made = await send(client, PATH, name=name, **({"scope_read": "yes"} | form))
    assert made.status_code == 200, made.text
    found = SECRET.search(made.text)
    link = re.search(rf'href="({PATH}/\d+)" class="button"', made.text)
    assert found is not None
    assert link is not None
    return link[1], found[0]


async def age_proof(gateway: Gateway) -> None:
    async for key in gateway.redis.scan_iter(f"{KEY_PREFIX}*"):
        data = msgspec.json.decode(await cast("Awaitable[bytes]", gateway.redis.hget(key, "data")))
        data["authenticated_at_us"] -= 901 * 1_000_000
        await gateway.redis.hset(key, "data", msgspec.json.encode(data))


async def become(gateway: Gateway, username: str, role: str) -> None:
    gateway.sql(
        "UPDATE gateway.user_role SET role = %s "
        "WHERE user_id = (SELECT id FROM gateway.user_account WHERE username = %s)",
        role,
        username,
    )


async def opens(gateway: Gateway, secret: str) -> int:
    return (await (await gateway.client(authorization=f"Bearer {secret}")).get("/api/v1/api-keys")).status_code


async def test_a_key_is_made_its_secret_is_shown_once_and_it_opens_the_api(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    assert "No keys yet" in (await owner.get(PATH)).text
    path, secret = await make(owner, **{"scope_keys:read": "yes"})
    assert await opens(gateway, secret) == 200
    for page in (PATH, path):
        text = (await owner.get(page)).text
        assert "Shop" in text
        assert secret[:11] in text
        assert SECRET.search(text) is None
    assert ("key.created",) in gateway.sql(f"SELECT action FROM {AUDIT_LOG}")


async def test_scopes_newsletters_and_the_last_day_are_those_of_the_form(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    last_day = (datetime.now(UTC) + timedelta(days=30)).date()
    form = {"scope_issues:publish": "yes", "scope_issues:read": "yes", "newsletter_3": "yes"}
    made = await send(owner, PATH, name="  Shop   two ", expires_on=last_day.isoformat(), **form)
    assert made.status_code == 200
    (row,) = gateway.sql("SELECT name, scopes, newsletter_ids, expires_at FROM gateway.api_key")
    assert row[:3] == ("Shop two", ["issues:publish", "issues:read"], [3])
    assert row[3].astimezone(UTC) == datetime.combine(last_day + timedelta(days=1), datetime.min.time(), UTC)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"name": ""}, "A name is needed."),
        ({"name": "x" * 101}, "A name has at most 100 characters."),
        ({"scope_read": ""}, ""),
        ({"scope_read": None}, "Tick at least one thing that the key may do."),
        ({"scope_nonsense": "yes"}, "There is no scope nonsense."),
        ({"expires_on": "2020-01-01"}, "This is in the past."),
        ({"expires_on": "soon"}, "This is not a date. Write it as in 2027-01-31."),
        ({"expires_on": "9999-12-31"}, "This is not a date. Write it as in 2027-01-31."),
    ],
)
async def test_what_cannot_be_a_key_is_said_and_what_was_typed_stays(
    gateway: Gateway, owner: httpx.AsyncClient, form: dict[str, str | None], said: str
) -> None:
    given = {"name": "Shop", "scope_read": "yes", "scope_issues:write": "yes", "newsletter_3": "yes"} | form
    if form.get("scope_read", "") is None:
        del given["scope_issues:write"]
    response = await send(owner, PATH, **{name: value for name, value in given.items() if value is not None})
    if not said:
        assert response.status_code == 200
        return
    assert response.status_code == 422
    assert said in response.text
    assert gateway.sql("SELECT count(*) FROM gateway.api_key") == [(0,)]
    assert 'id="newsletter_3" name="newsletter_3" type="checkbox" value="yes" checked' in response.text
    assert ('name="scope_issues:write" type="checkbox" value="yes" checked' in response.text) == (
        "scope_issues:write" in given
    )


async def test_a_name_is_given_once_so_a_form_sent_twice_makes_one_key(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    await make(owner)
    again = await send(owner, PATH, name="Shop", scope_read="yes")
    assert again.status_code == 409
    assert "You have a key of this name already." in again.text
    assert gateway.sql("SELECT count(*) FROM gateway.api_key") == [(1,)]


async def test_a_key_is_renamed(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    path, _ = await make(owner)
    await make(owner, "Other")
    done = await send(owner, path, name="Store")
    assert (done.status_code, done.headers["location"]) == (303, path)
    assert "The key has its new name." in (await owner.get(path)).text
    taken = await send(owner, path, name="Other")
    assert taken.status_code == 409
    assert 'value="Other"' in taken.text
    assert (await send(owner, path, name=" ")).status_code == 422
    assert gateway.sql("SELECT name FROM gateway.api_key ORDER BY id") == [("Store",), ("Other",)]


async def test_a_rotated_key_has_a_new_secret_and_the_old_one_works_as_long_as_was_chosen(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    path, first = await make(owner, **{"scope_keys:read": "yes"})
    rotated = await send(owner, f"{path}/rotate", overlap="3600", rotation="")
    assert rotated.status_code == 200
    found = SECRET.search(rotated.text)
    assert found is not None
    assert found[0] != first
    assert found[0][:11] == first[:11]
    assert "The secret before works until" in rotated.text
    assert (await opens(gateway, first), await opens(gateway, found[0])) == (200, 200)


async def test_a_rotation_that_is_sent_twice_rotates_once(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    path, _ = await make(owner)
    assert (await send(owner, f"{path}/rotate", overlap="0", rotation="")).status_code == 200
    (kept,) = gateway.sql("SELECT secret_sha256 FROM gateway.api_key")
    again = await send(owner, f"{path}/rotate", overlap="0", rotation="")
    assert again.status_code == 409
    assert "has got a new secret since this page was loaded" in again.text
    assert gateway.sql("SELECT secret_sha256 FROM gateway.api_key") == [kept]
    shown = re.search(r'name="rotation" value="([^"]+)"', again.text)
    assert shown is not None
    assert (await send(owner, f"{path}/rotate", overlap="0", rotation=shown[1])).status_code == 200


async def test_another_overlap_than_those_offered_is_refused(owner: httpx.AsyncClient) -> None:
    path, _ = await make(owner)
    assert (await send(owner, f"{path}/rotate", overlap="99999999", rotation="")).status_code == 422


async def test_a_key_is_revoked_by_who_means_it(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    path, secret = await make(owner)
    unsure = await send(owner, f"{path}/revoke")
    assert unsure.status_code == 422
    assert "Tick the box if you mean it" in unsure.text
    done = await send(owner, f"{path}/revoke", sure="yes")
    assert (done.status_code, done.headers["location"]) == (303, path)
    assert await opens(gateway, secret) == 401
    page = (await owner.get(path)).text
    assert "Revoked" in page
    assert f"{path}/revoke" not in page
    refused = await send(owner, f"{path}/rotate", overlap="0", rotation="")
    assert refused.status_code == 409


async def test_without_a_fresh_proof_there_are_no_forms_and_nothing_is_changed(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    path, _ = await make(owner)
    await age_proof(gateway)
    before = gateway.sql("SELECT * FROM gateway.api_key")
    for page in (PATH, path):
        text = (await owner.get(page)).text
        assert f"/admin/confirm?next={page}" in text
        assert f"{PATH}/new" not in text
        assert f'action="{path}' not in text
    asked = await owner.get(f"{PATH}/new")
    assert (asked.status_code, asked.headers["location"]) == (303, f"/admin/confirm?next={PATH}/new")
    for page, form in (
        (PATH, {"name": "New", "scope_read": "yes"}),
        (path, {"name": "New"}),
        (f"{path}/rotate", {"overlap": "0", "rotation": ""}),
        (f"{path}/revoke", {"sure": "yes"}),
    ):
        answer = await send(owner, page, **form)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/admin/confirm?next=")
    assert gateway.sql("SELECT * FROM gateway.api_key") == before


async def test_uses_are_listed_page_by_page(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    path, _ = await make(owner)
    gateway.sql(
        "INSERT INTO gateway.api_key_use (key_id, day, source, requests, last_at) "
        "SELECT 1, current_date - n, '203.0.113.7', 1000 + n, now() FROM generate_series(0, 59) AS n"
    )
    page = (await owner.get(path)).text
    assert "1,000" in page
    assert page.count("203.0.113.7") == 50
    more = re.search(rf'href="({path}\?cursor=[^"]+)"', page)
    assert more is not None
    assert (await owner.get(more[1])).text.count("203.0.113.7") == 10
    assert (await owner.get(f"{path}?cursor=nonsense")).status_code == 400


async def test_owners_see_and_revoke_everybodys_keys_others_only_their_own(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    analyst = await gateway.signed_in("analyst")
    await become(gateway, "analyst", "analyst")
    own, _ = await make(owner, "Owner's")
    theirs, _ = await make(analyst, "Analyst's")
    assert "Analyst" not in (await owner.get(PATH)).text
    everybodys = (await owner.get(f"{PATH}?all=yes")).text
    assert "Analyst&#39;s" in everybodys
    assert "of analyst" in everybodys
    page = (await owner.get(theirs)).text
    assert f"/admin/audit?actor=key:{theirs.rpartition('/')[2]}" in page
    assert "/admin/audit" not in (await analyst.get(theirs)).text
    assert f"{theirs}/rotate" not in page
    assert (await send(owner, f"{theirs}/rotate", overlap="0", rotation="")).status_code == 404
    assert (await send(owner, f"{theirs}/revoke", sure="yes")).status_code == 303
    assert (await analyst.get(f"{PATH}?all=yes")).status_code == 403
    assert (await analyst.get(own)).status_code == 404
    assert (await send(analyst, f"{own}/revoke", sure="yes")).status_code == 404
    assert gateway.sql("SELECT name FROM gateway.api_key WHERE revoked_at IS NULL") == [("Owner's",)]


async def test_nobody_makes_a_key_that_may_do_more_than_themselves(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    del owner
    analyst = await gateway.signed_in("analyst")
    await become(gateway, "analyst", "analyst")
    assert "issues:publish" not in (await analyst.get(f"{PATH}/new")).text
    response = await send(analyst, PATH, name="More", **{"scope_issues:publish": "yes"})
    assert response.status_code == 422
    assert "You do not have this permission yourself." in response.text
