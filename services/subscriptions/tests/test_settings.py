"""What is missing or malformed is named."""

from ipaddress import ip_address

import pytest

from broadsheet_common.process.settings import SettingsError, load_settings
from broadsheet_subscriptions.settings import SubscriptionsSettings
from harness.keys import ERASURE_KEYS, LINK_SIGNING_KEYS, SECRET_ENCRYPTION_KEYS, identity_keys


def environment(**changed: str) -> dict[str, str]:
    return {
        "BIND_PORT": "8001",
        "DATABASE_URL": "postgresql://broadsheet_subscriptions@localhost/broadsheet",
        "PUBLIC_URL": "https://news.example.com/",
        "LINK_SIGNING_KEYS": LINK_SIGNING_KEYS.reveal(),
        "ERASURE_KEYS": ERASURE_KEYS.reveal(),
        "SECRET_ENCRYPTION_KEYS": SECRET_ENCRYPTION_KEYS.reveal(),
        "IDENTITY_PUBLIC_KEY": identity_keys()[1],
        **changed,
    }


def test_the_defaults() -> None:
    settings = load_settings(SubscriptionsSettings, environment())
    assert settings.public_url == "https://news.example.com"
    assert settings.confirmation_lifetime_s == 604_800
    assert settings.confirmation_cool_down_s == 60
    assert not settings.webhook_targets.allow_http
    assert not settings.webhook_targets.allows_address(ip_address("127.0.0.1"))
    assert "abab" not in repr(settings)
    assert "cdcd" not in repr(settings)


def test_webhooks_go_without_tls_in_a_local_set_up_only() -> None:
    allowed = environment(WEBHOOK_ALLOW_HTTP="true", WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8, ::1/128")
    with pytest.raises(SettingsError, match="WEBHOOK_ALLOW_HTTP"):
        load_settings(SubscriptionsSettings, allowed)
    settings = load_settings(SubscriptionsSettings, allowed | {"BROADSHEET_ENV": "local"})
    assert settings.webhook_targets.allow_http
    assert settings.webhook_targets.allows_address(ip_address("127.0.0.2"))
    assert not settings.webhook_targets.allows_address(ip_address("10.0.0.2"))


@pytest.mark.parametrize(
    "missing",
    [
        "BIND_PORT",
        "DATABASE_URL",
        "PUBLIC_URL",
        "LINK_SIGNING_KEYS",
        "ERASURE_KEYS",
        "IDENTITY_PUBLIC_KEY",
        "SECRET_ENCRYPTION_KEYS",
    ],
)
def test_what_is_missing_is_named(missing: str) -> None:
    given = environment()
    del given[missing]
    with pytest.raises(SettingsError) as raised:
        load_settings(SubscriptionsSettings, given)
    assert raised.value.problems == [f"{missing} is not set"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LINK_SIGNING_KEYS", "k1:short"),
        ("ERASURE_KEYS", "e1:short"),
        ("ERASURE_KEYS", f"e1:{'ab' * 32},e1:{'cd' * 32}"),
        ("SECRET_ENCRYPTION_KEYS", "k1:" + "ab" * 16),
        ("WEBHOOK_ALLOWED_NETWORKS", "10.0.0.1/8"),
        ("WEBHOOK_LOG_KEPT_DAYS", "6"),
        ("WEBHOOK_CALLS_PER_ENDPOINT", "0"),
        ("IDENTITY_PUBLIC_KEY", "not a key"),
        ("PUBLIC_URL", "news.example.com"),
        ("CONFIRMATION_LIFETIME_S", "0"),
        ("CONFIRMATION_COOL_DOWN_S", "-1"),
        ("DATABASE_URL", "mysql://x/y"),
    ],
)
def test_what_is_malformed_is_named_and_not_repeated(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings(SubscriptionsSettings, environment(**{name: value}))
    (problem,) = raised.value.problems
    assert problem.startswith(f"{name} is malformed")
    assert value not in problem
