"""What the other folders may use of this one's stores."""

from broadsheet_publishing.newsletters.store import find_default_newsletter_id, find_newsletter

__all__ = ["find_default_newsletter_id", "find_newsletter"]
