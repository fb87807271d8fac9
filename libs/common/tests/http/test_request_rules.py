"""What requests are held to, rule by rule; tests/bad_input asks every route of every service."""

import pytest

from broadsheet_common.http.plain_text import find_text_fault, without_bidi_controls
from broadsheet_common.http.problems import InvalidInputError, MalformedRequestError, NotFoundError
from broadsheet_common.http.request_rules import (
    CompressedBodyError,
    check_json_text,
    check_path,
    checked_headers,
    checked_query,
)
from broadsheet_common.http.service_app import allow_header, matches_entity_tag


def test_repeated_headers_are_joined_in_order() -> None:
    headers = [(b"x-forwarded-for", b"1.1.1.1"), (b"a", b"b"), (b"x-forwarded-for", b"2.2.2.2, 3.3.3.3")]
    assert checked_headers(headers) == [(b"x-forwarded-for", b"1.1.1.1, 2.2.2.2, 3.3.3.3"), (b"a", b"b")]
    assert checked_headers([(b"cookie", b"a=1"), (b"cookie", b"b=2")]) == [(b"cookie", b"a=1; b=2")]


@pytest.mark.parametrize("name", [b"authorization", b"content-type", b"idempotency-key", b"x-broadsheet-identity"])
def test_a_header_with_one_value_may_not_come_twice(name: bytes) -> None:
    with pytest.raises(MalformedRequestError, match=name.decode()):
        checked_headers([(name, b"a"), (name, b"a")])


def test_headers_that_we_read_are_ascii_and_others_may_be_anything() -> None:
    for name in (b"idempotency-key", b"if-match", b"accept"):
        with pytest.raises(MalformedRequestError, match=name.decode()):
            checked_headers([(name, b"\xe9")])
    others = [(b"user-agent", b"\xe9"), (b"referer", b"\xc3\xa9"), (b"x-unknown", b"\xff"), (b"cookie", b"a=\xe9")]
    assert checked_headers(others) == others


@pytest.mark.parametrize("coding", [b"gzip", b"br", b"gzip, identity", b"GZIP"])
def test_a_compressed_body_is_refused_with_what_is_taken(coding: bytes) -> None:
    with pytest.raises(CompressedBodyError) as refusal:
        checked_headers([(b"content-encoding", coding)])
    assert refusal.value.headers == {"Accept-Encoding": "identity"}
    assert checked_headers([(b"content-encoding", b"Identity")])


@pytest.mark.parametrize(
    ("query", "tidied"),
    [
        (b"", b""),
        (b"a=1&b=x%20y+z&c=%2F", b"a=1&b=x%20y+z&c=%2F"),
        ("name_prefix=Å".encode(), b"name_prefix=%C3%85"),
        (b"a=%C3%85&b=%", b"a=%C3%85&b=%"),
    ],
)
def test_a_query_of_raw_bytes_means_what_the_encoded_one_means(query: bytes, tidied: bytes) -> None:
    assert checked_query(query) == tidied


@pytest.mark.parametrize(
    "value", ["%00", "%ED%A0%80", "%E9", "%C3", "%E2%80%AE", "%E2%81%A6x"], ids=lambda value: value
)
def test_a_query_that_is_no_text_is_refused_at_its_parameter(value: str) -> None:
    for query in (f"a=1&name={value}", f"a=1&name={value}&b=2"):
        with pytest.raises(MalformedRequestError) as refusal:
            checked_query(query.encode())
        assert [fault.pointer for fault in refusal.value.errors] == ["/name"]
    with pytest.raises(MalformedRequestError):
        checked_query(f"{value}=1".encode())
    with pytest.raises(NotFoundError):
        check_path(f"/api/v1/{value}".encode())
    with pytest.raises(MalformedRequestError):
        checked_query(b"name=\xe9")  # raw Latin-1


def test_every_string_of_a_document_is_looked_at() -> None:
    document = {
        "title": "a\u202eb",
        "html_content": "a\u202eb",
        "text_content": "nul \0",
        "tags": ["fine", "\ud800"],
        "deep": [{"a/b": ["\u2066"]}],
        "nul\0": 1,
        "number": 1,
    }
    with pytest.raises(InvalidInputError) as refusal:
        check_json_text(document)
    assert {fault.pointer for fault in refusal.value.errors} == {
        "/title", "/text_content", "/tags/1", "/deep/0/a~1b/0", "/nul\N{REPLACEMENT CHARACTER}",
    }  # fmt: skip
    check_json_text({"token": "a\0\u2066"})  # its handler judges it, so that all bad tokens have one answer
    with pytest.raises(InvalidInputError):
        check_json_text({"token": {"token ": "a\0"}})
    check_json_text({"a": ["שלום", "مرحبا", "\u200f", "é", "👩‍👩‍👧"], "b": None, "c": {"d": 1.5}})


def test_a_document_may_be_nested_as_deeply_as_it_likes() -> None:
    document: object = "a\0"
    for _ in range(50_000):
        document = [document]
    with pytest.raises(InvalidInputError):
        check_json_text(document)


def test_bidirectional_controls_are_named_and_can_be_taken_out() -> None:
    for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A)):
        fault = find_text_fault(f"ab{chr(code)}")
        assert fault is not None
        assert f"U+{code:04X}" in fault
        assert find_text_fault(chr(code), may_hold_bidi=True) is None
        assert without_bidi_controls(f"a{chr(code)}b") == "ab"


def test_entity_tags_are_compared_weakly() -> None:
    assert matches_entity_tag('"a"', '"a"')
    assert matches_entity_tag('W/"a"', '"a"')
    assert matches_entity_tag('"b", W/"a"', 'W/"a"')
    assert matches_entity_tag("*", '"a"')
    assert not matches_entity_tag('"ab"', '"a"')
    assert not matches_entity_tag("a", '"a"')


def test_allow_names_head_where_get_is() -> None:
    assert allow_header(["POST", "GET"]) == "GET, HEAD, OPTIONS, POST"
    assert allow_header(["POST"]) == "OPTIONS, POST"
