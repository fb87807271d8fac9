"""What is read of a file, without a database: encodings, delimiters, quotes, columns, and any bytes at all."""

import codecs
import csv
import io
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadsheet_subscriptions.exports.csv_writer import csv_lines
from broadsheet_subscriptions.imports.reading.column import KnownAttribute, detect_delimiter, open_columns
from broadsheet_subscriptions.imports.reading.csv_records import CsvFile
from broadsheet_subscriptions.imports.reading.record import Place, Record, UnreadableFileError
from broadsheet_subscriptions.imports.reading.text_encoding import Encoding, EncodingSniffer, UndecodableFileError
from broadsheet_subscriptions.imports.reading.xlsx_records import xlsx_records
from broadsheet_subscriptions.subscribers.spreadsheet_cell import may_hold_neutralised, neutralise, restore
from broadsheet_subscriptions.subscribers.tag_cell import read_tags, write_tags

from ..importing import workbook

PIECE = 5_000
PEOPLE = "email;name\r\nzoë@example.com;Zoë\r\n"
ATTRIBUTES = [KnownAttribute("city", "text", "Home town")]


def sniff(content: bytes) -> tuple[str, str | None]:
    """In pieces of 5,000 bytes: the first is what the sniffer begins with."""
    sniffer = EncodingSniffer()
    for start in range(0, len(content), PIECE):
        sniffer.feed(content[start : start + PIECE])
    return sniffer.finish()


def records_of(
    content: bytes, encoding: Encoding = "utf-8", *, block: int = 1 << 20, delimiter: str = ","
) -> list[Record]:
    file = CsvFile(io.BytesIO(content), encoding, Place(), block_bytes=block)
    return [record for one in file.blocks(delimiter) for record in one.records]


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (PEOPLE.encode(), "utf-8"),
        (codecs.BOM_UTF8 + PEOPLE.encode(), "utf-8"),
        (codecs.BOM_UTF16_LE + PEOPLE.encode("utf-16-le"), "utf-16-le"),
        (codecs.BOM_UTF16_BE + PEOPLE.encode("utf-16-be"), "utf-16-be"),
        (PEOPLE.encode("utf-16-le"), "utf-16-le"),
        (PEOPLE.encode("utf-16-be"), "utf-16-be"),
        (PEOPLE.encode("windows-1252"), "windows-1252"),
        ("email\n€@example.com\n".encode("windows-1252"), "windows-1252"),
    ],
    ids=["utf-8", "utf-8-mark", "le-mark", "be-mark", "le", "be", "windows-1252", "euro"],
)
def test_the_encoding_is_found_and_the_mark_is_no_text(content: bytes, encoding: Encoding) -> None:
    assert sniff(content) == ("csv", encoding)
    first = records_of(content, encoding, delimiter=";")[0]
    assert first.cells[0] == "email"


def test_one_byte_that_is_not_utf_8_at_the_end_of_a_long_file_makes_all_of_it_windows_1252() -> None:
    assert sniff(b"email\n" + b"a@example.com\n" * 1_000 + "Zoë".encode("windows-1252")) == ("csv", "windows-1252")
    assert sniff(b"email\n" + b"a@example.com\n" * 1_000 + "Zoë".encode()) == ("csv", "utf-8")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\xff\xfe", "not a text file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest", ".xls"),
        (b"email\n\x81\x8d\n", "not UTF-8"),
        (codecs.BOM_UTF16_LE + b"\x00\xd8a\x00", "UTF-16"),
        (codecs.BOM_UTF16_LE + b"a\x00b", "UTF-16"),
        (codecs.BOM_UTF32_LE + "email".encode("utf-32-le"), "UTF-32"),
    ],
    ids=["empty", "png", "xls", "unassigned", "half-pair", "half-character", "utf-32"],
)
def test_what_is_no_text_is_refused_with_a_reason(content: bytes, said: str) -> None:
    with pytest.raises(UndecodableFileError, match=said):
        sniff(content)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
@pytest.mark.parametrize(
    "rows",
    [
        [["email", "name"], ["ada@example.com", "Ada"]],
        [["Name", "E-Mail"], ["Lovelace; Ada, of London", "ada@example.com"]],
        [["ada@example.com", "Ada"], ["bob@example.com", "Bob"]],
        [["email"], ["ada@example.com"]],
    ],
    ids=["two-columns", "other-delimiters-in-a-cell", "no-titles", "one-column"],
)
def test_the_delimiter_is_found_with_two_columns_too(delimiter: str, rows: list[list[str]]) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter).writerows(rows)
    lines = buffer.getvalue().splitlines(keepends=True)
    found = detect_delimiter(lines)
    assert next(csv.reader(lines, delimiter=found)) == rows[0]


