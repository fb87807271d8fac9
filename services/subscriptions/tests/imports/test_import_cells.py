"""Cells: what is read, and what a cell that cannot be read costs."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_subscriptions.attributes.attribute import parse_cell
from broadsheet_subscriptions.imports.reading.column import KnownAttribute, open_columns
from broadsheet_subscriptions.imports.reading.import_row import RowReader
from broadsheet_subscriptions.imports.reading.record import (
    FORMULA_WITHOUT_VALUE,
    error_in_cell,
)
from broadsheet_subscriptions.subscribers.subscriber_name import clean_name

DATE = KnownAttribute("joined", "date", "Joined")
ATTRIBUTES = [DATE, KnownAttribute("age", "number", "Age"), KnownAttribute("city", "text", "City")]


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
