"""The content of an issue's mails: the issue's own, and its newsletter's sender. Pure."""

import msgspec

from broadsheet_common.mail.mail_body import HtmlBody, TextBody
from broadsheet_common.mail.mail_subject import Subject


class UnusableIssueError(Exception):
    """The issue's content cannot be turned into mails at all."""


class ContentVersion(msgspec.Struct, frozen=True):
    """The versions of an issue and its newsletter; the database counts their changes."""

    issue: int
    newsletter: int


class IssueContent(msgspec.Struct, frozen=True):
    """A published issue, ready to be rendered, as it and its newsletter were at `version`."""

    issue_id: int
    newsletter_id: int
    version: ContentVersion
    subject: Subject
    html: HtmlBody
    text: TextBody
    newsletter_name: str
    newsletter_slug: str
    sender: str
    reply_to: str | None
    stream: str
    adds_unsubscribe_headers: bool