@pytest.mark.parametrize(
    ("titles", "email"),
    [
        (["E-Mail", "x"], "E-Mail"), (["x", "EMAIL ADDRESS"], "EMAIL ADDRESS"), (["mail"], "mail"),
        (["\ufeffEmail", "Name"], "Email"), (["\u00a0e-mail\u00a0"], "e-mail"), (["email", "Email"], "email"),
    ],
)  # fmt: skip
def test_the_column_of_addresses_is_known_by_its_title(titles: list[str], email: str) -> None:
    columns = open_columns([titles, ["a"] * len(titles)], [], None)
    assert [title for title, target in columns.mapping.items() if target == "email"] == [email]


def test_other_columns_are_known_by_their_titles_an_attribute_by_name_and_label() -> None:
    titles = ["email", "First name", "last_name", "Home Town", "Tags", "Status", "note"]
    columns = open_columns([titles], ATTRIBUTES, None)
    assert list(columns.mapping.values()) == [
        "email", "first_name", "last_name", "attribute:city", "tags", "state", None,
    ]  # fmt: skip
    assert open_columns([["email", "city"]], ATTRIBUTES, None).mapping["city"] == "attribute:city"


def test_a_title_that_says_nothing_is_made_good_by_what_stands_below() -> None:
    columns = open_columns([["Kontakt", "Ort"], ["ada@example.com", "Wien"], ["bob@example.com", "Graz"]], [], None)
    assert (columns.mapping, columns.has_titles) == ({"Kontakt": "email", "Ort": None}, True)
    columns = open_columns([["ada@example.com", "Wien"]], [], None)
    assert (columns.mapping, columns.has_titles) == ({"column_1": "email", "column_2": None}, False)


def test_without_a_column_of_addresses_it_is_said_which_columns_there_are() -> None:
    with pytest.raises(UnreadableFileError, match="“name”, “town”"):
        open_columns([["name", "town"], ["Ada", "Wien"]], [], None)


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ({"nothing": "email"}, "nothing"),
        ({"name": "name"}, "no column `email`"),
        ({"email": "email", "name": "email"}, "more than one"),
        ({"email": "email", "name": "attribute:nothing"}, "attribute:nothing"),
        ({"email": "email", "name": "city"}, "city"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused(mapping: dict[str, str | None], said: str) -> None:
    with pytest.raises(UnreadableFileError, match=said):
        open_columns([["email", "name"]], ATTRIBUTES, mapping)


def test_a_quote_that_is_never_closed_costs_its_own_line_alone() -> None:
    content = b'email,name\na@example.com,"Ada\nb@example.com,Bob\nc@example.com,"Cleo, of\nhere"\nd@example.com,Dan\n'
    records = records_of(content)
    assert [(one.line, one.fault is None) for one in records] == [
        (1, True),
        (2, False),
        (3, True),
        (4, True),
        (6, True),
    ]
    assert records[3].cells == ["c@example.com", "Cleo, of\nhere"]


def test_blank_lines_are_no_records_and_lines_keep_their_numbers() -> None:
    assert [(one.line, one.cells[0]) for one in records_of(b"email\n\n\r\n,,\na@example.com\n\n")] == [
        (1, "email"),
        (5, "a@example.com"),
    ]


def test_a_file_that_is_one_line_without_end_is_given_up() -> None:
    with pytest.raises(UnreadableFileError, match="has no end"):
        records_of(b"x" * (6 << 20))


def test_a_thousand_open_quotes_a_block_are_not_read_to_their_ends() -> None:
    with pytest.raises(UnreadableFileError, match="Is this a CSV file"):
        records_of(b'"a\n' * 300_000)


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
ROWS = st.lists(st.lists(CELLS, min_size=2, max_size=4).filter(any), min_size=1, max_size=12)


@settings(deadline=None)
@given(ROWS, st.sampled_from(["utf-8", "utf-16-le", "utf-16-be"]), st.integers(1, 64))
def test_what_is_written_is_read_again_whatever_the_size_of_the_blocks(
    rows: list[list[str]], encoding: Encoding, block: int
) -> None:
    content = csv_lines(rows).encode(encoding)
    read = records_of(content, encoding, block=block)
    mark = rows[0][0].startswith("\ufeff")  # it would be taken for one
    restored = [[restore(cell) for cell in one.cells] for one in read]
    assert mark or restored == rows
    assert [one.fault for one in read if one.fault] == []


@given(st.binary(max_size=300), st.sampled_from(["windows-1252", "utf-8"]), st.integers(1, 50))
def test_any_bytes_are_records_or_faults_and_can_be_gone_on_with_from_the_place_after_every_block(
    content: bytes, encoding: Encoding, block: int
) -> None:
    try:
        content.decode(encoding)
    except UnicodeDecodeError:
        return
    whole = list(CsvFile(io.BytesIO(content), encoding, Place(), block_bytes=block).blocks(","))
    records = [record for one in whole for record in one.records]
    assert [record.number for record in records] == list(range(1, len(records) + 1))
    for one in whole:
        rest = CsvFile(io.BytesIO(content[one.after.byte_offset :]), encoding, one.after, block_bytes=1 << 20)
        gone_on = [record for two in rest.blocks(",") for record in two.records]
        assert gone_on == [record for record in records if record.number > one.after.record_number]


@given(st.text(max_size=20))
def test_a_neutral_cell_is_restored_and_never_begins_as_a_formula(cell: str) -> None:
    neutral = neutralise(cell)
    assert restore(neutral) == cell
    assert not neutral.startswith(("=", "+", "-", "@", "\t", "\r"))


@given(st.lists(st.text(alphabet="'=+-@\t\r\n\"a,;", max_size=6), min_size=1), st.sampled_from([",", ";", "\t", "|"]))
def test_cells_that_are_to_be_restored_are_noticed_in_their_file(cells: list[str], delimiter: str) -> None:
    """Other files are not looked through cell by cell."""
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter).writerow(cells)
    assert may_hold_neutralised(file.getvalue()) or all(restore(cell) == cell for cell in cells)


