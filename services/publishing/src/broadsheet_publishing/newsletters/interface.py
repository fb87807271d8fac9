"""What the other folders may use of this one's stores."""

from broadsheet_publishing.newsletters.store import (
    NewsletterRow,
    find_default_newsletter_id,
    find_newsletter,
    layout_exists,
)

__all__ = ["NewsletterRow", "find_default_newsletter_id", "find_newsletter", "layout_exists"]
