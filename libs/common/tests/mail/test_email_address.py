"""What an address is, and when two are the same."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.provisional import domains

from broadsheet_common.mail import email_address
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_postmark_sandbox.messages.addresses import Mailbox, parse_list


def test_an_internationalised_domain_is_stored_as_a_labels() -> None:
    assert EmailAddress.parse("user@bücher.com") == "user@xn--bcher-kva.com"
    assert EmailAddress.parse("USER@XN--BCHER-KVA.com").key == EmailAddress.parse("user@bücher.com").key


def test_the_local_part_is_kept_as_typed_and_compared_without_case() -> None:
    assert EmailAddress.parse("Some.Reader@Example.COM") == "Some.Reader@example.com"
    assert EmailAddress.parse("Some.Reader@Example.COM").key == "some.reader@example.com"


@pytest.mark.parametrize("around", ["\ufeff", "\u00a0", "\u200b", " ", "\t"])
def test_a_spreadsheets_leftovers_are_dropped(around: str) -> None:
    assert EmailAddress.parse(f"{around}reader@example.com{around}") == "reader@example.com"


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "   ",
        "reader",
        "@example.com",
        "reader@",
        "reader@@example.com",
        "jösé@example.com",
        ".reader@example.com",
        "reader.@example.com",
        "rea..der@example.com",
        "reader@exam ple.com",
        "reader@example..com",
        "reader@example",
        "reader@localhost",
        "reader@example.com\r\nBcc: other@example.com",
        "reader@example.com\x00",
        "reader@[127.0.0.1]",
        "a" * 65 + "@example.com",
        "reader@" + "a" * 250 + ".com",
        "Reader <reader@example.com>",
    ],
)
def test_what_is_no_address_is_refused_with_a_sentence(raw: str) -> None:
    with pytest.raises(ValueError, match=r"[A-Za-z]"):
        EmailAddress.parse(raw)


@given(st.text(max_size=300))
def test_parsing_answers_or_refuses_and_never_breaks(raw: str) -> None:
    try:
        parsed = EmailAddress.parse(raw)
    except ValueError:
        return
    assert parsed.isascii()
    assert "\r" not in parsed
    assert "\n" not in parsed


@given(st.emails())
def test_parsing_twice_changes_nothing(raw: str) -> None:
    try:
        once = EmailAddress.parse(raw)
    except ValueError:
        return  # the strategy makes addresses that Postmark would not take either
    assert EmailAddress.parse(once) == once


_LOCALS = st.text("abAB1.+_-'\"@ <é", min_size=1, max_size=66)
_DOMAINS = st.one_of(
    st.sampled_from(["example.com", "mail.example.org", "Example.com", "bücher.com", "xn--bcher-kva.com", "ab--c.com"]),
    st.sampled_from(["localhost", "a.test", "a.local", "x..com", "-a.com", "a-.com", "1.2.3.4", "a" * 64 + ".com"]),
    st.text("ab1.-", min_size=1, max_size=20),
    st.builds(lambda length: "a." * length + "com", st.integers(90, 130)),
)


@given(_LOCALS, _DOMAINS)
def test_the_short_way_agrees_with_the_validator(local: str, domain: str) -> None:
    raw = f"{local}@{domain}"
    if not email_address._is_plain(raw):
        return
    parsed = email_address._validate(raw)
    assert EmailAddress.parse(raw) == parsed.ascii_email == raw


_LETTERS = st.characters(exclude_categories=())
"""Lone surrogates too, which JSON can carry."""
_IDN_LETTERS = "abXYZ019-üßæ中אا١\u0301\u200d\u3002"
_NEARLY = st.builds(
    lambda local, around, domain, at: f"{around}{local}{at}{domain}{around}",
    st.one_of(_LOCALS, st.text("abAZ09!#$%&'*+/=?^_`{|}~-.", min_size=1, max_size=66), st.text(_LETTERS, max_size=8)),
    st.sampled_from(["", "", " ", "\ufeff", "\u200b", "\u00a0\t", "\n", "<", '"', "(c)"]),
    st.one_of(
        _DOMAINS,
        st.lists(st.text("abXYZ019-üßæ中אا١\u0301\u200d。", min_size=1, max_size=64), min_size=1, max_size=5).map(
            ".".join
        ),
        st.lists(st.text(_LETTERS, min_size=1, max_size=6), min_size=2, max_size=3).map(".".join),
        domains(),
        st.builds(
            "xn--{}.{}".format, st.text("abz019-", min_size=1, max_size=12), st.sampled_from(["com", "xn--p1ai"])
        ),
    ),
    st.sampled_from(["@", "@", "@", "@", "\uff20", "@@", ""]),
)
_WITH_ONE_MORE = st.builds(
    lambda address, number, letter: address[: number % len(address)] + letter + address[number % len(address) :],
    st.sampled_from(["ada@example.com", "Ada.L+news@bücher.example.org", "a@xn--bcher-kva.com", "o'hara@gmail.com"]),
    st.integers(0, 60),
    _LETTERS,
)


@settings(max_examples=500)
@given(st.one_of(st.text(_LETTERS, max_size=300), _NEARLY, _WITH_ONE_MORE, st.emails()))
def test_any_text_is_refused_with_a_sentence_or_is_an_address_that_stays_the_same_and_that_postmark_takes(
    raw: str,
) -> None:
    try:
        parsed = EmailAddress.parse(raw)
    except UnicodeError as error:
        raise AssertionError("a ValueError, but its words are for nobody who signs up") from error
    except ValueError:
        return
    assert EmailAddress.parse(parsed) == parsed
    for spelled in (parsed.key, parsed.upper(), f"\ufeff{parsed} "):
        assert EmailAddress.parse(spelled).key == parsed.key
    assert EmailAddress.parse(parsed.key).mailbox_key == parsed.mailbox_key
    assert parse_list(parsed) == (Mailbox(parsed, None),)
    assert parse_list(f'"Ada, L." <{parsed}>, {parsed.key}') == (Mailbox(parsed, "Ada, L."), Mailbox(parsed.key, None))


def test_plain_addresses_take_the_short_way() -> None:
    assert email_address._is_plain("reader-0000001@example.com")
    assert not email_address._is_plain("Reader@example.com")
    assert not email_address._is_plain("reader@EXAMPLE.com")


@pytest.mark.parametrize(
    ("address", "mailbox"),
    [
        ("Ada@Example.com", "ada@example.com"),
        ("ada+news@example.com", "ada@example.com"),
        ("ada+a+b@example.com", "ada@example.com"),
        ("+ada@example.com", "+ada@example.com"),
        ("a.d.a@example.com", "a.d.a@example.com"),
        ("A.d.a+x@GMail.com", "ada@gmail.com"),
        ("ada@googlemail.com", "ada@gmail.com"),
    ],
)
def test_a_mailbox_is_known_behind_its_tags_and_dots(address: str, mailbox: str) -> None:
    assert EmailAddress.parse(address).mailbox_key == mailbox


def test_addresses_with_one_mailbox_are_not_the_same_address() -> None:
    plain, tagged = EmailAddress.parse("ada@example.com"), EmailAddress.parse("ada+x@example.com")
    assert plain.mailbox_key == tagged.mailbox_key
    assert plain.key != tagged.key
