"""Files as they are found: what stands before the titles; and files of every shape through the API."""

import csv
import io
import time

import pytest

from broadsheet_subscriptions.imports.reading.column import KnownAttribute, detect_delimiter, open_columns
from broadsheet_subscriptions.imports.reading.csv_records import CsvFile
from broadsheet_subscriptions.imports.reading.record import (
    COLUMNS_MAX,
    Place,
    UnreadableFileError,
)

from ..conftest import Subscriptions
from ..importing import CSV, XLSX, Importing, workbook

DATE = KnownAttribute("joined", "date", "Joined")
ATTRIBUTES = [DATE, KnownAttribute("age", "number", "Age"), KnownAttribute("city", "text", "City")]


# Before the titles ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "delimiter"),
    [
        ("sep=;\r\n", ";"),
        ("\ufeffsep=;\n", ";"),
        ('"sep=|"\n', "|"),
        ("SEP=,\r\n", ","),
        ("sep=\t\n", "\t"),
        ("sep=;;;\n", ";"),
    ],
)
def test_a_line_that_tells_the_delimiter_is_no_record(first: str, delimiter: str) -> None:
    content = (first + delimiter.join(["email", "name"]) + "\r\n" + delimiter.join(["a@example.com", "Ann"])).encode()
    for block in (1, 7, 1 << 20):
        file = CsvFile(io.BytesIO(content), "utf-8", Place(), block_bytes=block)
        assert file.told_delimiter == delimiter
        records = [record for one in file.blocks(delimiter) for record in one.records]
        assert [(one.number, one.line, one.cells) for one in records] == [
            (1, 2, ["email", "name"]),
            (2, 3, ["a@example.com", "Ann"]),
        ]


@pytest.mark.parametrize("text", ["separator,email\nx,a@example.com\n", "sep,email\n", "sep=ab\n", "email\n"])
def test_any_other_first_line_is_one(text: str) -> None:
    assert CsvFile(io.BytesIO(text.encode()), "utf-8", Place()).told_delimiter is None


@pytest.mark.parametrize(
    ("rows", "first_row", "email"),
    [
        ([["Customers 2024"], ["as of 1 May"], ["E-Mail", "Name"], ["a@example.com", "Ann"]], 3, "E-Mail"),
        ([["Customers", "", ""], ["Kontakt", "Ort", "Land"], ["a@example.com", "Wien", "AT"]], 2, "Kontakt"),
        ([["Owner", "boss@example.com"], ["Email", "Name"], ["a@example.com", "Ann"]], 2, "Email"),
        ([["Kontakt", "Ort"], ["a@example.com", "Wien"]], 1, "Kontakt"),
        ([["a@example.com", "Wien"]], 0, "column_1"),
        ([["Kontakt"], ["nobody"], ["a@example.com"], ["b@example.com"]], 1, "Kontakt"),
    ],
)
def test_titles_are_found_where_they_stand(rows: list[list[str]], first_row: int, email: str) -> None:
    columns = open_columns(rows, [], None)
    assert (columns.first_row, [t for t, target in columns.mapping.items() if target == "email"]) == (
        first_row,
        [email],
    )


def test_the_delimiter_is_found_behind_a_heading() -> None:
    lines = ["Customers, all of them\n", "\n", "E-Mail;Name\n", "a@example.com;Lee, Ann\n"]
    assert detect_delimiter(lines) == ";"


@pytest.mark.parametrize(
    "titles", [["email", *["x"] * 200_000], ["x"] * 200_000, ["email", *[f"x ({n})" for n in range(200_000)]]]
)
def test_a_file_of_very_many_columns_is_refused_in_no_time(titles: list[str]) -> None:
    line = ",".join(titles) + "\n"
    started = time.process_time()
    detect_delimiter([line, line])
    with pytest.raises(UnreadableFileError, match=f"at most {COLUMNS_MAX}"):
        open_columns([titles], [], None)
    # Not a timing but a shape: what took 80 s was the square of this.
    assert time.process_time() - started < 20


def test_titles_that_repeat_are_told_apart_and_empty_ones_at_the_end_are_dropped() -> None:
    titles = ["email", "x", "x", "x (2)", "", "x"]
    assert open_columns([titles], [], None).titles == ["email", "x", "x (2)", "x (2) (2)", "column_5", "x (3)"]
    assert open_columns([["email", *[""] * 5_000]], [], None).titles[0] == "email"


# Through the API --------------------------------------------------------------------------------------------------


async def test_tags_in_quotes_come_in_as_they_were_meant(importing: Importing) -> None:
    titles = "Email Address,First Name,Last Name,MEMBER_RATING,OPTIN_TIME,TAGS"
    row = 'f01@example.com,Ada,King,2,2021-03-04 10:11:12,"""vip"",""Spring, 2021"""'
    assert (await importing.run(f"{titles}\n{row}\n"))["status"] == "done"
    assert importing.people("tags") == [(["vip", "Spring, 2021"],)]


async def test_a_file_with_a_sep_line_or_a_heading_brings_names_and_says_what_was_passed_over(
    importing: Importing,
) -> None:
    found = await importing.run("sep=;\r\nemail;name\r\na@example.com;Ann\r\nb@example.com;Bob\r\n")
    assert (found["counts"]["rows"], found["remarks"]) == (2, [])
    found = await importing.run("Customers\n\nas of May,\nemail,name\nc@example.com,Cleo\n")
    assert (found["counts"]["rows"], len(found["remarks"])) == (1, 1)
    assert importing.people("name") == [("Ann",), ("Bob",), ("Cleo",)]


