"""The rows of a file as somebody looks at them: the first ones, and those that were rejected."""

from typing import Any

import pytest

from harness.cluster import Database
from harness.importing import tidy_imports

from ..conftest import Subscriptions
from ..importing import XLSX, Importing, workbook

PEOPLE = [
    ["E-Mail", "Full name", "City"],
    *([f"reader-{number}@example.com", f"Reader {number}", ""] for number in range(1, 8)),
]


async def sample(importing: Importing, import_id: int) -> dict[str, Any]:
    answer = await importing.get(f"/{import_id}/sample")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def rejected(importing: Importing, import_id: int, **query: Any) -> dict[str, Any]:
    answer = await importing.get(f"/{import_id}/rejected-rows", **query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("format_", ["csv", "xlsx"])
async def test_the_first_five_rows_are_shown_whatever_the_file_is(importing: Importing, format_: str) -> None:
    if format_ == "csv":
        found = await importing.run("\n".join(";".join(row) for row in PEOPLE), dry_run=True)
    else:
        found = await importing.run(workbook(PEOPLE), content_type=XLSX, dry_run=True)
    assert await sample(importing, found["id"]) == {"columns": PEOPLE[0], "rows": PEOPLE[1:6]}


async def test_a_first_row_has_a_cell_for_each_column_and_none_longer_than_is_said(importing: Importing) -> None:
    found = await importing.run(
        f"email,note,more\nada@example.com,{'x' * 5_000}\nbob@example.com,'=1+1,a\0b,surplus\n", dry_run=True
    )
    first, second = (await sample(importing, found["id"]))["rows"]
    assert first == ["ada@example.com", "x" * 99 + "…", ""]
    assert second == ["bob@example.com", "=1+1", "a\ufffdb"], "the apostrophe is that of an export"


async def test_a_formula_without_a_value_is_an_empty_cell_among_the_first_rows(importing: Importing) -> None:
    file = workbook([["email", "sum"], ["ada@example.com", "=1+1"]])
    found = await importing.run(file, content_type=XLSX, dry_run=True)
    assert (await sample(importing, found["id"]))["rows"] == [["ada@example.com", ""]]


async def test_the_first_rows_go_with_the_file(
    subscriptions: Subscriptions, importing: Importing, database: Database
) -> None:
    done = await importing.run("email\nada@example.com\n")
    checked = await importing.run("email\nada@example.com\n", dry_run=True)
    await tidy_imports(database)
    assert (await sample(importing, done["id"]))["rows"] == []
    assert (await sample(importing, checked["id"]))["rows"] == [["ada@example.com"]]
    subscriptions.rows("UPDATE subscriptions.import_job SET finished_at = now() - interval '31 days'")
    await tidy_imports(database)
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.import_sample") == [(0,)]
    assert await sample(importing, checked["id"]) == {"columns": ["email"], "rows": []}


async def test_a_file_whose_addresses_were_not_found_shows_its_rows_and_takes_the_column_that_holds_them(
    importing: Importing,
) -> None:
    found = await importing.run("Wo;Wer\nada@example.com;Ada\nkeine;Bob\nauch keine;Cy\n", dry_run=True)
    assert (found["status"], found["file"]["columns"]) == ("failed", ["Wo", "Wer"])
    assert found["status_reason"].startswith("No column holds e-mail addresses.")
    assert (await sample(importing, found["id"]))["rows"][0] == ["ada@example.com", "Ada"]
    mapping = {"Wo": "email", "Wer": "name"}
    started = await importing.post(f"/{found['id']}/start", {"dry_run": True, "mapping": mapping})
    assert started.status_code == 202, started.text
    again = await importing.ended(found["id"])
    assert (again["status"], again["counts"]["created"], again["counts"]["rejected"]) == ("checked", 1, 2)


async def test_rejected_rows_are_listed_page_by_page_with_the_column_at_fault(importing: Importing) -> None:
    found = await importing.run(
        "email,name,status\nada@example.com,Ada,active\nnobody@,Nobody,active\nbob@example.com,Bob,perhaps\n"
        'cy@example.com,Cy,active,more\n"open,Di\n',
        mapping='{"email": "email", "name": "name", "status": "state"}',
    )
    assert found["counts"]["rejected"] == 4
    first = await rejected(importing, found["id"], limit=3)
    assert [(one["line"], one["column"], one["cells"]) for one in first["items"]] == [
        (3, "email", ["nobody@", "Nobody", "active"]),
        (4, "status", ["bob@example.com", "Bob", "perhaps"]),
        (5, None, ["cy@example.com", "Cy", "active more"]),
    ]
    assert not any(one["is_cut"] for one in first["items"])
    rest = await rejected(importing, found["id"], limit=3, cursor=first["next_cursor"])
    assert [(one["line"], one["cells"]) for one in rest["items"]] == [(6, ['"open,Di', "", ""])]
    assert rest["next_cursor"] is None


async def test_rejected_rows_are_counted_by_reason_and_listed_for_one_of_them(importing: Importing) -> None:
    found = await importing.run("email,name\nnobody,A\n,B\nada@example.com,C\n,D\n")
    answer = await importing.get(f"/{found['id']}/reject-reasons")
    assert answer.status_code == 200
    common, rare = answer.json()["items"]
    assert (common["rows"], rare["rows"]) == (2, 1)
    page = await rejected(importing, found["id"], reason=common["reason"], limit=1)
    assert [one["cells"] for one in page["items"]] == [["", "B"]]
    page = await rejected(importing, found["id"], reason=common["reason"], limit=1, cursor=page["next_cursor"])
    assert ([one["cells"] for one in page["items"]], page["next_cursor"]) == ([["", "D"]], None)


async def test_a_page_of_rejected_rows_is_bounded_however_long_the_rows_are(importing: Importing) -> None:
    long = ",".join(["y" * 9_000] * 20)
    titles = ",".join(f"c{number}" for number in range(20))
    found = await importing.run("\n".join([f"email,{titles}", *[f"nobody,{long}"] * 5, "ada@example.com"]))
    seen, cursor = [], None
    for _ in range(5):
        page = await rejected(importing, found["id"], **({"cursor": cursor} if cursor else {}))
        [row] = page["items"]
        assert row["is_cut"]
        assert {len(cell) for cell in row["cells"][1:]} == {2_000}
        seen.append(row["line"])
        cursor = page["next_cursor"]
    assert (seen, cursor) == ([2, 3, 4, 5, 6], None)


@pytest.mark.parametrize("path", ["sample", "rejected-rows", "reject-reasons"])
async def test_the_rows_of_an_import_need_its_scope_and_an_import(
    subscriptions: Subscriptions, importing: Importing, path: str
) -> None:
    assert (await importing.get(f"/4711/{path}")).status_code == 404
    found = await importing.run("email\nada@example.com\n", dry_run=True)
    refused = await subscriptions.client.get(f"/api/v1/imports/{found['id']}/{path}")
    assert refused.status_code in {401, 403}
