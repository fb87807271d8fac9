"""Where a webhook may go: public addresses only, however they are written."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_common.outgoing.target import TargetPolicy, is_public, parse_networks

PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "64:ff9b::8.8.8.8"]
NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
STRICT = TargetPolicy()
LOCAL = TargetPolicy((ip_network("127.0.0.0/8"), ip_network("::1/128")), allow_http=True)


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_allowed(text: str) -> None:
    assert STRICT.allows_address(ip_address(text))


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_refused(text: str) -> None:
    assert not STRICT.allows_address(ip_address(text))


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_judged_as_the_one_it_stands_for(address: object) -> None:
    assert is_public(ip_address(f"::ffff:{address}")) == is_public(ip_address(str(address)))


@given(st.ip_addresses())
def test_whatever_is_allowed_is_global_and_nothing_else_by_pythons_own_registries(address: object) -> None:
    parsed = ip_address(str(address))
    if not is_public(parsed):
        return
    assert not any(
        (parsed.is_private, parsed.is_loopback, parsed.is_link_local, parsed.is_multicast, parsed.is_unspecified)
    )


def test_a_network_that_is_named_is_allowed_and_no_other() -> None:
    assert LOCAL.allows_address(ip_address("127.9.9.9"))
    assert LOCAL.allows_address(ip_address("::ffff:127.0.0.1"))
    assert not LOCAL.allows_address(ip_address("10.0.0.1"))


def test_networks_are_given_by_commas() -> None:
    assert parse_networks(" 10.0.0.0/8 , fd00::/8,") == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert parse_networks("") == ()
    with pytest.raises(ValueError, match="host bits"):
        parse_networks("10.0.0.1/8")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/hook?source=a%20b",
        "https://example.com:8443/hook",
        "https://bücher.example/hook",
        "https://8.8.8.8/hook",
        "https://[2606:4700:4700::1111]:9443/hook",
        "HTTPS://EXAMPLE.COM/hook",
    ],
)
def test_an_https_url_of_a_name_or_a_public_address_is_taken(url: str) -> None:
    assert STRICT.parse_url(url).scheme == "https"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/hook",
        "/hook",
        "//example.com/hook",
        "https://",
        "https:///hook",
        "http://example.com/hook",
        "ftp://example.com/hook",
        "file:///etc/passwd",
        "gopher://example.com:70/_",
        "unix:///run/postgres.sock",
        "https://user:secret@example.com/hook",
        "https://user@example.com/hook",
        "https://example.com/hook#fragment",
        "https://example.com:22/",
        "https://example.com:25/",
        "https://example.com:80/",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:port/",
        "https://exa mple.com/",
        "https://example.com/\r\nHost: other",
        "https://example.com/\x00",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://127.0.0.1/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://127.0.0.1./",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1:8443/",
        "https://" + "a" * 2_000 + ".com/",
    ],
)
def test_any_other_url_is_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(ValueError, match=r"[A-Z].*\."):
        STRICT.parse_url(url)


@given(st.one_of(st.text(max_size=80), st.text(max_size=80).map("https://".__add__)))
def test_any_text_is_a_url_or_refused_and_nothing_breaks(text: str) -> None:
    try:
        url = STRICT.parse_url(text)
    except ValueError:
        return
    assert (url.scheme, url.user, url.password) == ("https", None, None)
    assert url.host


def test_where_it_is_allowed_a_url_may_go_to_this_machine_without_tls() -> None:
    assert str(LOCAL.parse_url("http://127.0.0.1:8000/hook")) == "http://127.0.0.1:8000/hook"
    with pytest.raises(ValueError, match="not a public address"):
        LOCAL.parse_url("http://10.0.0.1:8000/hook")
