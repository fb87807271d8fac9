"""What the API document says beside what the services say: read from `operations.toml` and `example_values.toml`."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec


class OperationWords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`request` and `answer` are examples of bodies: JSON, or the text of a file."""

    description: str = ""
    request: str = ""
    answer: str = ""


class Words(msgspec.Struct, frozen=True):
    """`operations` by operation id, `tags` their descriptions, `values` of example members (see `examples`)."""

    operations: Mapping[str, OperationWords]
    tags: Mapping[str, str]
    values: Mapping[str, Any]


@cache
def load_words() -> Words:
    """Raises msgspec.ValidationError if a file is not as it should be: at start, not at a request."""
    operations = tomllib.loads(_read("operations.toml"))
    tags = operations.pop("tags")
    return Words(
        operations=msgspec.convert(operations, dict[str, OperationWords]),
        tags=msgspec.convert(tags, dict[str, str]),
        values=tomllib.loads(_read("example_values.toml")),
    )


def _read(name: str) -> str:
    return files("broadsheet_gateway.api_docs").joinpath(name).read_text(encoding="utf-8")
