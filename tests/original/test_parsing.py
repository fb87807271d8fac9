"""Names and addresses, parsed once at the edge: the original's property tests, and our further rules."""

import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_subscriptions.subscribers.subscriber_name import SubscriberName

_FORBIDDEN = '/()"<>\\{}'
_LOCAL = st.text(string.ascii_letters + string.digits + "+_-", min_size=1, max_size=30)
_LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True).filter(lambda text: "--" not in text)
_DOMAIN = st.builds(lambda label, end: f"{label}.{end}", _LABEL, st.sampled_from(["com", "org", "example", "net"]))


@given(st.text(st.characters(categories=["L", "Nd"]), min_size=1, max_size=60))
def test_a_name_of_letters_and_digits_is_valid_and_kept(name: str) -> None:
    """In Unicode's composed form (NFC), in which names are compared."""
    assert SubscriberName.parse(name) == unicodedata.normalize("NFC", name)


@given(st.integers(1, 256))
def test_a_name_of_up_to_256_grapheme_clusters_is_valid(length: int) -> None:
    family = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}"
    assert SubscriberName.parse(family * length) == family * length


@given(st.integers(257, 400))
def test_a_longer_name_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="at most 256"):
        SubscriberName.parse("ё" * length)


@given(st.text(" \t\u00a0\u2003", max_size=20))
def test_a_blank_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        SubscriberName.parse(name)


@given(st.text(string.ascii_letters), st.sampled_from(_FORBIDDEN), st.text(string.ascii_letters))
def test_a_name_with_a_forbidden_character_is_refused(before: str, forbidden: str, after: str) -> None:
    with pytest.raises(ValueError, match="may not hold"):
        SubscriberName.parse(f"A{before}{forbidden}{after}Z")


@given(st.sampled_from(["\r", "\n", "\0", "\u2028", "\u2029", "\x1b", "\x7f", "\x85"]))
def test_a_name_that_could_break_a_line_is_refused(control: str) -> None:
    for name in (f"A{control}B", f"A{control}", f"{control}B"):
        with pytest.raises(ValueError, match="line breaks or control"):
            SubscriberName.parse(name)


@given(_LOCAL, _DOMAIN)
def test_a_plain_address_is_valid_and_kept(local: str, domain: str) -> None:
    assert EmailAddress.parse(f"{local}@{domain}") == f"{local}@{domain}"


@given(_LOCAL, _DOMAIN)
def test_case_makes_no_second_address(local: str, domain: str) -> None:
    text = f"{local}@{domain}"
    assert EmailAddress.parse(text.upper()).key == EmailAddress.parse(text.lower()).key


@given(st.text(max_size=80).filter(lambda text: "@" not in text))
def test_a_text_without_an_at_sign_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        EmailAddress.parse(text)


@given(_DOMAIN)
def test_an_address_without_a_local_part_is_refused(domain: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        EmailAddress.parse(f"@{domain}")


@given(st.text(max_size=100))
def test_whatever_is_accepted_is_one_ascii_line_that_parses_to_itself(text: str) -> None:
    try:
        address = EmailAddress.parse(text)
    except ValueError:
        return
    assert address.isascii()
    assert address.isprintable()
    assert EmailAddress.parse(address) == address


@pytest.mark.parametrize("written", ["user@bücher.com", "user@BÜCHER.com", "user@xn--bcher-kva.com"])
def test_an_international_domain_becomes_its_a_labels(written: str) -> None:
    assert EmailAddress.parse(written) == "user@xn--bcher-kva.com"


@pytest.mark.parametrize("mark", ["\ufeff", "\u200b", "\u00a0", " ", "\t"])
def test_what_a_spreadsheet_leaves_around_an_address_is_dropped(mark: str) -> None:
    assert EmailAddress.parse(f"{mark}reader@example.com{mark}") == "reader@example.com"
