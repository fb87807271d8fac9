"""What a decision about uncertain deliveries is given as: for one of them, or all of an issue."""

from typing import Annotated

import msgspec

from broadsheet_delivery.settling.decision_store import Choice

NOTE_CHARS_MAX = 1000


class DecisionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`note` is kept with the decision, for whoever reads it later."""

    choice: Choice
    note: Annotated[str, msgspec.Meta(max_length=NOTE_CHARS_MAX, pattern="^[^\\x00]*$")] | None = None
