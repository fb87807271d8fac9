"""Files as they are found: what stands before the titles, encodings, spreadsheets, cells that cannot be read."""

import csv
import io
import time
import zipfile
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadsheet_subscriptions.attributes.attribute import parse_cell
from broadsheet_subscriptions.imports.reading.column import KnownAttribute, detect_delimiter, open_columns
from broadsheet_subscriptions.imports.reading.csv_records import CsvFile
from broadsheet_subscriptions.imports.reading.import_row import RowReader
from broadsheet_subscriptions.imports.reading.record import (
    COLUMNS_MAX,
    FORMULA_WITHOUT_VALUE,
    Place,
    Record,
    UnreadableFileError,
    error_in_cell,
)
from broadsheet_subscriptions.imports.reading.text_encoding import (
    ENCODINGS,
    EncodingSniffer,
    UndecodableFileError,
    UnknownEncodingError,
    codec_of,
    parse_charset,
)
from broadsheet_subscriptions.imports.reading.xlsx_records import xlsx_records
from broadsheet_subscriptions.subscribers.subscriber_name import clean_name

from ..conftest import Subscriptions
from ..importing import CSV, XLSX, Importing, workbook

DATE = KnownAttribute("joined", "date", "Joined")
ATTRIBUTES = [DATE, KnownAttribute("age", "number", "Age"), KnownAttribute("city", "text", "City")]


@pytest.fixture
def importing(subscriptions: Subscriptions) -> Importing:
    return Importing(subscriptions)


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


# Encodings --------------------------------------------------------------------------------------------------------


def sniff(content: bytes, charset: str | None = None) -> str | None:
    sniffer = EncodingSniffer(None if charset is None else parse_charset(charset))
    for start in range(0, len(content), 1_000):
        sniffer.feed(content[start : start + 1_000])
    return sniffer.finish()[1]


@pytest.mark.parametrize(
    ("names", "codec", "encoding"),
    [
        ("Zoë Müller;René;Hélène;João;Søren;Åsa;Muñoz", "cp1252", "windows-1252"),
        ("MÜLLER;O\u2019Neil;5 €;Straße", "cp1252", "windows-1252"),
        ("René Müller;Zoë;König;Jörg;Élodie", "mac-roman", "mac-roman"),
    ],
)
def test_what_can_be_told_is_read(names: str, codec: str, encoding: str) -> None:
    content = ("email;name\n" + names.replace(";", ";\n")).encode(codec)
    assert sniff(content) == encoding
    assert sniff(content.replace(b"\n", b"\r")) == encoding


@pytest.mark.parametrize(
    ("names", "codec", "named"),
    [
        ("Jiří Dvořák;Kateřina;Horáček", "cp1250", "windows-1250"),
        ("Łukasz;Żółć;Świętosław", "cp1250", "windows-1250"),
        ("Erdős;Szűcs;Kovács", "cp1250", "windows-1250"),
        ("Иван Петров", "cp1251", "windows-1251"),
        ("Иван Петров", "koi8-r", "koi8-r"),
        ("Γιώργος", "cp1253", "windows-1253"),
        ("Ğül I\u015f\u0131k Şahin", "cp1254", "windows-1254"),
        ("Jānis Bērziņš", "cp1257", "windows-1257"),
        ("佐藤 漢字;かな", "cp932", "charset="),
        ("王小明", "gb18030", "charset="),
        ("Jörg", "cp850", "cp850"),
    ],
)
def test_what_cannot_be_told_is_refused_with_what_it_may_be_and_read_where_it_is_declared(
    names: str, codec: str, named: str
) -> None:
    content = ("email;name\n" + names).encode(codec)
    with pytest.raises(UndecodableFileError, match=named):
        sniff(content)
    assert sniff(content, codec) is not None
    assert content.decode(codec_of(str(sniff(content, codec)))) == "email;name\n" + names


def test_what_is_declared_wrongly_is_refused_by_its_name_and_utf_8_is_utf_8_whatever_it_is_called() -> None:
    with pytest.raises(UndecodableFileError, match="declared as utf-8"):
        sniff("name\nRené\n".encode("cp1252"), "utf-8")
    with pytest.raises(UndecodableFileError, match="declared as shift_jis"):
        sniff(b"name\n\xe9 \n", "shift_jis")
    with pytest.raises(UndecodableFileError, match="declared as shift_jis"):
        sniff("name\n佐藤".encode("cp932")[:-1], "shift_jis")
    assert sniff("name\nRené\n".encode(), "iso-8859-1") == "utf-8"
    assert sniff("name\nRené\n".encode("cp1252"), "us-ascii") == "windows-1252"
    assert sniff("name\nRené\n".encode("utf-16-le"), "utf-16") == "utf-16-le"


def test_names_that_were_garbled_before_are_not_taken_for_names() -> None:
    with pytest.raises(UndecodableFileError, match="RenÃ©"):
        sniff("name\nRenÃ©\nMÃ¼ller\n".encode())
    assert sniff("name\nRenÃ©\nMÃ¼ller\n".encode(), "utf-8") == "utf-8"
    assert sniff(("name\n" + "Zoë\n" * 9 + "RenÃ©\n").encode()) == "utf-8"
    with pytest.raises(UndecodableFileError):
        sniff(("name\n" + "René Müller\n" * 9).encode() + b"\xe9\n")  # UTF-8, and one line of something else


@pytest.mark.parametrize(
    "name", ["utf-7", "idna", "rot13", "hz", "iso-2022-jp", "punycode", "no-such", "\ud800", "a" * 10_000]
)
def test_encodings_that_are_none_are_not_tried(name: str) -> None:
    with pytest.raises(UnknownEncodingError):
        parse_charset(name)


