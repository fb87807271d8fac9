"""Sample data of the page on sending."""

import msgspec

from broadsheet_gateway.admin.differences import NOTHING_IS_LOST, Difference
from broadsheet_gateway.admin.issue.views import Senders, SendingState, WaitingIssue
from broadsheet_gateway.admin.sending.views import AuditRow, QueueRow, SendingPage, TypedSending, WaitingRow
from broadsheet_gateway.pages.flashes import FlashCode
from broadsheet_gateway.pages.samples.admin.issues import BACKING_OFF, PAUSED, RUNNING, SENDING, at
from broadsheet_gateway.pages.views import PageView, SignedIn


def sending_samples(signed_in: SignedIn) -> dict[str, PageView]:
    running = SendingPage(
        signed_in=signed_in,
        senders=RUNNING,
        queue=tuple(QueueRow(issue=issue, since=issue.published_at) for issue in (PAUSED, SENDING)),
        audit=(
            AuditRow(at=at(12, 9), actor="admin", action="Resumed all sending"),
            AuditRow(
                at=at(12, 8, 40),
                actor="API key operations",
                action="Changed the limits",
                limits="250 mails a second, no limit of calls",
            ),
            AuditRow(at=at(12, 8), actor="ada", action="Paused all sending"),
        ),
        may_change=True,
    )
    return {
        "sending": running,
        "sending-backing-off": msgspec.structs.replace(
            running,
            flashes=(FlashCode.LIMITS_CHANGED,),
            senders=msgspec.structs.replace(
                BACKING_OFF, waiting_for_preflight=(WaitingIssue(14, "Postmark does not answer"), WaitingIssue(13))
            ),
            waiting=(
                WaitingRow(waiting=WaitingIssue(14, "Postmark does not answer"), title=SENDING.title),
                WaitingRow(waiting=WaitingIssue(13)),
            ),
            typed=TypedSending(messages_per_s_max="250", concurrent_calls_max="8"),
        ),
        "sending-paused": SendingPage(
            signed_in=signed_in,
            senders=Senders(sending=SendingState(state="paused", reason="The provider asked us to wait")),
            queue=(),
            audit=(),
            may_change=True,
            form_error="A service that this needs does not answer.",
        ),
        "sending-refused": msgspec.structs.replace(
            running,
            typed=TypedSending(messages_per_s_max="many", concurrent_calls_max="0"),
            errors={
                "reason": "A reason has at most 300 characters.",
                "messages_per_s_max": "Enter a number above 0 and up to 1,000,000, or nothing.",
                "concurrent_calls_max": "Enter a whole number from 1 to 10,000, or nothing.",
            },
        ),
        "sending-conflict": msgspec.structs.replace(
            running,
            typed=TypedSending(messages_per_s_max="500", concurrent_calls_max="4"),
            differences=(
                Difference("messages_per_s_max", "Mails a second", "500", "250"),
                Difference("concurrent_calls_max", "Calls at once", "4", "empty"),
            ),
            form_error=NOTHING_IS_LOST.format(what="the limits"),
        ),
        "sending-read-only": msgspec.structs.replace(running, may_change=False, audit=msgspec.UNSET),
        "sending-degraded": SendingPage(signed_in=signed_in, senders=None, queue=None, may_change=True),
    }
