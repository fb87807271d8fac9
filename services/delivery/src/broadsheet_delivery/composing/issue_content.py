"""The content of an issue's mails: the issue's own, and its newsletter's sender. Pure."""

import msgspec

from broadsheet_common.mail.mail_body import HtmlBody, TextBody
from broadsheet_common.mail.mail_subject import Subject
from broadsheet_common.mail.merge_fields import MailValues
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
    title: Subject
    subject: Subject
    """The same object as `title` where the title is the subject."""
    html: HtmlBody | None
    """None: the mails are plain text only."""
    text: TextBody
    shared: MailValues
    """The values that all mails have; those of a recipient are empty."""
    used: UsedValues
    newsletter_slug: str
    sender: str
    reply_to: str | None
    stream: str
    adds_unsubscribe_headers: bool
    track_opens: bool
    track_links: TrackLinks
