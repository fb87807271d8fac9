"""Settings, alone and together, and what the gateway refuses to start with."""

from pathlib import Path

import msgspec
import pytest

from broadsheet_common.process.settings import SettingsError, load_settings
from broadsheet_gateway.http.client_address import client_address, rate_limit_subject
from broadsheet_gateway.limits.rate_limit import RateLimit
from broadsheet_gateway.settings import LOCAL_LIMITS, PRODUCTION_LIMITS, GatewaySettings

ENVIRONMENT = {
    "BIND_PORT": "8081",
    "DATABASE_URL": "postgresql://gateway@db/broadsheet",
    "PUBLIC_URL": "https://news.example.com",
    "REDIS_URL": "redis://redis:6379/0",
    "SUBSCRIPTIONS_URL": "http://subscriptions:8000",
    "PUBLISHING_URL": "http://publishing:8000",
    "DELIVERY_URL": "http://delivery:8000",
    "IDENTITY_PRIVATE_KEY": "secret",
    "SECOND_FACTOR_KEYS": "k1:" + "ef" * 32,
}


def load(**changes: str) -> GatewaySettings:
    return load_settings(GatewaySettings, {**ENVIRONMENT, **changes})


def faults(**changes: str) -> list[str]:
    with pytest.raises(SettingsError) as error:
        load(**changes)
    return error.value.problems


def test_every_missing_setting_is_named() -> None:
    with pytest.raises(SettingsError) as error:
        load_settings(GatewaySettings, {})
    assert {problem.split()[0] for problem in error.value.problems} == set(ENVIRONMENT)


def test_production_needs_https_except_on_this_machine() -> None:
    assert faults(PUBLIC_URL="http://news.example.com") == [
        "PUBLIC_URL must be https in production, as session cookies and links depend on it"
    ]
    for url in ("http://localhost:8081", "http://127.0.0.1:8081", "http://[::1]:8081"):
        assert load(PUBLIC_URL=url).public_origin == url
    assert load(PUBLIC_URL="http://news.example.com", BROADSHEET_ENV="local").is_local


def test_production_shows_nobody_an_inbox() -> None:
    [fault] = faults(SANDBOX_INBOX_URL="http://127.0.0.1:8085")
    assert fault.startswith("SANDBOX_INBOX_URL is for BROADSHEET_ENV=local only")
    local = load(SANDBOX_INBOX_URL="http://127.0.0.1:8085", BROADSHEET_ENV="local")
    assert local.sandbox_inbox_url == "http://127.0.0.1:8085"
    assert load().sandbox_inbox_url is None


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://News.Example.com", "https://news.example.com"),
        ("https://news.example.com:443/", "https://news.example.com"),
        ("https://news.example.com:8443", "https://news.example.com:8443"),
    ],
)
def test_the_origin_is_written_as_browsers_write_it(url: str, origin: str) -> None:
    assert load(PUBLIC_URL=url).public_origin == origin


def test_faults_are_named_together() -> None:
    found = faults(
        PUBLIC_URL="https://news.example.com/path",
        TRUSTED_PROXIES="10.0.0.0/8,nonsense",
        LOGIN_LIMIT_PER_IP="x",
        SECURITY_CONTACT="security@example.com",
        SECOND_FACTOR_KEYS="k1:1234",
    )
    assert [fault.split()[0] for fault in found] == [
        "PUBLIC_URL", "TRUSTED_PROXIES", "SECURITY_CONTACT", "LOGIN_LIMIT_PER_IP",
        "SECOND_FACTOR_KEYS",
    ]  # fmt: skip
    assert "1234" not in str(found)


def test_limits_depend_on_the_environment_and_can_be_set() -> None:
    assert load().parse_rate_limits() == PRODUCTION_LIMITS
    assert load(BROADSHEET_ENV="local").parse_rate_limits() == LOCAL_LIMITS
    changed = load(SIGNUP_LIMIT_PER_IP="7/60").parse_rate_limits()
    assert changed == msgspec.structs.replace(PRODUCTION_LIMITS, signup_per_ip=RateLimit(7, 60))


