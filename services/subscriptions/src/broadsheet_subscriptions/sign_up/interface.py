"""What the other folders may use of this one's stores."""

from broadsheet_subscriptions.sign_up.store import (
    MailBounds,
    SignUpRequest,
    hash_mailbox,
    record_requests,
)

__all__ = ["MailBounds", "SignUpRequest", "hash_mailbox", "record_requests"]
