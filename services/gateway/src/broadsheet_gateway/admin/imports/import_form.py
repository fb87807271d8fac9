"""Reading the forms about imports: the options of an upload, and what each column is."""

from typing import Final, get_args

from broadsheet_gateway.admin.imports.import_views import ExistingPolicy, GivenState, Import
from broadsheet_gateway.admin.imports.views import CHARSETS, TypedImport
from broadsheet_gateway.http.forms import Form

CONSENT_CHARS_MAX: Final = 2_000
TAGS_CHARS_MAX: Final = 4_000
TAGS_MAX: Final = 100
COLUMNS_MAX: Final = 500
_TARGET_CHARS_MAX: Final = 200


def read_typed(form: Form) -> TypedImport:
    """Choices that no list of ours offers become the first of the list."""
    state, existing = form.text("state"), form.text("existing")
    charset = form.text("charset")
    states: tuple[GivenState, ...] = get_args(GivenState)
    policies: tuple[ExistingPolicy, ...] = get_args(ExistingPolicy)
    return TypedImport(
        consent_basis=form.text("consent_basis").strip()[: CONSENT_CHARS_MAX + 1],
        newsletter=form.text("newsletter")[:20],
        state=next((one for one in states if one == state), "pending"),
        existing=next((one for one in policies if one == existing), "fill"),
        tags=form.text("tags").strip()[: TAGS_CHARS_MAX + 1],
        charset=charset if charset in dict(CHARSETS) else "",
    )


def typed_of(job: Import) -> TypedImport:
    return TypedImport(
        consent_basis=job.consent_basis, state=job.state, existing=job.existing, tags=", ".join(job.tags)
    )


def tags_of(typed: TypedImport) -> list[str]:
    return [tag for part in typed.tags.split(",") if (tag := part.strip())]


def find_faults(typed: TypedImport) -> dict[str, str]:
    faults: dict[str, str] = {}
    if not typed.consent_basis:
        faults["consent_basis"] = "Say why these people may be written to."
    elif len(typed.consent_basis) > CONSENT_CHARS_MAX:
        faults["consent_basis"] = f"At most {CONSENT_CHARS_MAX:,} characters."
    if len(typed.tags) > TAGS_CHARS_MAX or len(tags_of(typed)) > TAGS_MAX:
        faults["tags"] = f"At most {TAGS_MAX} tags."
    return faults


def read_mapping(form: Form, job: Import) -> dict[str, str | None]:
    """What each column of the file is, by its title. A column that the form does not name is not read."""
    return {
        title: form.text(f"column_{number}")[:_TARGET_CHARS_MAX] or None
        for number, title in enumerate(job.columns, start=1)
    }


def faults_of(refused: dict[str, str], job: Import) -> dict[str, str]:
    """The API's faults by the fields of the form. Of a mapping they name the column, or nothing: then they are said
    at the first one.
    """
    numbers = {_escaped(title): number for number, title in enumerate(job.columns, start=1)}
    faults: dict[str, str] = {}
    for pointer, detail in refused.items():
        first, _, rest = pointer.partition("/")
        if first == "mapping":
            faults[f"column_{numbers.get(rest, 1)}"] = detail
        else:
            faults[first] = detail
    return faults


def _escaped(title: str) -> str:
    """As a JSON pointer writes it (RFC 6901)."""
    return title.replace("~", "~0").replace("/", "~1")
