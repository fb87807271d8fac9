"""The options of an import, pure: checked before the file is looked at."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from broadsheet_common.http.plain_text import is_storable
from broadsheet_common.http.problems import FieldProblem, InvalidInputError
from broadsheet_subscriptions.attributes.attribute import TAGS_MAX, parse_tag
from broadsheet_subscriptions.imports.reading.column import Mapping_, fault_of_mapping

GivenState = Literal["pending", "confirmed"]
ExistingPolicy = Literal["skip", "fill", "overwrite"]
Status = Literal["uploading", "queued", "running", "checked", "done", "failed", "cancelled", "undoing", "undone"]

CONSENT_BASIS_CHARS_MAX = 2_000


class ImportOptions(msgspec.Struct, frozen=True):
    """`existing`: what happens to name, attributes and tags of people who are subscribers already. They are kept
    (`skip`), filled in where blank (`fill`), or replaced by the file's values (`overwrite`; a blank cell replaces
    nothing). `added_tags` are added to all people. `mapping` None: the columns are guessed.
    """

    consent_basis: str
    given_state: GivenState
    existing: ExistingPolicy
    added_tags: list[str]
    dry_run: bool
    mapping: Mapping_ | None


def parse_options(
    *,
    consent_basis: str,
    given_state: GivenState,
    existing: ExistingPolicy,
    added_tags: Sequence[str],
    dry_run: bool,
    mapping: Mapping[str, str | None] | None,
    attribute_names: Sequence[str],
) -> ImportOptions:
    """Raises `InvalidInputError` that names every invalid field."""
    problems: list[FieldProblem] = []
    basis = consent_basis.strip()
    if not basis or len(basis) > CONSENT_BASIS_CHARS_MAX or not is_storable(basis):
        detail = f"Say in 1 to {CONSENT_BASIS_CHARS_MAX} characters why these people may be written to."
        problems.append(FieldProblem(pointer="/consent_basis", detail=detail))
    tags: dict[str, None] = {}
    for number, tag in enumerate(added_tags):
        try:
            tags[parse_tag(tag)] = None
        except ValueError as error:
            problems.append(FieldProblem(pointer=f"/tags/{number}", detail=str(error)))
    if len(tags) > TAGS_MAX:
        problems.append(FieldProblem(pointer="/tags", detail=f"There may be at most {TAGS_MAX} tags."))
    if mapping is not None:
        fault = fault_of_mapping(mapping, attribute_names)
        if fault is None and not all(map(is_storable, mapping)):
            fault = "A column's title may not hold a NUL character or an unpaired surrogate."
        if fault is not None:
            problems.append(FieldProblem(pointer="/mapping", detail=fault))
    if problems:
        raise InvalidInputError(errors=tuple(problems))
    return ImportOptions(basis, given_state, existing, list(tags), dry_run, None if mapping is None else dict(mapping))
