"""Bounces: Postmark's bounce types, and the list that GET /bounces shows."""

import time
from typing import Any, Final

import msgspec

from broadsheet_postmark_sandbox.messages.present_message import eastern_text

BOUNCES_MAX: Final = 100_000


class BounceType(msgspec.Struct, frozen=True):
    """`deactivates`: whether Postmark stops sending to the address."""

    code: int
    type: str
    name: str
    description: str
    deactivates: bool = False


# Source: Postmark's page "Bounce types".
_ALL: Final = (
    BounceType(
        1,
        "HardBounce",
        "Hard bounce",
        "The server was unable to deliver your message (ex: unknown user, mailbox not found).",
        deactivates=True,
    ),
    BounceType(2, "Transient", "Message delayed", "The server could not temporarily deliver your message."),
    BounceType(16, "Unsubscribe", "Unsubscribe request", "Unsubscribe or remove request."),
    BounceType(32, "Subscribe", "Subscribe request", "Subscribe request from someone wanting to get added."),
    BounceType(64, "AutoResponder", "Auto responder", "Automatic email responder (ex: out of office)."),
    BounceType(128, "AddressChange", "Address change", "The recipient has requested an address change."),
    BounceType(256, "DnsError", "DNS error", "A temporary DNS error."),
    BounceType(512, "SpamNotification", "Spam notification", "The message was classified as spam."),
    BounceType(1024, "OpenRelayTest", "Open relay test", "The NDR is actually a test email message."),
    BounceType(2048, "Unknown", "Unknown", "Unable to classify the NDR."),
    BounceType(4096, "SoftBounce", "Soft bounce", "Unable to temporarily deliver message (ex: mailbox full)."),
    BounceType(8192, "VirusNotification", "Virus notification", "The bounce is actually a virus notification."),
    BounceType(16384, "ChallengeVerification", "Spam challenge verification", "A challenge asks for an answer."),
    BounceType(100000, "BadEmailAddress", "Invalid email address", "The address is not a valid one.", deactivates=True),
    BounceType(
        100001,
        "SpamComplaint",
        "Spam complaint",
        "The subscriber explicitly marked this message as spam.",
        deactivates=True,
    ),
    BounceType(
        100002, "ManuallyDeactivated", "Manually deactivated", "The email was manually deactivated.", deactivates=True
    ),
    BounceType(100003, "Unconfirmed", "Registration not confirmed", "The subscriber has not confirmed."),
    BounceType(100006, "Blocked", "ISP block", "Blocked from this ISP due to content or blacklisting."),
    BounceType(100007, "SMTPApiError", "SMTP API error", "An error occurred while accepting through SMTP."),
    BounceType(100008, "InboundError", "Processing failed", "Unable to deliver inbound message."),
    BounceType(100009, "DMARCPolicy", "DMARC Policy", "Rejected due to the DMARC policy of the sender."),
    BounceType(100010, "TemplateRenderingFailed", "Template rendering failed", "The template failed to render."),
)
BOUNCE_TYPES: Final = {kind.type: kind for kind in _ALL}
TESTING_DOMAIN: Final = "bounce-testing.postmarkapp.com"
_BY_LOWER_NAME: Final = {kind.type.lower(): kind for kind in _ALL}


def testing_bounce(address: str) -> BounceType | None:
    """The bounce type for an address of Postmark's testing domain: `softbounce@…`, with or without a `+tag`."""
    local, _, domain = address.lower().rpartition("@")
    if domain != TESTING_DOMAIN:
        return None
    return _BY_LOWER_NAME.get(local.partition("+")[0], BOUNCE_TYPES["HardBounce"])


class Bounce(msgspec.Struct):
    """One bounce. `bounced_at` is in seconds since 1970; `inactive`: whether the address is suppressed because of
    it.
    """

    id: int
    kind: BounceType
    message_id: str | None
    stream: str
    tag: str
    email: str
    from_: str
    subject: str
    bounced_at: float
    inactive: bool
    can_activate: bool
    details: str = "smtp;550 5.1.1 The email account that you tried to reach does not exist."

    def row(self) -> dict[str, Any]:
        """The bounce as GET /bounces shows it."""
        return {
            "RecordType": "Bounce",
            "ID": self.id,
            "Type": self.kind.type,
            "TypeCode": self.kind.code,
            "Name": self.kind.name,
            "Tag": self.tag,
            "MessageID": self.message_id,
            "ServerID": SERVER_ID,
            "MessageStream": self.stream,
            "Description": self.kind.description,
            "Details": self.details,
            "Email": self.email,
            "From": self.from_,
            "BouncedAt": eastern_text(self.bounced_at),
            "DumpAvailable": True,
            "Inactive": self.inactive,
            "CanActivate": self.can_activate,
            "Subject": self.subject,
        }


SERVER_ID: Final = 1


class BounceList:
    """The newest BOUNCES_MAX bounces by id, oldest first."""

    def __init__(self) -> None:
        self._bounces: dict[int, Bounce] = {}
        self._next_id = 1

    def __len__(self) -> int:
        return len(self._bounces)

    def add(
        self, kind: BounceType, *, message_id: str | None, stream: str, tag: str, email: str, from_: str, subject: str
    ) -> Bounce:
        bounce = Bounce(
            id=self._next_id,
            kind=kind,
            message_id=message_id,
            stream=stream,
            tag=tag,
            email=email,
            from_=from_,
            subject=subject,
            bounced_at=time.time(),
            inactive=kind.deactivates,
            can_activate=kind.type != "SpamComplaint",
        )
        self._next_id += 1
        self._bounces[bounce.id] = bounce
        if len(self._bounces) > BOUNCES_MAX:
            del self._bounces[next(iter(self._bounces))]
        return bounce

    def get(self, bounce_id: int) -> Bounce | None:
        return self._bounces.get(bounce_id)

    def newest_first(self) -> list[Bounce]:
        return list(reversed(self._bounces.values()))

    def clear(self) -> None:
        self._bounces.clear()
