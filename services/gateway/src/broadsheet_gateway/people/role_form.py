"""Roles in forms: rows of two lists, one for the role and one for the newsletter that it is for."""

from collections.abc import Iterable, Sequence
from typing import Final

from broadsheet_gateway.access.rights import Grant
from broadsheet_gateway.http.forms import Form
from broadsheet_gateway.pages.people_views import NewsletterChoice, RoleRow
from broadsheet_gateway.users.user import GrantInput

ROWS_MAX: Final = 20
"""Who has more roles is changed through the API."""
_ROWS_OF_NOBODY: Final = 3
_EMPTY_ROWS: Final = 2


def rows_of(grants: Sequence[Grant]) -> tuple[RoleRow, ...]:
    """With some empty ones to add to."""
    filled = [RoleRow(grant.role, "" if grant.newsletter_id is None else str(grant.newsletter_id)) for grant in grants]
    wanted = min(max(_ROWS_OF_NOBODY, len(filled) + _EMPTY_ROWS), max(ROWS_MAX, len(filled)))
    return (*filled, *[RoleRow()] * (wanted - len(filled)))


def typed_rows(form: Form) -> tuple[RoleRow, ...]:
    """As they were sent."""
    rows = []
    for number in range(1, ROWS_MAX + 1):
        role = form.get(f"role_{number}")
        if role is None:
            break
        rows.append(RoleRow(role[:40], form.text(f"newsletter_{number}")[:20]))
    return tuple(rows)


def parse_rows(rows: Iterable[RoleRow]) -> tuple[list[GrantInput], dict[str, str]]:
    """Roles, and sentences by the field's name. Rows without a role are left out."""
    grants: list[GrantInput] = []
    errors: dict[str, str] = {}
    for number, row in enumerate(rows, start=1):
        if not row.role:
            continue
        try:
            grant = Grant.parse(f"{row.role}:{row.newsletter}" if row.newsletter else row.role)
        except ValueError:
            errors[f"role_{number}"] = "Choose a role and a newsletter of the lists."
        else:
            grants.append(GrantInput(grant.role, grant.newsletter_id))
    return grants, errors


def in_words(grants: Iterable[Grant], newsletters: Iterable[NewsletterChoice]) -> tuple[str, ...]:
    """Such as "Editor of The Weekly"."""
    names = {one.id: one.name for one in newsletters}
    return tuple(
        f"{grant.role.capitalize()} of every newsletter"
        if grant.newsletter_id is None
        else f"{grant.role.capitalize()} of {names.get(grant.newsletter_id, f'newsletter {grant.newsletter_id}')}"
        for grant in grants
    )