@pytest.mark.parametrize(
    ("name", "encoding"),
    [("latin1", "windows-1252"), ("ISO-8859-1", "windows-1252"), ('"Shift_JIS"', "shift_jis"),
    ("macintosh", "mac-roman"),
     ("gb2312", "gb18030"), ("UTF8", "utf-8"), ("ascii", None), ("", None)],
)  # fmt: skip
def test_encodings_have_the_names_that_the_web_gives_them(name: str, encoding: str | None) -> None:
    assert parse_charset(name) == encoding


@settings(deadline=None)
@given(st.sampled_from(sorted(ENCODINGS)), st.text(min_size=1, max_size=40), st.integers(1, 9))
def test_a_file_in_any_encoding_can_be_gone_on_with_from_any_block(encoding: str, text: str, block: int) -> None:
    content = ("email,name\n" + text.replace("\x00", "") + ",x\nlast,line\n").encode(codec_of(encoding), "ignore")
    text = content.decode(codec_of(encoding))
    blocks = list(CsvFile(io.BytesIO(content), encoding, Place(), block_bytes=block).blocks(","))
    records = [record for one in blocks for record in one.records]
    whole = CsvFile(io.BytesIO(text.encode()), "utf-8", Place())
    assert records == [record for one in whole.blocks(",") for record in one.records]
    for one in blocks:
        rest = CsvFile(io.BytesIO(content[one.after.byte_offset :]), encoding, one.after, block_bytes=1 << 20)
        if one.after.byte_offset:
            gone_on = [record for two in rest.blocks(",") for record in two.records]
            assert gone_on == [record for record in records if record.number > one.after.record_number]


# Cells ------------------------------------------------------------------------------------------------------------


def read_one(titles: list[str], cells: list[str]) -> tuple[Any, list[tuple[str, str]]]:
    columns = open_columns([titles], ATTRIBUTES, None)
    reader = RowReader(columns.titles, columns.mapping, ATTRIBUTES, newsletter_id=1)
    return reader.read(cells), reader.notes


@pytest.mark.parametrize(
    ("cell", "day"),
    [
        ("2024-05-01", "2024-05-01"), ("2024-05-01 10:30:00", "2024-05-01"), ("2024-05-01T10:30:00Z", "2024-05-01"),
        ("2024-05-01T10:30:00.123+02:00", "2024-05-01"), ("2024-05-01 10:30 UTC", "2024-05-01"),
        ("2023-04-11 14:02:46 +0000 UTC", "2023-04-11"), ("2024/5/1", "2024-05-01"), ("1.5.2024", "2024-05-01"),
        ("01.05.2024 10:30", "2024-05-01"), ("0000-00-00 00:00:00", None), ("5/1/2024", None), ("2024-13-01", None),
        ("soon", None), ("#N/A", None), (FORMULA_WITHOUT_VALUE, None), ("2024-05-01x", None),
    ],
)  # fmt: skip
def test_a_date_is_read_where_it_has_one_reading_and_costs_its_cell_where_not(cell: str, day: str | None) -> None:
    person, notes = read_one(["email", "joined"], ["a@example.com", cell])
    assert person.attributes == ({} if day is None else {"joined": day})
    assert [column for column, _ in notes] == ([] if day else ["joined"])


def test_any_optional_cell_costs_itself_alone() -> None:
    titles = ["email", "First name", "Last name", "joined", "age", "city", "tags"]
    person, notes = read_one(titles, ["a@example.com", "#REF!", "Lee", "x", "y", "z" * 1_001, "ok," + "t" * 101])
    assert (person.name, person.attributes, person.tags) == ("Lee", {}, ("ok",))
    assert [column for column, _ in notes] == ["First name", "joined", "age", "city", "tags"]
    person, notes = read_one(titles, ["a@example.com", "Ann", "Lee", "2024-01-01", "3", "Wien", "ok"])
    assert (person.name, notes) == ("Ann Lee", [])


@pytest.mark.parametrize(
    "cell", ["#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NV", "#BEZUG!", "#¿NOMBRE?"]
)
def test_a_spreadsheets_error_is_no_text(cell: str) -> None:
    if cell != "#¿NOMBRE?":
        assert error_in_cell(cell) is not None


@pytest.mark.parametrize("cell", ["#1", "# note", "#vip", "N/A", "#", "#hashtag party!"])
def test_other_texts_with_a_number_sign_are_texts(cell: str) -> None:
    assert error_in_cell(cell) is None


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ('Ann "Al" Lee', 'Ann "Al" Lee'), ("AC/DC", "AC/DC"), ("Lee (Ann)", "Lee (Ann)"), ("<b>x</b>", "<b>x</b>"),
        ("{{ name }}", "{{ name }}"), ("a\\b", "a\\b"), ("line\r\nline", "line line"), ("a\tb", "a b"),
        ("\u202eabc", "abc"),
        ("Zoe\u0308", "Zoë"), ("\u200b", ""), ("", ""), ("a\u2028b", "a b"), ("\0a", "a"), ("a\ud800", "a\ufffd"),
    ],
)  # fmt: skip
def test_a_name_in_a_file_is_one_line_and_else_as_it_stands(cell: str, name: str) -> None:
    assert clean_name(cell) == name


@given(st.text(max_size=300))
def test_no_name_of_a_file_can_break_a_line(cell: str) -> None:
    try:
        name = clean_name(cell)
    except ValueError:
        return
    assert clean_name(name) == name
    assert name == name.strip()
    assert name.splitlines() in ([], [name])
    name.encode()


def test_dates_and_numbers_of_forms_are_not_read_more_widely() -> None:
    assert parse_cell("number", "3.5") == 3.5
    with pytest.raises(ValueError, match="number"):
        parse_cell("number", "3,5")


# Spreadsheets -----------------------------------------------------------------------------------------------------


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
