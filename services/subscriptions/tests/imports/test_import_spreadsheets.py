"""Spreadsheets as programs write them: what may be broken, and what their cells mean."""

import io
import zipfile
from collections.abc import Sequence

import pytest

from broadsheet_subscriptions.imports.reading.column import KnownAttribute
from broadsheet_subscriptions.imports.reading.record import (
    FORMULA_WITHOUT_VALUE,
    Record,
    UnreadableFileError,
)
from broadsheet_subscriptions.imports.reading.xlsx_records import xlsx_records

from ..importing import XLSX, Importing, workbook

DATE = KnownAttribute("joined", "date", "Joined")
ATTRIBUTES = [DATE, KnownAttribute("age", "number", "Age"), KnownAttribute("city", "text", "City")]


def changed(content: bytes, **members: bytes | None) -> bytes:
    """The archive with members replaced (or left out), named by the end of their names, `_` for a dot."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            key = member.filename.rpartition("/")[2].replace(".", "_")
            replaced = members.get(key, old.read(member))
            if replaced is not None:
                new.writestr(member.filename, replaced)
    return out.getvalue()


def read_book(content: bytes) -> tuple[list[Record], list[str]]:
    remarks: list[str] = []
    return list(xlsx_records(io.BytesIO(content), remarks)), remarks


PEOPLE: Sequence[Sequence[object]] = [["email", "name"], ["a@example.com", "Ann"], ["b@example.com", "Bob"]]
CELLS = [[str(cell) for cell in row] for row in PEOPLE]
EMPTY_FILL = b"""<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><fonts><font>
<sz val="x"/>
<family val="99"/></font></fonts><fills><fill/></fills><cellXfs><xf numFmtId="0"/></cellXfs></styleSheet>"""


@pytest.mark.parametrize(
    "members",
    [
        {"styles_xml": EMPTY_FILL}, {"styles_xml": None}, {"styles_xml": b"<broken"}, {"core_xml": b"<broken"},
        {"core_xml": b"<x><created>yesterday</created></x>"}, {"app_xml": b""}, {"theme1_xml": b"nothing"},
        {"workbook_xml_rels": None}, {"[Content_Types]_xml": b"<Types/>"},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_not_needed_of_a_spreadsheet_may_be_broken(members: dict[str, bytes | None]) -> None:
    records, remarks = read_book(changed(workbook(PEOPLE), **members))
    assert [one.cells for one in records] == CELLS
    assert bool(remarks) == (members.get("styles_xml") == b"<broken")


def test_the_first_sheet_that_holds_something_is_read_and_named() -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.create_sheet("Hidden").append(["x"])
    book["Hidden"].sheet_state = "hidden"
    for row in PEOPLE:
        book["Data" if "Data" in book.sheetnames else book.create_sheet("Data").title].append(list(row))
    book.create_sheet("More").append(["email"])
    file = io.BytesIO()
    book.save(file)
    records, remarks = read_book(file.getvalue())
    assert [one.cells for one in records] == CELLS
    assert remarks == ["Of 3 visible sheets, “Data” was read; the one before it is empty."]


def test_formulas_errors_rich_texts_and_dates_are_what_they_show() -> None:
    sheet = b"""<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>
    <row r="2"><c r="A2" t="str"><f>1</f><v>a@example.com</v></c><c r="C2"><f>A1</f></c><c r="D2"><f>A1</f><v/></c>
      <c r="E2" t="e"><v>#N/A</v></c><c r="F2" t="str"><f>""</f><v></v></c></row>
    <row><c t="inlineStr"><is><r><t>An</t></r><r><t>n_x000D_</t></r><rPh sb="0" eb="1"><t>no</t></rPh></is></c>
      <c t="b"><v>1</v></c><c t="n"><v>1e3</v></c><c t="d"><v>2024-05-01T10:30:00</v></c><c><v>0.1</v></c></row>
    <row r="9"/><row r="10"><c r="ZZ10"><v>1</v></c></row>
    </sheetData></worksheet>"""
    records, _ = read_book(changed(workbook([]), sheet1_xml=sheet))
    assert [(one.line, one.cells) for one in records] == [
        (2, ["a@example.com", "", FORMULA_WITHOUT_VALUE, FORMULA_WITHOUT_VALUE, "#N/A"]),
        (3, ["Ann\r", "true", "1000", "2024-05-01 10:30:00", "0.1"]),
        (10, []),
    ]
    assert records[2].fault is not None


def test_days_are_counted_as_excel_counts_them() -> None:
    from datetime import date, datetime
    from datetime import time as clock

    rows = [[date(1900, 1, 1), date(1900, 3, 1), datetime(2024, 5, 1, 10, 30), clock(10, 30), date(1999, 12, 31)]]  # noqa: DTZ001
    records, _ = read_book(workbook(rows))
    assert records[0].cells == ["1900-01-01", "1900-03-01", "2024-05-01 10:30:00", "10:30:00", "1999-12-31"]


def test_days_before_those_that_excel_counts_are_read_as_openpyxl_and_libreoffice_write_them() -> None:
    from datetime import date, datetime

    rows = [[date(1815, 12, 10), datetime(1899, 12, 29, 18, 0), date(1, 1, 1), date(9999, 12, 31)]]  # noqa: DTZ001
    records, _ = read_book(workbook(rows))
    assert records[0].cells == ["1815-12-10", "1899-12-29 18:00:00", "0001-01-01", "9999-12-31"]


@pytest.mark.parametrize(
    ("name", "said"),
    [("content.xml", "OpenDocument"), ("xl/workbook.bin", "binary"), ("letter.txt", "damaged, or not")],
)
def test_other_archives_are_called_what_they_are(name: str, said: str) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, "x")
    with pytest.raises(UnreadableFileError, match=said):
        read_book(out.getvalue())


def test_entities_are_refused() -> None:
    bomb = (
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]><worksheet><sheetData><row><c><v>&a;</v></c></row></sheetData>'
        b"</worksheet>"
    )
    with pytest.raises(UnreadableFileError, match="damaged"):
        read_book(changed(workbook([]), sheet1_xml=bomb))


async def test_a_sheet_that_is_not_the_first_is_said(importing: Importing) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    for row in PEOPLE:
        book["Data" if "Data" in book.sheetnames else book.create_sheet("Data").title].append(list(row))
    file = io.BytesIO()
    book.save(file)
    found = await importing.run(file.getvalue(), content_type=XLSX)
    assert (found["counts"]["created"], len(found["remarks"])) == (2, 1)


async def test_a_spreadsheet_with_an_empty_fill_comes_in(importing: Importing) -> None:
    found = await importing.run(changed(workbook(PEOPLE), styles_xml=EMPTY_FILL), content_type=XLSX)
    assert found["counts"]["created"] == 2
