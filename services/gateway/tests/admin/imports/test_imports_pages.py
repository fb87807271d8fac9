"""`/admin/imports`: a file is passed on, looked at, started, stopped and undone, without JavaScript."""

import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from broadsheet_gateway.access.roles import Role

from ...conftest import Gateway, csrf_token_of
from .answers import API, IMPORTS, NOTHING, STANDING, job, posts, send

CSV = b"E-Mail;Standing\nada@example.com;active\n"
OPTIONS = {
    "idempotency_key": "key-of-this-form-1",
    "consent_basis": "They ticked the box & more.",
    "newsletter": "3",
    "state": "confirmed",
    "existing": "overwrite",
    "tags": "fair, paper,",
}


async def upload(client: httpx.AsyncClient, *, file_name: str = "people.csv", **changes: str) -> httpx.Response:
    form = {"csrf_token": await csrf_token_of(client), **OPTIONS, **changes}
    return await client.post(f"{IMPORTS}/new", data=form, files={"file": (file_name, CSV, "text/csv")})


async def test_the_list_shows_each_import_with_its_state_and_counts(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    items = [job("running", id=14, newsletter_id=9), job(), job("done", id=11)]
    gateway.subscriptions.answer("GET", API, body={"items": items, "next_cursor": "next&page"})
    page = (await owner.get(f"{IMPORTS}?cursor=abc")).text
    assert parse_qs(gateway.subscriptions.last.query) == {"limit": ["20"], "cursor": ["abc"]}
    for text in ("Import 14", "Newsletter 9", "The Weekly", "Running", "Checked", "Done", "1,234", "12 March 2026"):
        assert text in page
    assert f"{IMPORTS}?cursor=next%26page" in page
    assert f'href="{IMPORTS}/12"' in page


async def test_without_imports_it_says_what_to_do_and_without_the_service_that_it_is_missing(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    gateway.subscriptions.answer("GET", API, body={"items": [], "next_cursor": None})
    assert "Choose a file" in (await owner.get(IMPORTS)).text
    gateway.subscriptions.fail("GET", API, httpx.ConnectError("away"))
    degraded = await owner.get(IMPORTS)
    assert degraded.status_code == 200
    assert "does not answer" in degraded.text


async def test_a_file_is_passed_on_as_a_dry_run_with_its_options(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("POST", API, status=202, body=job("queued"))
    page = await owner.get(f"{IMPORTS}/new")
    assert '<option value="3">The Weekly</option>' in page.text
    token, key, file = (page.text.index(f'name="{name}"') for name in ("csrf_token", "idempotency_key", "file"))
    assert token < file, "the token is sent before the file"
    assert key < file
    done = await upload(owner)
    assert (done.status_code, done.headers["location"]) == (303, f"{IMPORTS}/12")
    sent = gateway.subscriptions.last
    assert sent.body == CSV
    assert parse_qs(sent.query) == {
        "consent_basis": ["They ticked the box & more."], "state": ["confirmed"], "existing": ["overwrite"],
        "dry_run": ["true"], "tag": ["fair", "paper"], "newsletter_id": ["3"],
    }  # fmt: skip
    assert sent.headers["idempotency-key"] == "key-of-this-form-1"
    assert sent.headers["content-type"] == "application/octet-stream"
    assert gateway.subscriptions.last_identity().subject == "user:1"


async def test_without_newsletters_to_choose_from_it_says_where_the_file_goes(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    gateway.publishing.fail("GET", "/api/v1/newsletters", httpx.ConnectError("away"))
    page = await owner.get(f"{IMPORTS}/new")
    assert (page.status_code, "goes into the default one" in page.text) == (200, True)


async def test_an_encoding_that_was_named_goes_with_the_file(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("POST", API, status=202, body=job("queued"))
    await upload(owner, charset="koi8-r", newsletter="")
    assert gateway.subscriptions.last.headers["content-type"] == "text/csv; charset=koi8-r"
    assert "newsletter_id" not in gateway.subscriptions.last.query
    await upload(owner, charset="koi8-r\r\nx-evil: 1")
    assert gateway.subscriptions.last.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"consent_basis": " "}, "consent_basis"),
        ({"consent_basis": "x" * 2_001}, "consent_basis"),
        ({"tags": ",".join(map(str, range(101)))}, "tags"),
        ({"newsletter": "x"}, "newsletter"),
        ({}, "file"),
    ],
)
async def test_a_fault_is_said_at_its_field_and_no_file_is_passed_on(
    gateway: Gateway, owner: httpx.AsyncClient, changes: dict[str, str], field: str
) -> None:
    refused = await upload(owner, file_name="people.csv" if changes else "", **changes)
    assert refused.status_code == 422
    assert f'id="{field}-error"' in refused.text
    assert 'value="overwrite" checked' in refused.text
    assert 'value="key-of-this-form-1"' in refused.text
    assert "chosen again" in refused.text
    assert posts(gateway) == []


async def test_what_the_service_refuses_is_said_at_the_field_with_a_new_key(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    gateway.subscriptions.refuse("POST", API, 422, "invalid-input", errors=[
        {"pointer": "/newsletter_id", "detail": "There is no such newsletter."},
        {"pointer": "/tags/0", "detail": "The tag is too long."},
    ])  # fmt: skip
    refused = await upload(owner)
    assert refused.status_code == 422
    assert re.search(r'id="newsletter-error">.*There is no such newsletter', refused.text)
    assert re.search(r'id="tags-error">.*The tag is too long', refused.text)
    assert 'value="key-of-this-form-1"' not in refused.text
    gateway.subscriptions.refuse("POST", API, 413, "request-entity-too-large", detail="At most 100 bytes.")
    refused = await upload(owner)
    assert (refused.status_code, "At most 100 bytes." in refused.text) == (413, True)


async def test_a_service_that_does_not_answer_keeps_what_was_typed_and_the_key(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    gateway.subscriptions.fail("POST", API, httpx.ConnectError("away"))
    refused = await upload(owner)
    assert refused.status_code == 503
    assert "They ticked the box &amp; more." in refused.text
    assert 'value="key-of-this-form-1"' in refused.text


@pytest.mark.parametrize("token", [None, "wrong"])
async def test_no_other_site_passes_a_file_on(gateway: Gateway, owner: httpx.AsyncClient, token: str | None) -> None:
    form = OPTIONS | ({"csrf_token": token} if token is not None else {})
    files = {"file": ("people.csv", CSV, "text/csv")}
    for headers, slug in (
        ({"sec-fetch-site": "same-origin"}, "out of date"),
        ({"sec-fetch-site": "cross-site"}, "another site"),
        ({"origin": "https://evil.example"}, "another site"),
    ):
        refused = await owner.post(f"{IMPORTS}/new", data=form, files=files, headers={**headers, "accept": "text/html"})
        assert (refused.status_code, slug in refused.text) == (403, True), headers
    assert posts(gateway) == []


async def test_the_token_after_the_file_is_none(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    token = await csrf_token_of(owner)
    body = (
        b'--b\r\nContent-Disposition: form-data; name="consent_basis"\r\n\r\nThey agreed.\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="p.csv"\r\n\r\n' + CSV + b"\r\n"
        b'--b\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n' + token.encode() + b"\r\n--b--\r\n"
    )
    headers = {"content-type": "multipart/form-data; boundary=b", "sec-fetch-site": "same-origin"}
    refused = await owner.post(f"{IMPORTS}/new", content=body, headers=headers)
    assert refused.status_code == 403
    assert posts(gateway) == []


async def test_a_form_that_breaks_off_is_no_import(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    token = await csrf_token_of(owner)
    head = (
        b'--b\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n' + token.encode() + b"\r\n"
        b'--b\r\nContent-Disposition: form-data; name="consent_basis"\r\n\r\nThey agreed.\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="p.csv"\r\n\r\n' + CSV
    )
    headers = {"content-type": "multipart/form-data; boundary=b"}
    refused = await owner.post(f"{IMPORTS}/new", content=head, headers=headers)
    assert refused.status_code == 400
    assert posts(gateway) == [], "the service never saw its end"


async def test_a_session_that_ends_during_the_upload_makes_no_import(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    gateway.subscriptions.answer("POST", API, status=202, body=job("queued"))
    token = await csrf_token_of(owner)

    async def body() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n' + token.encode() + b"\r\n"
        yield b'--b\r\nContent-Disposition: form-data; name="consent_basis"\r\n\r\nThey agreed.\r\n'
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="p.csv"\r\n\r\n' + CSV
        other = await gateway.client()
        other.cookies = owner.cookies
        assert (await send(other, "/admin/logout")).status_code == 303
        yield b"\r\n--b--\r\n"

    headers = {"content-type": "multipart/form-data; boundary=b"}
    refused = await owner.post(f"{IMPORTS}/new", content=body(), headers=headers)
    assert (refused.status_code, refused.headers["location"]) == (303, "/login")
    assert posts(gateway) == []


async def test_a_checked_import_shows_counts_columns_and_how_to_start(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    notes = [{"column": "Joined", "reason": "It is no date.", "cells": 14, "lines": [7, 19]}]
    checked = job(remarks=["The sheet “People” was read."], notes=notes)
    gateway.subscriptions.answer("GET", f"{API}/12", body=checked)
    page = (await owner.get(f"{IMPORTS}/12")).text
    for text in ("Nothing was changed yet", "1,234", "1,000", "The Weekly", "2 KB", "semicolons", "It is no date.",
                 "Lines 7, 19", "The sheet “People” was read."):  # fmt: skip
        assert text in page
    assert '<option value="email" selected>E-mail address</option>' in page
    assert '<option value="attribute:city">City</option>' in page
    assert f'href="{API}/12/rejects"' in page
    assert "Up to 1,000 new people will be asked by mail" in page
    assert f'action="{IMPORTS}/12/start"' in page
    assert f'action="{IMPORTS}/12/undo"' not in page
    assert "/static/refresh." not in page
    assert "Cells that cannot be read. They would be left blank" in page


async def test_without_the_attributes_the_rest_is_shown(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    mapping = {"E-Mail": "email", "Standing": "attribute:standing"}
    gateway.subscriptions.answer("GET", f"{API}/12", body=job(mapping=mapping))
    gateway.subscriptions.fail("GET", "/api/v1/attributes", httpx.ConnectError("away"))
    page = (await owner.get(f"{IMPORTS}/12")).text
    assert "could not be loaded" in page
    assert '<option value="attribute:standing" selected>' in page, "a form must send it back"


async def test_an_undecided_column_is_decided_before_it_can_start(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("GET", f"{API}/12", body=job(undecided_columns=[STANDING]))
    gateway.subscriptions.answer("POST", f"{API}/12/start", status=202, body=job("queued"))
    page = (await owner.get(f"{IMPORTS}/12")).text
    assert "It may say who left." in page
    assert "<q>&lt;former&gt;</q> 44" in page
    assert f'action="{IMPORTS}/12/start"' not in page
    options = {name: OPTIONS[name] for name in ("consent_basis", "state", "existing", "tags")}
    refused = await send(owner, f"{IMPORTS}/12/check", column_1="email", column_2="", **options)
    assert refused.status_code == 422
    assert 'id="column_2-error"' in refused.text
    assert posts(gateway) == []
    done = await send(
        owner, f"{IMPORTS}/12/check", column_1="email", column_2="opt_out", idempotency_key="k" * 20, **options
    )
    assert (done.status_code, done.headers["location"]) == (303, f"{IMPORTS}/12")
    sent = gateway.subscriptions.last
    assert sent.json == {
        "dry_run": True, "consent_basis": "They ticked the box & more.", "state": "confirmed",
        "existing": "overwrite", "tags": ["fair", "paper"], "mapping": {"E-Mail": "email", "Standing": "opt_out"},
    }  # fmt: skip
    assert sent.headers["idempotency-key"] == "k" * 20


async def test_what_is_wrong_with_a_mapping_is_said_at_its_column(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    columns = ["E-Mail", "a/b~c"]
    file = job()["file"] | {"columns": columns}
    gateway.subscriptions.answer("GET", f"{API}/12", body=job(file=file, mapping={"E-Mail": "email", "a/b~c": None}))
    form = {"column_1": "", "column_2": "tags", "consent_basis": "They agreed."}
    gateway.subscriptions.refuse("POST", f"{API}/12/start", 422, "undecided-columns", errors=[
        {"pointer": "/mapping/a~1b~0c", "detail": "Say what it is."},
    ])  # fmt: skip
    refused = await send(owner, f"{IMPORTS}/12/check", **form)
    assert refused.status_code == 422
    assert re.search(r'id="column_2-error">.*Say what it is', refused.text)
    assert '<option value="tags" selected>' in refused.text, "what was chosen stays"
    gateway.subscriptions.refuse("POST", f"{API}/12/start", 422, "invalid-input", errors=[
        {"pointer": "/mapping", "detail": "The mapping gives no column `email`."},
    ])  # fmt: skip
    refused = await send(owner, f"{IMPORTS}/12/check", **form)
    assert re.search(r'id="column_1-error">.*gives no column', refused.text)


async def test_a_file_of_the_most_columns_can_be_mapped(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    columns = [f"Column {number}" for number in range(1, 501)]
    file = job()["file"] | {"columns": columns}
    gateway.subscriptions.answer("GET", f"{API}/12", body=job(file=file, mapping={"Column 1": "email"}))
    gateway.subscriptions.answer("POST", f"{API}/12/start", status=202, body=job("queued"))
    chosen = {f"column_{number}": "email" if number == 500 else "" for number in range(1, 501)}
    done = await send(owner, f"{IMPORTS}/12/check", consent_basis="They agreed.", **chosen)
    assert done.status_code == 303
    assert {title for title, to in gateway.subscriptions.last.json["mapping"].items() if to} == {"Column 500"}


async def test_it_starts_as_it_was_checked_and_only_with_the_box(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("GET", f"{API}/12", body=job())
    gateway.subscriptions.answer("POST", f"{API}/12/start", status=202, body=job("queued"))
    page = (await owner.get(f"{IMPORTS}/12")).text
    found = re.search(r'name="version" value="([^"]+)"', page)
    assert found is not None
    refused = await send(owner, f"{IMPORTS}/12/start", version=found[1])
    assert (refused.status_code, 'id="sure-error"' in refused.text) == (422, True)
    stale = await send(owner, f"{IMPORTS}/12/start", version="2026-01-01T00:00:00+00:00", sure="yes")
    assert (stale.status_code, "checked again meanwhile" in stale.text) == (409, True)
    assert posts(gateway) == []
    done = await send(owner, f"{IMPORTS}/12/start", version=found[1], sure="yes")
    assert (done.status_code, done.headers["location"]) == (303, f"{IMPORTS}/12")
    assert gateway.subscriptions.last.json == {"dry_run": False, "mapping": {"E-Mail": "email", "Standing": None}}


async def test_a_running_import_refreshes_itself_and_can_be_stopped(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("GET", f"{API}/12", body=job("running", finished_at=None))
    gateway.subscriptions.answer("POST", f"{API}/12/cancel", body=job("cancelled"))
    page = (await owner.get(f"{IMPORTS}/12")).text
    assert 'value="25"' in page, "a quarter of the file is read"
    assert "/static/refresh." in page
    assert f'data-refreshed="{IMPORTS}/12"' in page
    assert "until you undo it" in page
    done = await send(owner, f"{IMPORTS}/12/cancel", idempotency_key="k" * 20 + "-cancel")
    assert (done.status_code, done.headers["location"]) == (303, f"{IMPORTS}/12")
    assert gateway.subscriptions.last.path == f"{API}/12/cancel"
    assert gateway.subscriptions.last.headers["idempotency-key"] == "k" * 20 + "-cancel"
    assert "The import is cancelled." in (await owner.get(f"{IMPORTS}/12")).text


async def test_what_can_no_longer_be_stopped_says_so(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("GET", f"{API}/12", body=job("done"))
    gateway.subscriptions.refuse("POST", f"{API}/12/cancel", 409, "import-state", detail="The import is done.")
    refused = await send(owner, f"{IMPORTS}/12/cancel")
    assert (refused.status_code, "The import is done." in refused.text) == (409, True)


async def test_an_undo_says_to_how_many_and_needs_the_box(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("GET", f"{API}/12", body=job("done"))
    gateway.subscriptions.answer("POST", f"{API}/12/undo", status=202, body=job("undoing"))
    page = (await owner.get(f"{IMPORTS}/12")).text
    assert "New people are asked by mail to confirm" in page
    assert 'href="/admin/subscribers">See the subscribers</a>' in page
    assert "The 1,000 people that this import added are removed, and the 100 that it changed" in page
    refused = await send(owner, f"{IMPORTS}/12/undo")
    assert (refused.status_code, 'id="sure-error"' in refused.text) == (422, True)
    assert posts(gateway) == []
    assert (await send(owner, f"{IMPORTS}/12/undo", sure="yes")).headers["location"] == f"{IMPORTS}/12"
    assert gateway.subscriptions.last.path == f"{API}/12/undo"
    undone = {"removed": 990, "restored": 100, "kept": {"left_since": 10, "changed_since": 0}}
    gateway.subscriptions.answer("GET", f"{API}/12", body=job("undone", undo=undone))
    page = (await owner.get(f"{IMPORTS}/12")).text
    assert "990 people removed, 100 put back" in page
    assert "10 kept: they left since." in page
    assert f'action="{IMPORTS}/12/undo"' not in page


@pytest.mark.parametrize(
    ("changes", "offered"),
    [
        ({"counts": NOTHING}, {"check"}),
        ({"counts": NOTHING, "undecided_columns": [STANDING]}, {"check"}),
        ({"dry_run": True}, {"check"}),
        ({}, {"undo"}),
        ({"counts": NOTHING, "file": job()["file"] | {"is_kept": False}}, set()),
    ],
    ids=["nothing stored", "undecided", "dry run", "part stored", "file gone"],
)
async def test_a_failed_import_says_why_and_offers_what_the_service_allows(
    gateway: Gateway, owner: httpx.AsyncClient, changes: dict[str, Any], offered: set[str]
) -> None:
    failed = job("failed", status_reason="No column holds <addresses>.", **changes)
    gateway.subscriptions.answer("GET", f"{API}/12", body=failed)
    page = (await owner.get(f"{IMPORTS}/12")).text
    assert "No column holds &lt;addresses&gt;." in page
    assert set(re.findall(rf'action="{IMPORTS}/12/(\w+)"', page)) == offered


async def test_what_is_not_there_is_not_found(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.refuse("GET", f"{API}/99", 404, "not-found")
    assert (await owner.get(f"{IMPORTS}/99", headers={"accept": "text/html"})).status_code == 404
    assert (await owner.get(f"{IMPORTS}/x", headers={"accept": "text/html"})).status_code == 404


@pytest.mark.parametrize("role", ["editor", "publisher", "analyst", "support"])
async def test_only_owners_import(gateway: Gateway, owner: httpx.AsyncClient, role: Role) -> None:
    gateway.sql("UPDATE gateway.user_role SET role = %s", role)
    for method, path in (
        ("GET", IMPORTS), ("GET", f"{IMPORTS}/new"), ("GET", f"{IMPORTS}/12"), ("POST", f"{IMPORTS}/new"),
        ("POST", f"{IMPORTS}/12/check"), ("POST", f"{IMPORTS}/12/start"), ("POST", f"{IMPORTS}/12/cancel"),
        ("POST", f"{IMPORTS}/12/undo"), ("POST", f"{IMPORTS}/12/mend"),
    ):  # fmt: skip
        assert (await owner.request(method, path)).status_code == 403, (method, path)
    assert gateway.subscriptions.received == []
    assert IMPORTS not in (await owner.get("/admin/dashboard")).text
