"""What Postmark says of a newsletter's stream, pure: whether it fits, and whether it may be set."""

from datetime import datetime
from typing import Literal

import msgspec

from broadsheet_common.http.problems import FieldProblem, InvalidInputError


class StreamCheck(msgspec.Struct, frozen=True, kw_only=True):
    """`ok`: Postmark has this stream, of the type Broadcasts, and it handles unsubscribing as the newsletter says.
    `mismatch`: it does not, and `detail` says why; no issue starts. `unknown`: Postmark has not been asked yet, or
    could not be. `checked_at`: when it was asked last.
    """

    state: Literal["ok", "mismatch", "unknown"]
    detail: str | None = None
    checked_at: datetime | None = None


NOT_ASKED = StreamCheck(state="unknown", detail="Postmark has not been asked yet.")


def require_fit(check: StreamCheck | None) -> None:
    """None: the stream is not set now. Raises `InvalidInputError` for one that is known not to fit."""
    if check is not None and check.state == "mismatch":
        raise InvalidInputError(
            errors=(FieldProblem(pointer="/message_stream", detail=check.detail or "Postmark's stream does not fit."),)
        )
