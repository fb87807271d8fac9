"""Settings: everything missing or malformed is named, nothing secret is shown."""

from pathlib import Path

import msgspec
import pytest

from broadsheet_common.process.settings import (
    HttpUrl,
    PostgresUrl,
    Secret,
    ServiceSettings,
    SettingsError,
    load_settings,
)


class ExampleSettings(ServiceSettings, frozen=True, kw_only=True):
    api_token: Secret
    upstream_url: HttpUrl


COMPLETE = {
    "BIND_PORT": "8000",
    "DATABASE_URL": "postgresql://role:secret@db/broadsheet",
    "API_TOKEN": "hidden-token",
    "UPSTREAM_URL": "http://upstream:8000/",
}


def test_settings_come_from_the_environment() -> None:
    settings = load_settings(ExampleSettings, COMPLETE)
    assert settings.bind_port == 8000
    assert settings.upstream_url == "http://upstream:8000"
    assert settings.api_token.reveal() == "hidden-token"
    assert settings.broadsheet_env == "production"


def test_every_missing_setting_is_named() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(ExampleSettings, {})
    assert caught.value.problems == [
        "BIND_PORT is not set",
        "DATABASE_URL is not set",
        "API_TOKEN is not set",
        "UPSTREAM_URL is not set",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BIND_PORT", "http"),
        ("BIND_PORT", "0"),
        ("BIND_PORT", "65536"),
        ("DATABASE_URL", "mysql://db/x"),
        ("DATABASE_URL", "postgresql://db"),
        ("UPSTREAM_URL", "upstream:8000"),
        ("UPSTREAM_URL", "http://upstream/?a=1"),
        ("LOG_LEVEL", "LOUD"),
        ("DATABASE_TIMEOUT_S", "-1"),
        ("API_TOKEN", ""),
    ],
)
def test_a_malformed_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(ExampleSettings, {**COMPLETE, name: value})
    [problem] = caught.value.problems
    assert problem.startswith(name)


def test_a_value_may_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("from-a-file\n")
    environ = {key: value for key, value in COMPLETE.items() if key != "API_TOKEN"}
    settings = load_settings(ExampleSettings, {**environ, "API_TOKEN_FILE": str(path)})
    assert settings.api_token.reveal() == "from-a-file"


def test_a_file_that_cannot_be_read_is_named() -> None:
    environ = {key: value for key, value in COMPLETE.items() if key != "API_TOKEN"}
    with pytest.raises(SettingsError, match="API_TOKEN_FILE"):
        load_settings(ExampleSettings, {**environ, "API_TOKEN_FILE": "/nowhere/token"})


def test_secrets_are_masked_wherever_they_are_printed() -> None:
    settings = load_settings(ExampleSettings, COMPLETE)
    assert "hidden-token" not in repr(settings)
    assert "hidden-token" not in f"{settings.api_token}"


def test_a_malformed_value_is_not_repeated_in_the_message() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(ExampleSettings, {**COMPLETE, "DATABASE_URL": "mysql://user:topsecret@db/x"})
    assert "topsecret" not in str(caught.value)


def test_settings_do_not_change() -> None:
    settings = load_settings(ExampleSettings, COMPLETE)
    with pytest.raises(AttributeError):
        settings.bind_port = 1  # type: ignore[misc]
    assert msgspec.structs.replace(settings, bind_port=1).database_url == PostgresUrl(COMPLETE["DATABASE_URL"])


def test_a_choice_that_is_none_names_what_it_may_be() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(ServiceSettings, {"BROADSHEET_ENV": "prod", "BIND_PORT": "1", "DATABASE_URL": "postgresql://h/d"})
    assert caught.value.problems == [
        "BROADSHEET_ENV is malformed: Invalid enum value 'prod'; allowed: `local`, `production`"
    ]
