"""What was done, in words: of each action of the audit log, and of what it was done to. Pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from broadsheet_common.contracts.audit import AuditAction

ACTION_WORDS: Final[Mapping[AuditAction, str]] = MappingProxyType(
    {
        "user.signed_in": "Signed in",
        "user.sign_in_refused": "Was refused at the sign-in",
        "user.sign_in_limited": "Tried to sign in too often",
        "user.signed_out": "Signed out",
        "user.sessions_ended": "Ended sessions of {}",
        "user.reauthenticated": "Proved who they are once more",
        "user.reauthentication_refused": "Failed to prove who they are once more",
        "user.created": "Created {}",
        "user.changed": "Changed {}",
        "user.roles_changed": "Changed the roles of {}",
        "user.deactivated": "Deactivated {}",
        "user.reactivated": "Let {} in again",
        "user.invited": "Invited somebody to become a user",
        "user.invitation_accepted": "Accepted an invitation",
        "user.invitation_withdrawn": "Withdrew an invitation",
        "user.password_changed": "Changed the password of {}",
        "user.password_change_refused": "Was refused another password for {}",
        "user.password_reset_requested": "Asked for a link to set the password of {}",
        "user.password_reset": "Set the password of {} by a mailed link",
        "user.email_change_requested": "Asked for another address of {}",
        "user.email_changed": "Changed the address of {}",
        "user.second_factor_added": "Added a second factor to {}",
        "user.second_factor_removed": "Removed the second factor of {}",
        "user.recovery_codes_renewed": "Made new recovery codes for {}",
        "user.recovery_code_used": "Signed in with a recovery code",
        "user.passkey_added": "Added a passkey to {}",
        "user.passkey_removed": "Removed a passkey of {}",
        "user.provider_linked": "Linked {} with the sign-in provider",
        "user.provider_unlinked": "Took the link of {} with the sign-in provider away",
        "key.created": "Created {}",
        "key.changed": "Changed {}",
        "key.rotated": "Gave {} another secret",
        "key.revoked": "Revoked {}",
        "installation.changed": "Changed what is required of users",
        "audit.exported": "Downloaded the audit log",
        "newsletter.created": "Created {}",
        "newsletter.changed": "Changed the settings of {}",
        "newsletter.archived": "Archived {}",
        "newsletter.unarchived": "Took {} back from the archive",
        "newsletter.test_sent": "Sent a test of the welcome mail of {}",
        "layout.created": "Created {}",
        "layout.changed": "Changed {}",
        "layout.deleted": "Deleted {}",
        "issue.created": "Created {}",
        "issue.duplicated": "Made {} as a copy",
        "issue.changed": "Changed {}",
        "issue.restored": "Went back to an earlier version of {}",
        "issue.deleted": "Deleted {}",
        "issue.test_sent": "Sent a test of {}",
        "issue.approval_requested": "Asked for approval of {}",
        "issue.approved": "Approved {}",
        "issue.refused": "Refused to approve {}",
        "issue.published": "Published {}",
        "issue.scheduled": "Scheduled {}",
        "issue.unscheduled": "Took the schedule of {} back",
        "issue.withdrawn": "Made {} a draft again, as it could not be sent",
        "issue.cancelled": "Cancelled {}",
        "issue.winner_chosen": "Chose the winner of the A/B test of {}",
        "issue.archive_changed": "Put {} into the archive on the web, or took it out",
        "issue.paused": "Paused {}",
        "issue.resumed": "Resumed {}",
        "issue.failed_retried": "Had what failed of {} sent again",
        "issue.uncertain_decided": "Decided about all uncertain deliveries of {}",
        "delivery.decided": "Decided about {}",
        "senders.limited": "Changed the limits of all sending",
        "senders.paused": "Paused all sending",
        "senders.resumed": "Resumed all sending",
        "suppression.created": "Suppressed an address ({})",
        "suppression.lifted": "Lifted the suppression of an address ({})",
        "subscriber.created": "Signed up {}",
        "subscriber.changed": "Changed what is noted of {}",
        "subscriber.confirmation_sent_again": "Had the confirmation sent again to {}",
        "subscriber.unsubscribed": "Unsubscribed {}",
        "subscriber.exported": "Downloaded all data of {}",
        "subscriber.erased": "Erased {}",
        "subscribers.exported": "Downloaded a list of subscribers",
        "segment.created": "Created {}",
        "segment.changed": "Changed {}",
        "segment.deleted": "Deleted {}",
        "attribute.created": "Created {}",
        "attribute.changed": "Changed {}",
        "attribute.removed": "Removed {} and its values",
        "import.created": "Uploaded a file ({})",
        "import.checked": "Had {} checked again",
        "import.started": "Started {}",
        "import.cancelled": "Cancelled {}",
        "import.undone": "Undid {}",
        "webhook_endpoint.created": "Created {}",
        "webhook_endpoint.changed": "Changed {}",
        "webhook_endpoint.deleted": "Deleted {}",
        "webhook_endpoint.secret_rotated": "Gave {} another secret",
        "webhook_endpoint.test_sent": "Sent a test event to {}",
        "webhook_delivery.retried": "Had {} sent again",
    }
)
"""`{}` is the target; where there is none, the target is who did it, or nothing."""

KIND_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "user": "user",
        "key": "API key",
        "installation": "installation",
        "audit": "audit log",
        "newsletter": "newsletter",
        "layout": "layout",
        "issue": "issue",
        "delivery": "delivery",
        "senders": "sending",
        "suppression": "suppression",
        "subscriber": "subscriber",
        "subscribers": "list of subscribers",
        "segment": "segment",
        "attribute": "attribute",
        "import": "import",
        "webhook_endpoint": "webhook",
        "webhook_delivery": "webhook event",
    }
)
"""Of each kind of target: the word before the dot of its actions."""

_PATHS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "user": "/admin/users/",
        "key": "/admin/api-keys/",
        "newsletter": "/admin/settings/newsletters/",
        "layout": "/admin/settings/layouts/",
        "issue": "/admin/issues/",
        "delivery": "/admin/deliveries/",
        "subscriber": "/admin/subscribers/",
        "segment": "/admin/segments/",
        "attribute": "/admin/attributes/",
        "import": "/admin/imports/",
        "webhook_endpoint": "/admin/webhooks/",
    }
)

_ENDS: Final = frozenset({"deleted", "removed", "erased"})


def label_of(action: str) -> str:
    """Of any such entry, without its target: `Published an issue`. An action of a later version is its own label."""
    words = ACTION_WORDS.get(action)  # type: ignore[call-overload]  # any text
    kind = kind_words(action.partition(".")[0])
    # By sound, not by letter: a user, an issue.
    article = "an" if kind[:1].lower() in "aeiou" and not kind.startswith("user") else "a"
    return action if words is None else str(words).format(f"{article} {kind}")


def sentence_around_target(action: str) -> tuple[str, str] | None:
    """What stands before the target and after it; None: the sentence does not name it."""
    words = str(ACTION_WORDS.get(action, action))  # type: ignore[call-overload]  # any text
    before, found, after = words.partition("{}")
    return (before, after) if found else None


def kind_words(kind: str) -> str:
    return KIND_WORDS.get(kind, kind.replace("_", " "))


def path_of(action: str, target_id: str | None) -> str:
    """The page of what an action was done to; empty if it has none, or has none any more."""
    kind, _, verb = action.partition(".")
    found = _PATHS.get(kind)
    return "" if found is None or target_id is None or verb in _ENDS else f"{found}{target_id}"
