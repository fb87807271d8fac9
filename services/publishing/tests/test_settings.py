"""What is missing or malformed is named."""

import pytest

from broadsheet_common.process.settings import SettingsError, load_settings
from broadsheet_publishing.settings import PublishingSettings
from harness.keys import identity_keys


def environment(**changed: str) -> dict[str, str]:
    return {
        "BIND_PORT": "8002",
        "DATABASE_URL": "postgresql://broadsheet_publishing@localhost/broadsheet",
        "PUBLIC_URL": "https://news.example.com",
        "IDENTITY_PUBLIC_KEY": identity_keys()[1],
        **changed,
    }


def test_the_defaults() -> None:
    assert load_settings(PublishingSettings, environment()).fan_out_page_rows == 10_000


@pytest.mark.parametrize("missing", ["BIND_PORT", "DATABASE_URL", "PUBLIC_URL", "IDENTITY_PUBLIC_KEY"])
def test_what_is_missing_is_named(missing: str) -> None:
    given = environment()
    del given[missing]
    with pytest.raises(SettingsError) as raised:
        load_settings(PublishingSettings, given)
    assert raised.value.problems == [f"{missing} is not set"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("IDENTITY_PUBLIC_KEY", "no key"),
        ("PUBLIC_URL", "news.example.com"),
        ("MAIL_FROM", "nobody"),
        ("FAN_OUT_PAGE_ROWS", "0"),
        ("FAN_OUT_PAGE_ROWS", "10001"),
        ("COMPILER_PROCESSES", "5"),
    ],
)
def test_what_is_malformed_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings(PublishingSettings, environment(**{name: value}))
    (problem,) = raised.value.problems
    assert problem.startswith(f"{name} is malformed")
