"""Messages after a redirect: fixed codes, so that a cookie cannot inject text."""

from enum import StrEnum
from types import MappingProxyType
from typing import Literal

from broadsheet_common.languages.catalogue import marked

FlashTone = Literal["success", "error", "notice"]


class FlashCode(StrEnum):
    """The value is what travels in the cookie."""

    NEWSLETTER_ACCEPTED = "newsletter-accepted"
    NO_RECIPIENTS = "no-recipients"
    DRAFT_SAVED = "draft-saved"
    DRAFT_DELETED = "draft-deleted"
    DRAFT_RESTORED = "draft-restored"
    NO_DRAFT_ANY_MORE = "no-draft-any-more"
    SCHEDULED_IS_NO_DRAFT = "scheduled-is-no-draft"
    ISSUE_PUBLISHED = "issue-published"
    TEST_MAIL_SENT = "test-mail-sent"
    ISSUE_SCHEDULED = "issue-scheduled"
    ISSUE_UNSCHEDULED = "issue-unscheduled"
    APPROVAL_ASKED = "approval-asked"
    APPROVAL_GIVEN = "approval-given"
    APPROVAL_REFUSED = "approval-refused"
    AUTHENTICATION_FAILED = "authentication-failed"
    TOO_MANY_ATTEMPTS = "too-many-attempts"
    LOGIN_REQUIRED = "login-required"
    LOGGED_OUT = "logged-out"
    PASSWORDS_DIFFER = "passwords-differ"
    PASSWORD_LENGTH = "password-length"  # noqa: S105 (a message code)
    CURRENT_PASSWORD_WRONG = "current-password-wrong"  # noqa: S105 (a message code)
    PASSWORD_CHANGED = "password-changed"  # noqa: S105 (a message code)
    PASSWORD_RESET = "password-reset"  # noqa: S105 (a message code)
    SESSION_ENDED = "session-ended"
    SESSION_OVER = "session-over"
    OTHER_SESSIONS_ENDED = "other-sessions-ended"
    PROOF_NEEDED = "proof-needed"
    USER_INVITED = "user-invited"
    INVITED_JUST_NOW = "invited-just-now"
    INVITED_IS_USER = "invited-is-user"
    INVITATION_OVER = "invitation-over"
    INVITATION_WITHDRAWN = "invitation-withdrawn"
    USER_CHANGED = "user-changed"
    USER_DEACTIVATED = "user-deactivated"
    USER_REACTIVATED = "user-reactivated"
    USER_SESSIONS_ENDED = "user-sessions-ended"
    USER_FACTOR_REMOVED = "user-factor-removed"
    REQUIREMENT_CHANGED = "requirement-changed"
    LAST_OWNER = "last-owner"
    ACCOUNT_MADE = "account-made"
    WELCOME = "welcome"
    EMAIL_CHANGE_MAILED = "email-change-mailed"
    SIGN_IN_OVER = "sign-in-over"
    TOO_MANY_CODES = "too-many-codes"
    PASSKEY_REFUSED = "passkey-refused"
    PASSKEY_ADDED = "passkey-added"
    PASSKEY_REMOVED = "passkey-removed"
    PASSKEY_GONE = "passkey-gone"
    LAST_WAY_IN = "last-way-in"
    TOO_MANY_PASSKEYS = "too-many-passkeys"
    USE_PASSKEY = "use-passkey"
    SECOND_FACTOR_THERE = "second-factor-there"
    SECOND_FACTOR_REMOVED = "second-factor-removed"
    SET_UP_OVER = "set-up-over"
    PROVIDER_LINKED = "provider-linked"
    PROVIDER_UNLINKED = "provider-unlinked"
    PROVIDER_ACCOUNT_TAKEN = "provider-account-taken"
    PROVIDER_IS_ONLY_WAY = "provider-is-only-way"
    FORM_OUT_OF_DATE = "form-out-of-date"
    UNAVAILABLE = "unavailable"
    LEFT = "left"
    LEFT_ALL = "left-all"
    NAME_CHANGED = "name-changed"
    ADDRESS_ASKED = "address-asked"
    ISSUE_PAUSED = "issue-paused"
    ISSUE_RESUMED = "issue-resumed"
    ISSUE_CANCELLED = "issue-cancelled"
    FAILED_RETRIED = "failed-retried"
    UNCERTAIN_DECIDED = "uncertain-decided"
    DELIVERY_DECIDED = "delivery-decided"
    WINNER_CHOSEN = "winner-chosen"
    ISSUE_IN_ARCHIVE = "issue-in-archive"
    ISSUE_OUT_OF_ARCHIVE = "issue-out-of-archive"
    ISSUE_DUPLICATED = "issue-duplicated"
    SENDING_PAUSED = "sending-paused"
    SENDING_RESUMED = "sending-resumed"
    LIMITS_CHANGED = "limits-changed"
    SUBSCRIBER_ADDED = "subscriber-added"
    SUBSCRIBER_CHANGED = "subscriber-changed"
    SUBSCRIBER_UNSUBSCRIBED = "subscriber-unsubscribed"
    CONFIRMATION_SENT_AGAIN = "confirmation-sent-again"
    SUBSCRIBER_ERASED = "subscriber-erased"
    SEGMENT_SAVED = "segment-saved"
    SEGMENT_DELETED = "segment-deleted"
    ATTRIBUTE_ADDED = "attribute-added"
    ATTRIBUTE_CHANGED = "attribute-changed"
    ATTRIBUTE_REMOVED = "attribute-removed"
    IMPORT_CANCELLED = "import-cancelled"
    ROWS_MENDED = "rows-mended"
    SUPPRESSION_ADDED = "suppression-added"
    SUPPRESSION_LIFTED = "suppression-lifted"
    COMPLAINT_STAYS = "complaint-stays"
    WEBHOOK_CHANGED = "webhook-changed"
    WEBHOOK_ENABLED = "webhook-enabled"
    WEBHOOK_DISABLED = "webhook-disabled"
    WEBHOOK_DELETED = "webhook-deleted"
    WEBHOOK_QUEUED = "webhook-queued"
    NEWSLETTER_CREATED = "newsletter-created"
    NEWSLETTER_SAVED = "newsletter-saved"
    NEWSLETTER_TEXTS_SAVED = "newsletter-texts-saved"
    NEWSLETTER_ARCHIVED = "newsletter-archived"
    NEWSLETTER_UNARCHIVED = "newsletter-unarchived"
    WELCOME_TEST_SENT = "welcome-test-sent"
    LAYOUT_SAVED = "layout-saved"
    LAYOUT_DELETED = "layout-deleted"
    KEY_RENAMED = "key-renamed"
    KEY_REVOKED = "key-revoked"