async def test_cells_that_cannot_be_read_are_counted_by_column_and_their_people_come_in(importing: Importing) -> None:
    importing.add_attribute("joined", "date")
    dates = ["2024-05-01 10:30:00", "2024-05-01T10:30:00Z", "2024-05-01", "0000-00-00 00:00:00", "5/1/2024"]
    file = "\n".join(["email,joined,name", *(f"p{n}@example.com,{day},#N/A" for n, day in enumerate(dates))])
    for dry_run in (True, False):
        found = await importing.run(file, dry_run=dry_run)
        assert (found["counts"]["created"], found["counts"]["rejected"]) == (5, 0)
        assert [(note["column"], note["cells"], note["lines"]) for note in found["notes"]] == [
            ("name", 5, [2, 3, 4, 5, 6]),
            ("joined", 2, [5, 6]),
        ]
    day = {"joined": "2024-05-01"}
    assert [attributes for (attributes,) in importing.people("attributes")] == [day, day, day, {}, {}]


async def test_a_formula_without_a_value_is_a_reject_where_it_is_the_address_and_a_note_elsewhere(
    importing: Importing,
) -> None:
    file = workbook([["email", "name"], ['="f05a" & "@example.com"', '="A" & "B"'], ["f05b@example.com", '="C" & "D"']])
    found = await importing.run(file, content_type=XLSX)
    assert (found["counts"]["rows"], found["counts"]["rejected"], found["counts"]["created"]) == (2, 1, 1)
    assert "formula without a value" in await importing.rejects(found["id"])
    assert [(note["column"], note["cells"]) for note in found["notes"]] == [("name", 1)]


async def test_the_declared_charset_counts_and_an_old_macs_file_is_read(importing: Importing) -> None:
    mac = "Email,Name\ra@example.com,René Müller\rb@example.com,Zoë".encode("mac-roman")
    assert (await importing.run(mac))["file"]["encoding"] == "mac-roman"
    japanese = "Email,Name\r\nc@example.com,佐藤\r\n".encode("shift_jis")
    assert (await importing.run(japanese, content_type=f"{CSV}; charset=shift_jis"))["status"] == "done"
    found = await importing.run(japanese)
    assert found["status"] == "failed"
    assert "charset" in found["status_reason"]
    refused = await importing.upload(japanese, content_type=f"{CSV}; charset=utf-7")
    assert (refused.status_code, refused.json()["type"]) == (415, "urn:broadsheet:problem:unknown-charset")
    assert importing.people("name") == [("René Müller",), ("Zoë",), ("佐藤",)]


async def test_one_text_in_two_normal_forms_is_one_text(subscriptions: Subscriptions, importing: Importing) -> None:
    importing.add_attribute("city")
    rows = ["f11a@example.com,Zo\u00eb,Z\u00fcrich,caf\u00e9", "f11b@example.com,Zoe\u0308,Zu\u0308rich,cafe\u0301"]
    await importing.run("\n".join(["email,name,city,tags", *rows]))
    assert importing.people("name, attributes, tags") == [("Zoë", {"city": "Zürich"}, ["café"])] * 2
    headers = subscriptions.identity("read")
    for form in ("Z\u00fcrich", "Zu\u0308rich", "Z\u00dcRICH", "zu\u0308rich"):
        found = await subscriptions.client.post(
            "/api/v1/subscribers/search", headers=headers,
            json={"filter": {"field": "attribute", "name": "city", "op": "eq", "value": form}},
        )  # fmt: skip
        assert len(found.json()["items"]) == 2, form
    for form, people in (("caf\u00e9", 2), ("cafe\u0301", 2), ("Caf\u00e9", 0)):
        listed = await subscriptions.client.get("/api/v1/subscribers", params={"tag": form}, headers=headers)
        found = await subscriptions.client.post(
            "/api/v1/subscribers/search", headers=headers,
            json={"filter": {"field": "tag", "op": "has", "value": form}},
        )  # fmt: skip
        assert (len(listed.json()["items"]), len(found.json()["items"])) == (people, people), form
    for prefix in ("zo\u00eb", "zoe\u0308"):
        listed = await subscriptions.client.get("/api/v1/subscribers", params={"name_prefix": prefix}, headers=headers)
        assert len(listed.json()["items"]) == 2


async def test_names_of_any_kind_go_out_in_an_export_and_come_back(
    subscriptions: Subscriptions, importing: Importing
) -> None:
    names = ['Ann "Al" Lee', "AC/DC (live)", "=HYPERLINK(1)", "<script>", "{{ name }}", "a\\b\\n", "+1", "O'Neil, Jr."]
    out = io.StringIO()
    csv.writer(out).writerows([["email", "name"], *([f"p{n}@example.com", name] for n, name in enumerate(names))])
    assert (await importing.run(out.getvalue()))["counts"]["created"] == len(names)
    assert [name for (name,) in importing.people("name")] == names
    response = await subscriptions.client.get(
        "/api/v1/exports/subscribers", params={"newsletter_id": 1}, headers=subscriptions.identity("read")
    )
    exported = list(csv.reader(io.StringIO(response.text, newline="")))
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in exported for cell in row)
    subscriptions.rows("TRUNCATE subscriptions.subscriber CASCADE")
    await importing.run(response.content)
    assert [name for (name,) in importing.people("name")] == names
