"""A setting from the environment, or from the file that `<NAME>_FILE` names, as the services read theirs."""

import os
from pathlib import Path


class UnreadableSettingError(Exception):
    """The file that a setting names cannot be read; the text says which."""


def read_setting(name: str) -> str | None:
    """The setting's text, or None when it is not set.

    Raises:
        UnreadableSettingError: `<name>_FILE` is set, and its file cannot be read.
    """
    if (value := os.environ.get(name)) is not None:
        return value
    if (path := os.environ.get(f"{name}_FILE")) is None:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableSettingError(f"cannot read the file that {name}_FILE names: {error}") from error
