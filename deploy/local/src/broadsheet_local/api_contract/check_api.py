"""`check-api`: the API document is valid, keeps our rules, and breaks no client of the released one unless declared."""

import tomllib
from pathlib import Path
from typing import Any

import msgspec
from openapi_spec_validator import OpenAPIV31SpecValidator

from broadsheet_local.api_contract.breaking_changes import Breaking, find_breaking_changes
from broadsheet_local.api_contract.merged_document import merged_document
from broadsheet_local.api_contract.rules import find_faults
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.supervisor import Say

FOLDER = Path("docs/api")
RELEASED = "openapi.json"
DECLARED = "breaking-changes.toml"
_SHOWN_MAX = 50


class Declared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A breaking change that is meant: `where` and `kind` as the check prints them, and why."""

    where: str
    kind: str
    reason: str


def check_api(say: Say, *, folder: Path = FOLDER, release: bool = False) -> int:
    """0 when all is well; LaunchError with what is wrong. `release` writes the document over the released copy, after
    the checks, and leaves the declarations to whoever releases.
    """
    document = merged_document()
    errors = [
        f"{list(error.absolute_path)}: {error.message[:200]}"
        for error in OpenAPIV31SpecValidator(document).iter_errors()
    ]
    _refuse("the document is no valid OpenAPI 3.1", errors)
    say("the API document is valid OpenAPI 3.1")
    _refuse("the document breaks rules of ours", find_faults(document))
    say("every operation has its words, examples, scope and problems")
    released = folder / RELEASED
    if released.exists():
        changes = find_breaking_changes(msgspec.json.decode(released.read_bytes()), document)
        faults = judge(changes, read_declared(folder / DECLARED))
        _refuse(f"clients of {released} would break, and {DECLARED} does not say so", faults)
        say(f"it breaks no client of {released}" + (f" ({len(changes)} changes are declared)" if changes else ""))
    if release:
        released.write_bytes(encode(document))
        say(f"wrote {released}")
    return 0


def read_declared(path: Path) -> list[Declared]:
    """Raises msgspec.ValidationError for a file that is not as it should be."""
    if not path.exists():
        return []
    return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")).get("change", []), list[Declared])


def judge(changes: list[Breaking], declared: list[Declared]) -> list[str]:
    """A line for each change that is not declared, and for each declaration of something that did not change."""
    said = {(one.where, one.kind) for one in declared}
    found = {(one.where, one.kind) for one in changes}
    return [
        *(f"{one.where}: {one.kind} {one.detail}".rstrip() for one in changes if (one.where, one.kind) not in said),
        *(f"{where}: {kind} is declared, and is not so" for where, kind in sorted(said - found)),
    ]


def encode(document: dict[str, Any]) -> bytes:
    """As it is stored: a line a member, so that a change can be read."""
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def _refuse(what: str, faults: list[str]) -> None:
    if faults:
        shown = "\n  ".join(faults[:_SHOWN_MAX])
        more = f"\n  and {len(faults) - _SHOWN_MAX} more" if len(faults) > _SHOWN_MAX else ""
        raise LaunchError(f"{what}:\n  {shown}{more}")
