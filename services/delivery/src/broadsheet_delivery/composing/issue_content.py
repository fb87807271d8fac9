"""The content of mails to readers: an issue's, or a welcome mail's, and the newsletter's sender. Pure."""

import msgspec

from broadsheet_common.mail.issue_mail import IssueMail
from broadsheet_delivery.postmark.message import Header, TrackLinks
from broadsheet_delivery.queue.recipient import UsedValues


class UnusableIssueError(Exception):
    """The issue's content cannot be turned into mails at all."""


class ContentVersion(msgspec.Struct, frozen=True):
    """The versions of an issue's content and its newsletter; the database counts their changes."""

    issue: int
    newsletter: int


class NewsletterContent(msgspec.Struct, frozen=True, kw_only=True):
    """A mail to the readers of a newsletter, ready to be rendered, as it and the newsletter were at `version`."""

    newsletter_id: int
    version: ContentVersion
    mail: IssueMail
    used: UsedValues
    shared_headers: tuple[Header, ...]
    sender: str
    reply_to: str | None
    stream: str
    adds_unsubscribe_headers: bool
    track_opens: bool
    track_links: TrackLinks


class IssueContent(NewsletterContent, frozen=True, kw_only=True):
    """One variant of a published issue."""

    issue_id: int
    variant: int


class WelcomeContent(NewsletterContent, frozen=True, kw_only=True):
    """What a newsletter mails to people when they have confirmed for the first time."""

    unsubscribe_handling: str
