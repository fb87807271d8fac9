"""The body of a decision about uncertain deliveries: one of them, or all of an issue."""

from typing import Annotated

import msgspec

from broadsheet_delivery.settling.decision_store import Choice

NOTE_CHARS_MAX = 1000


class DecisionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`note` is stored with the decision."""

    choice: Choice
    note: Annotated[str, msgspec.Meta(max_length=NOTE_CHARS_MAX, pattern="^[^\\x00]*$")] | None = None
