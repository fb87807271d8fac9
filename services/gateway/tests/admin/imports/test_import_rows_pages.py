"""The page of an import: the columns with the first rows, and rejected rows that are corrected, without JavaScript."""

import re
from typing import Any
from urllib.parse import parse_qs

import httpx
import msgspec
import pytest

from ...conftest import Gateway
from .answers import API, IMPORTS, STANDING, job, posts, send

FILE = job()["file"] | {"columns": ["E-Mail", "Name", "Standing", "Remark"]}
MAPPING = {"E-Mail": "email", "Name": "name", "Standing": "state", "Remark": None}
BAD_ADDRESS = {
    "record": 7, "line": 8, "reason": "E-Mail: There is no @.", "column": "E-Mail",
    "cells": ["ada", "Ada <b>", "active", "at the fair"], "is_cut": False,
}  # fmt: skip
BAD_STATE = {
    "record": 9, "line": 12, "reason": "Standing: This status is not known.", "column": "Standing",
    "cells": ["bob@example.com", "Bob", "perhaps", "two\nlines"], "is_cut": False,
}  # fmt: skip
TOO_LONG = {
    "record": 11, "line": 20, "reason": "A cell is too long.", "column": None, "cells": ["x" * 2_000, "", "", ""],
    "is_cut": True,
}  # fmt: skip
KEY = "key-of-this-form-1-mend"
UNCHANGED = {
    "cell_7_0": "ada", "cell_7_1": "Ada <b>", "cell_7_2": "active",
    "cell_9_0": "bob@example.com", "cell_9_1": "Bob", "cell_9_2": "perhaps",
}  # fmt: skip


def rejected_job(**changes: Any) -> dict[str, Any]:
    return job("done", **({"file": FILE, "mapping": MAPPING} | changes))


def answer_rejects(gateway: Gateway, *rows: dict[str, Any], next_cursor: str | None = None) -> None:
    gateway.subscriptions.answer(
        "GET", f"{API}/12/rejected-rows", body={"items": list(rows), "next_cursor": next_cursor}
    )
    reasons = [{"reason": "E-Mail: There is no @.", "rows": 3}, {"reason": "Standing: <i>", "rows": 1}]
    gateway.subscriptions.answer("GET", f"{API}/12/reject-reasons", body={"items": reasons})


async def mend(client: httpx.AsyncClient, version: str | None = None, **changes: str) -> httpx.Response:
    form = {"version": version or "2026-03-12T09:01:00+00:00", "idempotency_key": KEY, **UNCHANGED, **changes}
    return await send(client, f"{IMPORTS}/12/mend", **form)


def asked(gateway: Gateway, path: str) -> list[dict[str, list[str]]]:
    return [parse_qs(one.query) for one in gateway.subscriptions.received if one.path == path]


