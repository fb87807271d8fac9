"""What the other folders may use of this one's stores."""

from broadsheet_delivery.throttle.breaker_store import note_answered, note_refused, note_unknown
from broadsheet_delivery.throttle.newsletter_of_issue import newsletter_of_issue
from broadsheet_delivery.throttle.permit_store import (
    PROBE_MARGIN_S,
    RESTRAINED,
    Denied,
    ask_permit,
    end_probe,
    is_restrained,
    left_when_slow,
    spend,
)
from broadsheet_delivery.throttle.state_store import (
    BREAKER_STATE,
    SendingLimits,
    SendingState,
    issue_run_state,
    lock_limits,
    name_sending_state,
    newsletter_of_issue_run,
    pause_issue,
    pause_sending,
    read_sending_state,
    resume_issue,
    resume_sending,
    set_limits,
)

__all__ = [
    "BREAKER_STATE",
    "PROBE_MARGIN_S",
    "RESTRAINED",
    "Denied",
    "SendingLimits",
    "SendingState",
    "ask_permit",
    "end_probe",
    "is_restrained",
    "issue_run_state",
    "left_when_slow",
    "lock_limits",
    "name_sending_state",
    "newsletter_of_issue",
    "newsletter_of_issue_run",
    "note_answered",
    "note_refused",
    "note_unknown",
    "pause_issue",
    "pause_sending",
    "read_sending_state",
    "resume_issue",
    "resume_sending",
    "set_limits",
    "spend",
]
