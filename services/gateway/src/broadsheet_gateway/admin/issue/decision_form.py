"""The form in which a person decides about deliveries whose outcome is not known: one, or all of an issue."""

from typing import Final

from broadsheet_gateway.admin.issue.views import TypedAction
from broadsheet_gateway.http.forms import Form

NOTE_CHARS_MAX: Final = 1000
CHOICES: Final = frozenset({"mark_sent", "send_again", "give_up"})


def find_decision_faults(form: Form) -> tuple[TypedAction, dict[str, str]]:
    """What was typed, and what is wrong with it by field."""
    typed = TypedAction(choice=form.text("choice"), note=form.text("note").strip()[: NOTE_CHARS_MAX + 1])
    errors: dict[str, str] = {}
    if typed.choice not in CHOICES:
        errors["choice"] = "Choose what to do."
    if len(typed.note) > NOTE_CHARS_MAX:
        errors["note"] = f"A note has at most {NOTE_CHARS_MAX:,} characters."
    if form.text("sure") != "yes":
        errors["sure"] = "Tick the box: a decision cannot be taken back."
    return typed, errors
