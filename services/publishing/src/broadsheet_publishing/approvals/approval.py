"""Two-person approval, pure: whose decision counts, and for which content."""

from datetime import datetime
from typing import Final, Literal

import msgspec

Decision = Literal["approved", "refused"]
ApprovalState = Literal["none", "requested", "approved", "refused", "void"]
NOTE_CHARS_MAX: Final = 2_000
_PERSON: Final = "user:"


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """The last request for an issue, and what was decided. It is for one version of the issue."""

    id: int
    version: int
    requested_by: str
    requested_at: datetime
    request_note: str
    decided_by: str | None
    decided_at: datetime | None
    decision: Decision | None
    decision_note: str


def state_of(approval: Approval | None, *, version: int) -> ApprovalState:
    """`version`: the issue's now. A change of the issue makes a request and a decision void."""
    if approval is None:
        return "none"
    if approval.version != version:
        return "void"
    return approval.decision or "requested"


def may_decide(subject: str, *, requested_by: str, saved_by: str) -> bool:
    """Another person than who asked, and than who wrote what is asked about. An API key is no person."""
    return subject.startswith(_PERSON) and subject not in {requested_by, saved_by}