def test_secrets_come_from_files_and_are_not_shown(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("the key\n")
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "IDENTITY_PRIVATE_KEY"}
    settings = load_settings(GatewaySettings, {**environment, "IDENTITY_PRIVATE_KEY_FILE": str(key)})
    assert settings.identity_private_key.reveal() == "the key"
    assert "the key" not in repr(settings)


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "trusted", "address"),
    [
        ("192.0.2.1", None, "", "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9", "", "192.0.2.1"),
        ("10.0.0.1", "203.0.113.9", "10.0.0.0/8", "203.0.113.9"),
        # What the client wrote in front of what the proxy saw is not believed.
        ("10.0.0.1", "1.1.1.1, 203.0.113.9", "10.0.0.0/8", "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.9, 10.0.0.2", "10.0.0.0/8", "203.0.113.9"),
        ("10.0.0.1", "nonsense", "10.0.0.0/8", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9, nonsense", "10.0.0.0/8", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.0/8", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9:5123", "10.0.0.0/8", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9:port", "10.0.0.0/8", "10.0.0.1"),
        ("10.0.0.1", "[2001:db8::7", "10.0.0.0/8", "10.0.0.1"),
        ("10.0.0.1", "[2001:db8::7]more", "10.0.0.0/8", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.0/8", "10.0.0.1"),
        ("10.0.0.1", "2001:db8::7", "10.0.0.0/8", "2001:db8::7"),
        ("fe80::1%eth0", "203.0.113.9", "fe80::/10", "203.0.113.9"),
        ("::1", '"[2001:db8::7]:443"', "::1/128", "2001:db8::7"),
        ("::ffff:10.0.0.1", "203.0.113.9", "10.0.0.0/8", "203.0.113.9"),
        (None, "203.0.113.9", "0.0.0.0/0", "unknown"),
        ("not an address", None, "", "unknown"),
    ],
)
def test_the_client_is_who_the_trusted_proxies_say(
    peer: str | None, forwarded_for: str | None, trusted: str, address: str
) -> None:
    networks = load(TRUSTED_PROXIES=trusted or " ").parse_trusted_proxies()
    assert client_address(peer, {"x-forwarded-for": forwarded_for or ""}, networks) == address


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("for=203.0.113.9", "203.0.113.9"),
        ('For="[2001:db8::7]:4711"', "2001:db8::7"),
        ('for="203.0.113.9:47011";proto=https;by=10.0.0.9', "203.0.113.9"),
        ("by=10.0.0.9 ; for=203.0.113.9", "203.0.113.9"),
        # What the client wrote in front of what the proxy saw is not believed, whatever it opens and leaves open.
        ("for=1.1.1.1, for=203.0.113.9", "203.0.113.9"),
        ('for=", for=203.0.113.9', "203.0.113.9"),
        ('for="1.1.1.1, for=203.0.113.9;host="news.example.com"', "203.0.113.9"),
        ("nonsense, for=203.0.113.9, for=10.0.0.2", "203.0.113.9"),
        ('for=203.0.113.9;host="a,for=1.1.1.1"', "203.0.113.9"),
        # A proxy that keeps it to itself, and what is no element: the last known address stands.
        ("for=1.1.1.1, for=_hidden", "10.0.0.1"),
        ("for=1.1.1.1, for=unknown", "10.0.0.1"),
        ("for=1.1.1.1, by=10.0.0.9", "10.0.0.1"),
        ("for=1.1.1.1;for=2.2.2.2", "10.0.0.1"),
        ("for=1.1.1.1, for=", "10.0.0.1"),
        ('for="[2001:db8::7"', "10.0.0.1"),
        ("for=[2001:db8::7]", "10.0.0.1"),
        ("nonsense", "10.0.0.1"),
        ("", "10.0.0.1"),
    ],
)
def test_forwarded_is_read_as_rfc_7239_has_it(forwarded: str, address: str) -> None:
    networks = load(TRUSTED_PROXIES="10.0.0.0/8").parse_trusted_proxies()
    headers = {"forwarded": forwarded, "x-forwarded-for": "198.51.100.1"}
    assert client_address("10.0.0.1", headers, networks, believed="forwarded") == address
    # The other one is whatever the client sent.
    assert client_address("10.0.0.1", headers, networks) == "198.51.100.1"
    assert client_address("203.0.113.1", headers, networks, believed="forwarded") == "203.0.113.1"


