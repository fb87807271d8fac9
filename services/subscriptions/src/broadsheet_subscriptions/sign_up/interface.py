"""What the other folders may use of this one's stores."""

from broadsheet_subscriptions.sign_up.store import (
    NEWSLETTER_COLUMNS,
    MailBounds,
    Newsletter,
    hash_mailbox,
    newsletter_of,
)

__all__ = ["NEWSLETTER_COLUMNS", "MailBounds", "Newsletter", "hash_mailbox", "newsletter_of"]
