"""What the other folders may use of this one's stores."""

from broadsheet_subscriptions.sign_up.store import (
    MailBounds,
    Newsletter,
    hash_mailbox,
)

__all__ = ["MailBounds", "Newsletter", "hash_mailbox"]