def test_a_site_counts_as_one_visitor() -> None:
    assert rate_limit_subject("192.0.2.1") == "192.0.2.1"
    assert rate_limit_subject("2001:db8:1:2:3::4") == rate_limit_subject("2001:db8:1:2:9::1") == "2001:db8:1:2::/64"


def test_connections_are_counted_by_site_and_those_of_trusted_proxies_are_not() -> None:
    settings = load(TRUSTED_PROXIES="10.0.0.0/8, 2001:db8:aa::/48")
    assert settings.count_connection_as("192.0.2.1") == "192.0.2.1"
    assert settings.count_connection_as("2001:db8::1") == settings.count_connection_as("2001:db8::ffff:2")
    assert settings.count_connection_as("2001:db8::1") != settings.count_connection_as("2001:db8:0:1::1")
    assert settings.count_connection_as("10.1.2.3") is None
    assert settings.count_connection_as("2001:db8:aa::9") is None
    # As a socket of both families tells an IPv4 peer.
    assert settings.count_connection_as("::ffff:10.1.2.3") is None


OIDC = {"OIDC_ISSUER": "https://login.example.com/", "OIDC_CLIENT_ID": "broadsheet", "OIDC_CLIENT_SECRET": "secret"}


def test_without_a_provider_nobody_signs_in_by_one() -> None:
    assert load().parse_oidc() is None
    assert not load().provider_name


def test_the_issuer_of_a_provider_is_kept_to_the_last_slash() -> None:
    read = load(**OIDC).parse_oidc()
    assert read is not None
    assert (read.issuer, read.redirect_uri, read.word) == (
        "https://login.example.com/",
        "https://news.example.com/login/provider/callback",
        "login.example.com",
    )
    assert not read.creates_users
    assert not read.trusts_second_factor


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"OIDC_ISSUER": "http://login.example.com"}, "OIDC_ISSUER is malformed: it must be https in production"),
        ({"OIDC_ISSUER": "login.example.com"}, "OIDC_ISSUER is malformed: not an http(s) URL"),
        ({"OIDC_ISSUER": "https://a@login.example.com"}, "OIDC_ISSUER is malformed: not an http(s) URL"),
        (
            {"OIDC_ISSUER": "https://login.example.com?a=b"},
            "OIDC_ISSUER is malformed: a query or fragment is not allowed here",
        ),
        ({"OIDC_NAME": "x" * 61}, "OIDC_NAME is malformed: expected 1 to 60 characters that can be shown"),
        ({"OIDC_SCOPES": "profile"}, "OIDC_SCOPES must hold openid"),
        ({"OIDC_GROUP_ROLES": "press"}, "OIDC_GROUP_ROLES is malformed: entry 1 is not GROUP=role"),
        (
            {"OIDC_CREATE_USERS": "true"},
            "OIDC_CREATE_USERS needs OIDC_GROUP_ROLES: new users have the roles of their groups",
        ),
    ],
)
def test_what_is_set_about_a_provider_is_checked_at_the_start(changes: dict[str, str], fault: str) -> None:
    assert faults(**(OIDC | changes)) == [fault]


@pytest.mark.parametrize("name", OIDC)
def test_half_a_provider_is_none(name: str) -> None:
    assert faults(**{key: value for key, value in OIDC.items() if key != name}) == [f"{name} is not set"]