_FLASHES: MappingProxyType[FlashCode, tuple[FlashTone, str]] = MappingProxyType(
    {
        FlashCode.NEWSLETTER_ACCEPTED: (
            "success",
            "The newsletter issue has been accepted, emails will go out shortly.",
        ),
        FlashCode.NO_RECIPIENTS: (
            "notice",
            "Nothing was published: nobody has a confirmed subscription to this newsletter yet.",
        ),
        FlashCode.DRAFT_SAVED: ("success", "The draft is saved."),
        FlashCode.DRAFT_DELETED: ("success", "The draft is deleted."),
        FlashCode.DRAFT_RESTORED: ("success", "The draft is as it was then. The version before is in its revisions."),
        FlashCode.NO_DRAFT_ANY_MORE: ("notice", "This issue is no draft any more, so it cannot be changed."),
        FlashCode.SCHEDULED_IS_NO_DRAFT: (
            "notice",
            "The issue is scheduled. To change it, make it a draft again.",
        ),
        FlashCode.ISSUE_PUBLISHED: ("success", "The issue is published. This page shows how far it is sent."),
        FlashCode.TEST_MAIL_SENT: ("success", "The test mail is on its way."),
        FlashCode.ISSUE_SCHEDULED: ("success", "The issue is scheduled."),
        FlashCode.ISSUE_UNSCHEDULED: ("success", "The issue is a draft again."),
        FlashCode.APPROVAL_ASKED: ("success", "Approval is asked for. Somebody else decides."),
        FlashCode.APPROVAL_GIVEN: ("success", "The issue is approved as it is."),
        FlashCode.APPROVAL_REFUSED: ("success", "The issue is not approved. Its author sees your note."),
        FlashCode.AUTHENTICATION_FAILED: (
            "error",
            "Authentication failed. The user name, the e-mail address or the password is not right.",
        ),
        FlashCode.TOO_MANY_ATTEMPTS: ("error", "Too many attempts. Wait a minute, then try again."),
        FlashCode.LOGIN_REQUIRED: ("notice", "Log in to see that page."),
        FlashCode.LOGGED_OUT: ("success", "You have successfully logged out."),
        FlashCode.PASSWORDS_DIFFER: (
            "error",
            "You entered two different new passwords - the field values must match.",
        ),
        FlashCode.PASSWORD_LENGTH: ("error", "The new password must be between 12 and 128 characters long."),
        FlashCode.CURRENT_PASSWORD_WRONG: ("error", "The current password is incorrect."),
        FlashCode.PASSWORD_CHANGED: ("success", "Your password has been changed."),
        FlashCode.PASSWORD_RESET: ("success", "Your new password is set. Log in with it."),
        FlashCode.SESSION_ENDED: ("success", "That session has ended."),
        FlashCode.SESSION_OVER: ("notice", "That session was over already."),
        FlashCode.OTHER_SESSIONS_ENDED: ("success", "All your other sessions have ended."),
        FlashCode.PROOF_NEEDED: ("notice", "Nothing was changed yet. Confirm that it is you, then send it again."),
        FlashCode.USER_INVITED: ("success", "The invitation is on its way."),
        FlashCode.INVITED_JUST_NOW: ("error", "This address was mailed an invitation a moment ago. Wait a minute."),
        FlashCode.INVITED_IS_USER: ("error", "A user has this address already. Withdraw the invitation."),
        FlashCode.INVITATION_OVER: ("notice", "That invitation is not there any more."),
        FlashCode.INVITATION_WITHDRAWN: ("success", "The invitation is withdrawn. Its link opens nothing any more."),
        FlashCode.USER_CHANGED: ("success", "The changes are saved."),
        FlashCode.USER_DEACTIVATED: ("success", "The user is shut out: no sign-in, no session, no key."),
        FlashCode.USER_REACTIVATED: ("success", "The user may sign in again."),
        FlashCode.USER_SESSIONS_ENDED: ("success", "The user is signed out everywhere."),
        FlashCode.USER_FACTOR_REMOVED: (
            "success",
            "The second factor is removed, and the user is signed out.",
        ),
        FlashCode.REQUIREMENT_CHANGED: ("success", "Saved. It holds from everybody's next page on."),
        FlashCode.LAST_OWNER: ("error", "This is the last owner. Make somebody else an owner first."),
        FlashCode.ACCOUNT_MADE: ("success", "Your account is made. Log in with it."),
        FlashCode.WELCOME: ("success", "Your account is made, and you are signed in."),
        FlashCode.EMAIL_CHANGE_MAILED: (
            "notice",
            "Links are mailed. Your address is changed once they have been used.",
        ),
        FlashCode.SIGN_IN_OVER: ("notice", "That took too long, or the sign-in was used. Log in again."),
        FlashCode.TOO_MANY_CODES: ("error", "Too many wrong codes. Wait a quarter of an hour, then try again."),
        FlashCode.PASSKEY_REFUSED: ("error", "That passkey was not taken. Try again, or use your password."),
        FlashCode.PASSKEY_ADDED: ("success", "Your passkey is added. It signs you in without the password."),
        FlashCode.PASSKEY_REMOVED: ("success", "The passkey is removed. Your other sessions have ended."),
        FlashCode.PASSKEY_GONE: ("notice", "That passkey is not there any more."),
        FlashCode.LAST_WAY_IN: (
            "error",
            "This passkey is your only way in. Give your account an address first, so that a password can be set.",
        ),
        FlashCode.TOO_MANY_PASSKEYS: ("error", "You have 20 passkeys. Remove one first."),
        FlashCode.USE_PASSKEY: ("notice", "You have a passkey. Show it first."),
        FlashCode.SECOND_FACTOR_THERE: ("notice", "You have a second factor already. Remove it first."),
        FlashCode.SECOND_FACTOR_REMOVED: ("success", "Your second factor is removed. Your other sessions have ended."),
        FlashCode.SET_UP_OVER: ("notice", "That set-up is over. Begin again."),
        FlashCode.PROVIDER_LINKED: ("success", "Your user is linked. You can sign in with that account from now on."),
        FlashCode.PROVIDER_UNLINKED: ("success", "The link is ended. That account opens nothing here any more."),
        FlashCode.PROVIDER_ACCOUNT_TAKEN: (
            "error",
            "Nothing was changed: that account belongs to another user, or you are linked to another account.",
        ),
        FlashCode.PROVIDER_IS_ONLY_WAY: (
            "error",
            "You could not come in any more: you have no password, no passkey and no address. Add one of them first.",
        ),
        FlashCode.FORM_OUT_OF_DATE: (
            "error",
            "That form was out of date and nothing was changed. Send it again from this page.",
        ),
        FlashCode.UNAVAILABLE: (
            "error",
            "A service that this needs does not answer. Nothing was changed. Try again in a moment.",
        ),
        FlashCode.LEFT: ("success", marked("You have left that newsletter. No further issue of it is sent to you.")),
        FlashCode.LEFT_ALL: ("success", marked("You have left every newsletter. Nothing more is sent to you.")),
        FlashCode.NAME_CHANGED: ("success", marked("Your name has been changed.")),
        FlashCode.ADDRESS_ASKED: (
            "notice",
            marked("Check the new mailbox: a mail there asks you to confirm the address."),
        ),
        FlashCode.ISSUE_PAUSED: (
            "success",
            "The issue is paused. Calls under way end; nothing else of it is sent until you resume it.",
        ),
        FlashCode.ISSUE_RESUMED: ("success", "The issue goes on. Nobody who got it gets it again."),
        FlashCode.ISSUE_CANCELLED: ("success", "The issue is cancelled. What was under way may still arrive."),
        FlashCode.FAILED_RETRIED: ("success", "What had failed is sent again."),
        FlashCode.UNCERTAIN_DECIDED: ("success", "Your decision about the uncertain deliveries is recorded."),
        FlashCode.DELIVERY_DECIDED: ("success", "Your decision is recorded."),
        FlashCode.WINNER_CHOSEN: ("success", "The winner is chosen. Everybody who waits gets this version."),
        FlashCode.ISSUE_IN_ARCHIVE: ("success", "The issue is in the archive."),
        FlashCode.ISSUE_OUT_OF_ARCHIVE: ("success", "The issue is out of the archive. Mails that were sent stay."),
        FlashCode.ISSUE_DUPLICATED: ("success", "This is a new draft with the content of that issue."),
        FlashCode.SENDING_PAUSED: ("success", "All sending is paused. Calls under way end; nothing is lost."),
        FlashCode.SENDING_RESUMED: ("success", "Sending is resumed."),
        FlashCode.LIMITS_CHANGED: ("success", "The limits are in force."),
        FlashCode.SUBSCRIBER_ADDED: (
            "success",
            "Signed up. A mail is on its way to them. Whoever was known already keeps their name and tags.",
        ),
        FlashCode.SUBSCRIBER_CHANGED: ("success", "What is noted about this person is saved."),
        FlashCode.CONFIRMATION_SENT_AGAIN: (
            "success",
            "The mail that asks to confirm is queued once more. Its link is a new one; the ones before still work.",
        ),
        FlashCode.SUBSCRIBER_UNSUBSCRIBED: ("success", "Unsubscribed. Nothing more of it is sent to them."),
        FlashCode.SUBSCRIBER_ERASED: (
            "success",
            "Erased. Nothing is sent to them any more; the last traces go within seconds.",
        ),
        FlashCode.SEGMENT_SAVED: ("success", "The segment is saved."),
        FlashCode.SEGMENT_DELETED: ("success", "The segment is deleted."),
        FlashCode.ATTRIBUTE_ADDED: ("success", "The attribute is added."),
        FlashCode.ATTRIBUTE_CHANGED: ("success", "The label is changed."),
        FlashCode.ATTRIBUTE_REMOVED: (
            "success",
            "The attribute is removed. Its values are being removed in the background.",
        ),
        FlashCode.IMPORT_CANCELLED: ("success", "The import is cancelled."),
        FlashCode.ROWS_MENDED: (
            "success",
            "The corrected rows are an import of their own, which is checked now. Look at it, then start it.",
        ),
        FlashCode.SUPPRESSION_ADDED: ("success", "Nothing more is sent to that address."),
        FlashCode.SUPPRESSION_LIFTED: ("success", "The suppression is lifted. Postmark is being told."),
        FlashCode.COMPLAINT_STAYS: (
            "error",
            "That is a spam complaint. Postmark never lifts one, and neither does Broadsheet.",
        ),
        FlashCode.WEBHOOK_CHANGED: ("success", "The webhook is saved."),
        FlashCode.WEBHOOK_ENABLED: ("success", "The webhook is enabled. What waited is sent now."),
        FlashCode.WEBHOOK_DISABLED: ("success", "The webhook is disabled. Nothing new is queued for it."),
        FlashCode.WEBHOOK_DELETED: ("success", "The webhook is deleted."),
        FlashCode.WEBHOOK_QUEUED: ("notice", "It is sent in a moment. Its result is shown here."),
        FlashCode.NEWSLETTER_CREATED: ("success", "The newsletter is made. Here are all of its settings."),
        FlashCode.NEWSLETTER_SAVED: (
            "success",
            "The settings are saved. The public pages follow within seconds, mails with the next one sent.",
        ),
        FlashCode.NEWSLETTER_TEXTS_SAVED: (
            "success",
            "The words are saved. The public pages follow within seconds, mails with the next one sent.",
        ),
        FlashCode.NEWSLETTER_ARCHIVED: (
            "success",
            "The newsletter is archived: no more sign-ups, no more issues. You can take it back here.",
        ),
        FlashCode.NEWSLETTER_UNARCHIVED: ("success", "The newsletter takes sign-ups and can publish again."),
        FlashCode.WELCOME_TEST_SENT: ("success", "The test of the welcome mail is on its way."),
        FlashCode.LAYOUT_SAVED: (
            "success",
            "The layout is saved. Drafts are mailed with it; what is scheduled or sent stays as it was.",
        ),
        FlashCode.LAYOUT_DELETED: ("success", "The layout is deleted."),
        FlashCode.KEY_RENAMED: ("success", "The key has its new name."),
        FlashCode.KEY_REVOKED: ("success", "The key is revoked. It opens nothing any more within seconds."),
    }
)


def flash_text(code: FlashCode) -> str:
    return _FLASHES[code][1]


def flash_tone(code: FlashCode) -> FlashTone:
    return _FLASHES[code][0]