def test_a_neutralised_cell_is_restored_in_whichever_block_it_is() -> None:
    lines = [f"r{n}@example.com,{chr(39) + '=n' if n == 700 else 'n'}\n" for n in range(1_000)]
    blocks = list(CsvFile(io.BytesIO("".join(lines).encode()), "utf-8", Place(), block_bytes=4_096).blocks(","))
    assert len(blocks) > 3
    assert [any(one.cells[1] == "'=n" for one in block.records) for block in blocks] == [
        block.is_neutralised for block in blocks
    ]


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20), max_size=5))
def test_tags_survive_their_cell(words: list[str]) -> None:
    tags = []
    for word in words:
        try:
            tags += read_tags(write_tags([word]))
        except ValueError:
            continue
    distinct = list(dict.fromkeys(tags))
    assert read_tags(write_tags(distinct)) == distinct


@pytest.mark.parametrize(
    ("cell", "tags"),
    [
        ("", []), ("news", ["news"]), ("a, b;c|d", ["a", "b", "c", "d"]), ("a,,a", ["a"]),
        ('["a, b","c"]', ["a, b", "c"]), ("[draft], x", ["[draft]", "x"]),
        ('"vip","Spring, 2021"', ["vip", "Spring, 2021"]), ('"a|b"; c', ["a|b", "c"]),
        ('"say ""x""", y', ['say "x"', "y"]),
        ("['vip', 'a, b']", ["vip", "a, b"]), ('[{"name": "vip"}, {"name": "news"}]', ["vip", "news"]),
        ('say "x", y', ['say "x"', "y"]), ('"open, y', ['"open', "y"]), ("a\nb", ["a", "b"]),
        ("cafe\u0301", ["caf\u00e9"]),
    ],
)  # fmt: skip
def test_tags_are_read_as_people_write_them(cell: str, tags: list[str]) -> None:
    assert read_tags(cell) == tags


def test_a_spreadsheet_is_rows_of_texts() -> None:
    from datetime import date

    rows: list[list[object]] = [
        ["email", "age", "born", "vip"],
        ["a@example.com", 36.0, date(1990, 1, 2), True],
        [],
        [None, 1.5],
    ]
    assert [(one.line, one.cells) for one in xlsx_records(io.BytesIO(workbook(rows)), [])] == [
        (1, ["email", "age", "born", "vip"]),
        (2, ["a@example.com", "36", "1990-01-02", "true"]),
        (4, ["", "1.5"]),
    ]


def test_an_archive_that_unpacks_to_too_much_is_refused_before_it_is_unpacked() -> None:
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("xl/sharedStrings.xml", "w") as member,
    ):
        for _ in range(300):
            member.write(bytes(1 << 20))
    assert file.tell() < 1 << 20
    file.seek(0)
    with pytest.raises(UnreadableFileError, match="too large when unpacked"):
        list(xlsx_records(file, []))


@pytest.mark.parametrize("cut", [10, 200, 1_000, 3_000])
def test_a_damaged_spreadsheet_is_said_to_be_one(cut: int) -> None:
    content = workbook([["email"], ["a@example.com"]])
    with pytest.raises(UnreadableFileError, match="damaged"):
        list(xlsx_records(io.BytesIO(content[:cut]), []))


def test_an_archive_of_something_else_is_no_spreadsheet() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("letter.txt", "hello")
    file.seek(0)
    with pytest.raises(UnreadableFileError, match="damaged, or not"):
        list(xlsx_records(file, []))
