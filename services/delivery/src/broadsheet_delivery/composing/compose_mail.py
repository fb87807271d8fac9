"""From a recipient and an issue, or a ready single mail, to the message for Postmark. No I/O."""

import uuid

import msgspec

from broadsheet_common.contracts.link_token import LinkSigner
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_common.mail.issue_mail import Reader, unsubscribe_headers
from broadsheet_common.mail.template_work import TemplateError, Work
from broadsheet_delivery.composing.issue_content import IssueContent, NewsletterContent, WelcomeContent
from broadsheet_delivery.composing.mail_sender import MailSender
from broadsheet_delivery.postmark.message import METADATA_ATTEMPT, METADATA_DELIVERY, METADATA_MAIL, Header, Message
from broadsheet_delivery.queue.outcome import Excluded, Failed
from broadsheet_delivery.queue.recipient import Recipient

DELIVERY_ID_SEPARATOR = "-"


def delivery_id(issue_id: int, seq: int) -> str:
    """The public id of a delivery: `<issue>-<seq>`."""
    return f"{issue_id}{DELIVERY_ID_SEPARATOR}{seq}"


def parse_delivery_id(text: str) -> tuple[int, int] | None:
    """Issue and sequence number of a delivery id, or None for something else."""
    issue, separator, seq = text.partition(DELIVERY_ID_SEPARATOR)
    if separator and issue.isdecimal() and seq.isdecimal():
        return int(issue), int(seq)
    return None


class Unrenderable(msgspec.Struct, frozen=True):
    """The issue's template cannot be rendered for this recipient, or would be too much work."""

    fault: str

    @property
    def outcome(self) -> Failed:
        return Failed(f"The issue could not be rendered for this recipient: {self.fault}")


class MailComposer:
    """Composes mails; holds what all of them have in common."""

    def __init__(self, *, public_url: str, signer: LinkSigner, sender: str, transactional_stream: str) -> None:
        self._public_url = public_url
        self._signer = signer
        self.own_sender = MailSender(from_=sender)
        self._transactional_stream = transactional_stream

    def newsletter_mail(
        self, content: IssueContent, recipient: Recipient, attempt: str, work: Work
    ) -> Message | Unrenderable | Excluded:
        """One issue for one confirmed subscriber: the message, or why there can be none. `attempt` is the call's id,
        as text for all of its mails; `work` is this mail's.
        """
        return self._mail_to_reader(
            content,
            recipient,
            work,
            issue_id=content.issue_id,
            tag=f"issue-{content.issue_id}",
            metadata={
                METADATA_DELIVERY: delivery_id(content.issue_id, recipient.seq),
                METADATA_ATTEMPT: attempt,
            },
        )

    def welcome_mail(
        self, content: WelcomeContent, recipient: Recipient, *, mail_id: int, attempt_id: uuid.UUID, work: Work
    ) -> Message | Unrenderable | Excluded:
        """As `newsletter_mail`, for the welcome mail."""
        return self._mail_to_reader(
            content,
            recipient,
            work,
            issue_id=None,
            tag=f"welcome-{content.newsletter_id}",
            metadata={METADATA_MAIL: str(mail_id), METADATA_ATTEMPT: str(attempt_id)},
        )

    def _mail_to_reader(
        self,
        content: NewsletterContent,
        recipient: Recipient,
        work: Work,
        *,
        issue_id: int | None,
        tag: str,
        metadata: dict[str, str],
    ) -> Message | Unrenderable | Excluded:
        """`issue_id`: of the issue that a reader who leaves by this mail leaves because of."""
        if recipient.email is None or recipient.subscription_id is None:
            return Excluded("The subscriber was erased.")
        try:
            address = EmailAddress.parse(recipient.email)
        except ValueError as error:
            return Excluded(f"The address is not valid: {error}")
        token = self._signer.sign("unsubscribe", recipient.subscription_id)
        because_of = "" if issue_id is None else f"{issue_id}~"
        unsubscribe_url = f"{self._public_url}/unsubscribe/{because_of}{token}"
        reader = Reader(
            name=recipient.name or "",
            email=address,
            tags=recipient.tags,
            attributes=recipient.attributes,
            unsubscribe_url=unsubscribe_url,
            # Whoever was forwarded the mail may leave for its reader, and have a link to the rest mailed to them.
            preferences_url=f"{unsubscribe_url}/choices",
        )
        try:
            mail = content.mail.render(reader, work)
        except TemplateError as error:
            return Unrenderable(str(error))
        return Message(
            from_=content.sender,
            reply_to=content.reply_to,
            to=str(address),
            subject=mail.subject,
            html_body=mail.html_body,
            text_body=mail.text_body,
            message_stream=content.stream,
            tag=tag,
            headers=self._newsletter_headers(content, unsubscribe_url),
            metadata=metadata,
            track_opens=content.track_opens,
            track_links=content.track_links,
        )

    def _newsletter_headers(self, content: NewsletterContent, unsubscribe_url: str) -> tuple[Header, ...]:
        if not content.adds_unsubscribe_headers:
            return content.shared_headers
        link, post = unsubscribe_headers(unsubscribe_url)
        return Header(*link), Header(*post), *content.shared_headers

    def single_mail(
        self,
        *,
        mail_id: int,
        sender: MailSender,
        to: str,
        subject: str,
        html_body: str | None,
        text_body: str,
        attempt_id: uuid.UUID,
    ) -> Message | Failed:
        """A ready mail for the transactional stream."""
        try:
            address = EmailAddress.parse(to)
        except ValueError as error:
            return Failed(f"The address is not valid: {error}")
        return Message(
            from_=sender.from_,
            reply_to=sender.reply_to,
            to=str(address),
            subject=subject,
            html_body=html_body,
            text_body=text_body,
            message_stream=self._transactional_stream,
            # RFC 3834: no vacation notice should answer it.
            headers=(Header("Auto-Submitted", "auto-generated"),),
            metadata={METADATA_MAIL: str(mail_id), METADATA_ATTEMPT: str(attempt_id)},
            # Its links are credentials.
            track_opens=False,
            track_links="None",
        )

    def canary_mail(self, *, to: str, stream: str, attempt_id: uuid.UUID) -> Message:
        """A mail of our own: when the search shows it, the search has caught up."""
        text = "This mail only tells Broadsheet that Postmark's message search is up to date."
        return Message(
            from_=self.own_sender.from_,
            to=to,
            subject="Broadsheet search check",
            html_body=f"<p>{text}</p>",
            text_body=text,
            message_stream=stream,
            headers=(Header("Auto-Submitted", "auto-generated"),),
            metadata={METADATA_ATTEMPT: str(attempt_id)},
            track_opens=False,
            track_links="None",
        )
