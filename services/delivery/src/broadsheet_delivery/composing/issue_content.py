"""The content of an issue's mails: the issue's own, and its newsletter's sender. Pure."""

import msgspec

from broadsheet_common.mail.issue_mail import IssueMail
from broadsheet_delivery.postmark.message import TrackLinks
from broadsheet_delivery.queue.recipient import UsedValues


class UnusableIssueError(Exception):
    """The issue's content cannot be turned into mails at all."""


class ContentVersion(msgspec.Struct, frozen=True):
    """The versions of an issue's content and its newsletter; the database counts their changes."""

    issue: int
    newsletter: int


class IssueContent(msgspec.Struct, frozen=True):
    """One variant of a published issue, ready to be rendered, as it and its newsletter were at `version`."""

    issue_id: int
    variant: int
    newsletter_id: int
    version: ContentVersion
    mail: IssueMail
    used: UsedValues
    newsletter_slug: str
    sender: str
    reply_to: str | None
    stream: str
    adds_unsubscribe_headers: bool
    track_opens: bool
    track_links: TrackLinks
