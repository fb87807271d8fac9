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
        FlashCode.AUTHENTICATION_FAILED: ("error", "Authentication failed"),
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
            "Links are mailed. Your address is changed once they were used.",
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
    }
)


def flash_text(code: FlashCode) -> str:
    return _FLASHES[code][1]


def flash_tone(code: FlashCode) -> FlashTone:
    return _FLASHES[code][0]
