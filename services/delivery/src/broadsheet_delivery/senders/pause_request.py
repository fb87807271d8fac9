"""The body of a pause: of one issue, or of all sending."""

import msgspec


class PauseRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`reason` is shown to everybody who looks at what is paused."""

    reason: str = "Paused by hand."
