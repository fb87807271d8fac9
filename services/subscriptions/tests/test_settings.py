"""What is missing or malformed is named."""

import pytest

from broadsheet_common.settings import SettingsError, load_settings
from broadsheet_subscriptions.settings import SubscriptionsSettings
from harness.keys import LINK_SIGNING_KEYS, identity_keys


def environment(**changed: str) -> dict[str, str]:
    return {
        "BIND_PORT": "8001",
        "DATABASE_URL": "postgresql://broadsheet_subscriptions@localhost/broadsheet",
        "PUBLIC_URL": "https://news.example.com/",
        "LINK_SIGNING_KEYS": LINK_SIGNING_KEYS.reveal(),
        "IDENTITY_PUBLIC_KEY": identity_keys()[1],
        **changed,
    }


def test_the_defaults() -> None:
    settings = load_settings(SubscriptionsSettings, environment())
    assert settings.public_url == "https://news.example.com"
    assert settings.confirmation_lifetime_s == 604_800
    assert settings.confirmation_cool_down_s == 60
    assert "abab" not in repr(settings)


@pytest.mark.parametrize(
    "missing", ["BIND_PORT", "DATABASE_URL", "PUBLIC_URL", "LINK_SIGNING_KEYS", "IDENTITY_PUBLIC_KEY"]
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
