"""What the mails of an issue are made of: its content and its newsletter's sender; pure."""

import msgspec

from broadsheet_common.mail import mail_template


class UnusableIssueError(Exception):
    """The issue's content cannot be turned into mails at all."""


class IssueContent(msgspec.Struct, frozen=True):
    """A published issue, ready to be rendered. Content never changes once published."""

    issue_id: int
    newsletter_id: int
    title: str
    html: mail_template.Template
    text: mail_template.Template
    html_has_unsubscribe: bool
    text_has_unsubscribe: bool
    newsletter_name: str
    newsletter_slug: str
    sender: str
    reply_to: str | None
    stream: str
    adds_unsubscribe_headers: bool
    postal_address: str
