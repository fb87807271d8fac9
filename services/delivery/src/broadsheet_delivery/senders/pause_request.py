"""What a pause is asked for with: one issue's, or that of all sending."""

import msgspec


class PauseRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`reason` is shown to everyone who looks at what is paused."""

    reason: str = "Paused by hand."
