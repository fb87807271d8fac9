"""What the other folders may use of this one's stores."""

from broadsheet_subscriptions.sign_up.store import MailBounds, hash_mailbox, record_request

__all__ = ["MailBounds", "hash_mailbox", "record_request"]
