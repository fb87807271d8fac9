"""What the contents of issues and of welcome mails have in common: the newsletter's fields, and how they are kept."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Generic, TypeVar

import sqlalchemy as sa

from broadsheet_common.mail.issue_mail import IssueFacts, IssueMail, shared_headers
from broadsheet_delivery.composing.issue_content import ContentVersion, NewsletterContent
from broadsheet_delivery.composing.mail_sender import sender_of
from broadsheet_delivery.postmark.message import Header
from broadsheet_delivery.queue.recipient import UsedValues

Key = TypeVar("Key")
Content = TypeVar("Content", bound=NewsletterContent)


def facts_of(found: sa.Row[Any], *, published_at: datetime | None, web_url: str) -> IssueFacts:
    """`found` has the newsletter's columns that `store` selects."""
    return IssueFacts(
        newsletter_name=found.name,
        newsletter_slug=found.slug,
        postal_address=found.postal_address,
        published_at=published_at,
        web_url=web_url,
        tracks_links=found.track_links,
        language=found.language,
    )


def newsletter_fields(
    found: sa.Row[Any], mail: IssueMail, *, issue_id: int | None, default_sender: str, public_url: str
) -> dict[str, Any]:
    """The fields of `NewsletterContent`. `issue_id` None: of a welcome mail."""
    sender = sender_of(
        newsletter_id=found.newsletter_id,
        from_name=found.from_name,
        from_email=found.from_email,
        reply_to=found.reply_to,
        default_sender=default_sender,
    )
    headers = shared_headers(issue_id=issue_id, newsletter_slug=found.slug, public_url=public_url)
    return {
        "newsletter_id": found.newsletter_id,
        "version": ContentVersion(found.content_version, found.sender_version),
        "mail": mail,
        "used": UsedValues(tags=mail.uses_tags, attributes=tuple(sorted(mail.attributes))),
        "shared_headers": tuple(Header(name, value) for name, value in headers),
        "sender": sender.from_,
        "reply_to": sender.reply_to,
        "stream": found.message_stream,
        # Where Postmark handles unsubscribing it adds these headers itself, and ours would be doubled.
        "adds_unsubscribe_headers": found.unsubscribe_handling == "custom",
        "track_opens": found.track_opens,
        # A link in the plain text would be replaced by a long address of Postmark's.
        "track_links": "HtmlOnly" if found.track_links else "None",
    }


class KeptContents(Generic[Key, Content]):
    """At most `contents_max`, each as it was at its version; the least recently used is dropped first."""

    def __init__(self, contents_max: int) -> None:
        self._contents_max = contents_max
        self._kept: OrderedDict[Key, Content] = OrderedDict()

    async def get(
        self, key: Key, version: ContentVersion | None, load: Callable[[], Awaitable[Content | None]]
    ) -> Content | None:
        """The one that is kept if it is of this version; else what `load` returns, kept unless it is None."""
        content = self._kept.get(key)
        if content is None or content.version != version:
            content = await load()
            if content is None:
                return None
            self._kept[key] = content
            if len(self._kept) > self._contents_max:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return content