async def test_each_column_has_its_choice_over_its_first_cells(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("GET", f"{API}/12", body=job(undecided_columns=[STANDING]))
    rows = [["ada@example.com", "=1+1"], ["<script>alert(1)</script>", "תל אביב"]]
    gateway.subscriptions.answer("GET", f"{API}/12/sample", body={"columns": ["E-Mail", "Standing"], "rows": rows})
    page = (await owner.get(f"{IMPORTS}/12")).text
    header, _, body = page[page.index('<table class="sheet-table">') :].partition("<tbody>")
    assert re.findall(r'<label for="column_\d"><bdi>([^<]+)', header) == ["E-Mail", "Standing"]
    assert header.count("<select") == 2
    cells = re.findall(r"<td[^>]*><bdi>(.*?)</bdi></td>", body)
    assert cells == ["ada@example.com", "=1+1", "&lt;script&gt;alert(1)&lt;/script&gt;", "תל אביב"]
    assert 'href="#column_2">Standing</a>' in page, "what is to be decided is found in a wide file"


async def test_without_the_first_rows_the_columns_can_still_be_chosen(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    gateway.subscriptions.answer("GET", f"{API}/12", body=job())
    gateway.subscriptions.fail("GET", f"{API}/12/sample", httpx.ConnectError("away"))
    page = (await owner.get(f"{IMPORTS}/12")).text
    assert "first rows of the file could not be loaded" in page
    assert 'name="column_2"' in page
    gateway.subscriptions.answer("GET", f"{API}/12/sample", body={"columns": ["Other"], "rows": [["x"]]})
    page = (await owner.get(f"{IMPORTS}/12")).text
    assert "<bdi>x</bdi>" not in page, "rows of another reading are not under these columns"


async def test_first_rows_are_asked_only_for_who_may_say_what_the_columns_are(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    for status in ("running", "done"):
        gateway.subscriptions.answer("GET", f"{API}/12", body=job(status))
        await owner.get(f"{IMPORTS}/12")
    assert asked(gateway, f"{API}/12/sample") == []


async def test_a_file_of_two_hundred_columns_is_shown_whole(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    columns = [f"Column {number}" for number in range(1, 201)]
    wide = job(file=FILE | {"columns": columns}, mapping={"Column 1": "email"})
    gateway.subscriptions.answer("GET", f"{API}/12", body=wide)
    gateway.subscriptions.answer("GET", f"{API}/12/sample", body={"columns": columns, "rows": [columns] * 5})
    page = (await owner.get(f"{IMPORTS}/12")).text
    assert (page.count("<select id="), page.count("<td class=")) == (200, 199 * 5)


async def test_a_file_whose_addresses_were_not_found_asks_which_column_holds_them(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    failed = job("failed", dry_run=True, mapping={"E-Mail": None, "Standing": None}, status_reason="No addresses.")
    gateway.subscriptions.answer("GET", f"{API}/12", body=failed)
    assert "Choose below which column holds them" in (await owner.get(f"{IMPORTS}/12")).text


async def test_what_was_chosen_and_refused_says_what_it_was_read_as(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("GET", f"{API}/12", body=job())
    refused = await send(owner, f"{IMPORTS}/12/check", column_1="tags", column_2="name", consent_basis="")
    assert refused.status_code == 422
    assert "It was read as: E-mail address." in refused.text
    assert "It was read as: Not read." in refused.text


async def test_rejected_rows_stand_on_the_page_with_their_reason_and_what_to_do(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    gateway.subscriptions.answer("GET", f"{API}/12", body=rejected_job())
    answer_rejects(gateway, BAD_ADDRESS, BAD_STATE, TOO_LONG, next_cursor="next&page")
    page = (await owner.get(f"{IMPORTS}/12?cursor=abc&reason=E-Mail%3A+There+is+no+%40.")).text
    [query] = asked(gateway, f"{API}/12/rejected-rows")
    assert query == {"limit": ["50"], "cursor": ["abc"], "reason": ["E-Mail: There is no @."]}
    for text in ("There is no @.", "Correct the address.", "Write confirmed, pending or unsubscribed",
                 "It is too long to be corrected here", "Standing: &lt;i&gt; (1)"):  # fmt: skip
        assert text in page
    assert re.search(r'<option value="E-Mail: There is no @." selected>.* \(3\)', page)
    assert 'name="cell_7_0" value="ada"' in page
    assert 'name="cell_7_1" value="Ada &lt;b&gt;"' in page
    assert "cell_7_3" not in page, "what is not read is not asked for"
    assert "cell_11_" not in page
    assert f"{IMPORTS}/12?cursor=next%26page&amp;reason=E-Mail" in page
    assert "40 people who left before, and 10 suppressed addresses" in page
    assert f'href="{API}/12/rejects"' in page


async def test_corrected_rows_become_an_import_with_everything_that_was_said_of_the_first(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    gateway.subscriptions.answer("GET", f"{API}/12", body=rejected_job(tags=["fair", "a, b"], existing="overwrite"))
    answer_rejects(gateway, BAD_ADDRESS, BAD_STATE)
    gateway.subscriptions.answer("POST", API, status=202, body=job("queued", id=13))
    done = await mend(owner, cell_7_0="ada@example.com", cell_7_1="'=Ada", cursor="abc", reason="r")
    assert (done.status_code, done.headers["location"]) == (303, f"{IMPORTS}/13")
    sent = gateway.subscriptions.last
    assert sent.body.decode() == ("E-Mail,Name,Standing,Remark\r\nada@example.com,''=Ada,active,at the fair\r\n"), (
        "whole rows, without those that were left as they are"
    )
    query = parse_qs(sent.query)
    assert msgspec.json.decode(query.pop("mapping")[0]) == {"E-Mail": "email", "Name": "name", "Standing": "state"}
    assert query == {
        "consent_basis": ["They ticked the box."], "state": ["pending"], "existing": ["overwrite"],
        "dry_run": ["true"], "tag": ["fair", "a, b"], "newsletter_id": ["3"],
    }  # fmt: skip
    assert sent.headers["idempotency-key"] == KEY
    assert sent.headers["content-type"] == "text/csv; charset=utf-8"
    assert asked(gateway, f"{API}/12/rejected-rows") == [{"limit": ["50"], "cursor": ["abc"], "reason": ["r"]}]
    gateway.subscriptions.answer("GET", f"{API}/13", body=job("queued", id=13))
    assert "an import of their own" in (await owner.get(f"{IMPORTS}/13")).text


async def test_a_cell_of_two_lines_stays_so_where_nobody_touched_it(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    mapping = MAPPING | {"Remark": "tags"}
    gateway.subscriptions.answer("GET", f"{API}/12", body=rejected_job(mapping=mapping))
    answer_rejects(gateway, BAD_STATE)
    gateway.subscriptions.answer("POST", API, status=202, body=job("queued", id=13))
    form = {"cell_9_0": "bob@example.com", "cell_9_1": "Bob", "cell_9_2": "active", "cell_9_3": "twolines"}
    done = await send(owner, f"{IMPORTS}/12/mend", version="2026-03-12T09:01:00+00:00", **form)
    assert done.status_code == 303
    assert gateway.subscriptions.last.body.endswith(b'bob@example.com,Bob,active,"two\nlines"\r\n')


async def test_a_fault_in_a_corrected_row_is_said_at_its_field_and_nothing_typed_is_lost(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    gateway.subscriptions.answer("GET", f"{API}/12", body=rejected_job())
    answer_rejects(gateway, BAD_ADDRESS, BAD_STATE)
    refused = await mend(owner, cell_7_0="ada@", cell_7_1="Ada King", cell_9_2="active", cell_9_1="x" * 2_001)
    assert refused.status_code == 422
    assert re.search(r'href="#cell_7_0">E-Mail, line 8: ', refused.text)
    for name in ("cell_7_0", "cell_9_1"):
        assert f'id="{name}-error"' in refused.text
    assert 'name="cell_7_0" value="ada@"' in refused.text
    assert 'name="cell_7_1" value="Ada King"' in refused.text
    unchanged = await mend(owner)
    assert (unchanged.status_code, "No row was changed" in unchanged.text) == (422, True)
    assert posts(gateway) == []


async def test_what_the_service_refuses_of_corrected_rows_keeps_what_was_typed(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    gateway.subscriptions.answer("GET", f"{API}/12", body=rejected_job())
    answer_rejects(gateway, BAD_ADDRESS, BAD_STATE)
    gateway.subscriptions.refuse("POST", API, 422, "invalid-input", errors=[
        {"pointer": "/newsletter_id", "detail": "There is no such newsletter."},
    ])  # fmt: skip
    refused = await mend(owner, cell_7_0="ada@example.com")
    assert (refused.status_code, "There is no such newsletter." in refused.text) == (422, True)
    assert 'value="ada@example.com"' in refused.text
    gateway.subscriptions.fail("GET", f"{API}/12/rejected-rows", httpx.ConnectError("away"))
    refused = await mend(owner, cell_7_0="ada@example.com", cell_7_1="Ada King")
    assert refused.status_code == 503
    assert 'name="cell_7_0" value="ada@example.com"' in refused.text
    assert 'name="cell_7_1" value="Ada King"' in refused.text


@pytest.mark.parametrize("gone", ["read again", "not kept"])
async def test_rows_that_changed_or_went_meanwhile_are_not_sent_and_what_was_typed_stays(
    gateway: Gateway, owner: httpx.AsyncClient, gone: str
) -> None:
    gateway.subscriptions.answer("GET", f"{API}/12", body=rejected_job())
    answer_rejects(gateway, *([BAD_ADDRESS] if gone == "not kept" else [BAD_ADDRESS, BAD_STATE]))
    version = "2026-01-01T00:00:00+00:00" if gone == "read again" else None
    refused = await mend(owner, version, cell_7_0="ada@example.com", cell_9_1="Robert")
    assert (refused.status_code, "What was typed is still here" in refused.text) == (409, True)
    assert 'value="ada@example.com"' in refused.text
    assert 'value="Robert"' in refused.text
    assert posts(gateway) == []


async def test_rejected_rows_that_cannot_be_shown_say_why(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("GET", f"{API}/12", body=rejected_job())
    answer_rejects(gateway)
    assert "not kept any more" in (await owner.get(f"{IMPORTS}/12")).text
    gateway.subscriptions.refuse("GET", f"{API}/12/rejected-rows", 400, "malformed-request")
    assert "could not be loaded" in (await owner.get(f"{IMPORTS}/12?cursor=bad")).text


async def test_rows_of_too_many_columns_are_corrected_in_the_download(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    columns = ["E-Mail", *(f"{'x' * 180} {number}" for number in range(200))]
    mapping = {title: f"attribute:a{number}" for number, title in enumerate(columns)} | {"E-Mail": "email"}
    wide = rejected_job(file=FILE | {"columns": columns}, mapping=mapping)
    gateway.subscriptions.answer("GET", f"{API}/12", body=wide)
    answer_rejects(gateway, BAD_ADDRESS | {"cells": ["ada", *[""] * 200]})
    page = (await owner.get(f"{IMPORTS}/12")).text
    assert "They cannot be corrected here" in page
    assert f'action="{IMPORTS}/12/mend"' not in page


def checked_job(**changes: Any) -> dict[str, Any]:
    return job("checked", file=FILE, mapping=MAPPING, **changes)


async def start(client: httpx.AsyncClient, **changes: str) -> httpx.Response:
    """With the form of the rejected rows, as the button sends it."""
    form = {"version": "2026-03-12T09:01:00+00:00", "idempotency_key": KEY, "sure": "yes", **UNCHANGED, **changes}
    return await send(client, f"{IMPORTS}/12/start", **form)


async def test_a_start_does_not_drop_corrections_that_were_not_sent(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("GET", f"{API}/12", body=checked_job())
    answer_rejects(gateway, BAD_ADDRESS, BAD_STATE)
    refused = await start(owner, cell_7_0="ada@example.com", cell_9_1="Robert", cursor="abc")
    assert refused.status_code == 422
    assert "2 rows that you corrected were not sent yet" in refused.text
    assert 'name="cell_7_0" value="ada@example.com" data-was="ada"' in refused.text
    assert 'name="cell_9_1" value="Robert"' in refused.text
    assert f'<a href="{IMPORTS}/12#start-title">drop them</a>' in refused.text
    for changes, status in (({"sure": ""}, 422), ({"version": "2026-01-01T00:00:00+00:00"}, 409)):
        refused = await start(owner, cell_7_0="ada@example.com", **changes)
        assert (refused.status_code, 'value="ada@example.com" data-was="ada"' in refused.text) == (status, True)
    gateway.subscriptions.fail("GET", f"{API}/12/rejected-rows", httpx.ConnectError("away"))
    refused = await start(owner, cell_7_0="ada@example.com")
    assert (refused.status_code, 'value="ada@example.com"' in refused.text) == (503, True)
    assert posts(gateway) == []


async def test_a_start_with_rejected_rows_as_they_came_starts_with_a_key_of_its_own(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    gateway.subscriptions.answer("GET", f"{API}/12", body=checked_job())
    answer_rejects(gateway, BAD_ADDRESS, BAD_STATE)
    gateway.subscriptions.answer("POST", f"{API}/12/start", status=202, body=job("queued"))
    done = await start(owner)
    assert (done.status_code, done.headers["location"]) == (303, f"{IMPORTS}/12")
    assert posts(gateway) == [f"{API}/12/start"]
    [sent] = [one for one in gateway.subscriptions.received if one.method == "POST"]
    assert sent.headers["idempotency-key"] == "key-of-this-form-1-start"


async def test_the_button_that_starts_belongs_to_the_form_of_the_rejected_rows(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    gateway.subscriptions.answer("GET", f"{API}/12", body=checked_job())
    answer_rejects(gateway, BAD_ADDRESS)
    page = (await owner.get(f"{IMPORTS}/12")).text
    assert f'form="mend" formaction="{IMPORTS}/12/start">Start the import' in page
    assert page.index("Check the corrected rows") < page.index("Start the import"), "Enter in a field checks"
    assert "not crossed off here" in page
    answer_rejects(gateway)
    page = (await owner.get(f"{IMPORTS}/12")).text
    assert 'form="mend"' not in page
    assert f'action="{IMPORTS}/12/start"' in page
