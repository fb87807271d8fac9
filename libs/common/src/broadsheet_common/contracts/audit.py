"""The audit log's contract: what is recorded, by whom, and what an entry may say.

An entry is added in the transaction of the change, so neither exists without the other. It names people, subscribers
and content by id alone. `FIELDS` lists what `before` and `after` may hold; values are numbers, truth values, words of
the code, moments, and lists of these. Texts that somebody wrote, names, addresses and secrets have no place in it: of
such a field, `changed` says that it was changed.

What recipients do themselves (sign-ups, confirmations, one-click unsubscribes) is in the record of consent, not here,
and no entry is made for each recipient of an issue.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, get_args

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.identity import Identity
from broadsheet_common.process.tracing import current_trace

AuditAction = Literal[
    # Signing in. The target is the user, null if there is none of that name.
    "user.signed_in", "user.sign_in_refused", "user.sign_in_limited", "user.signed_out", "user.sessions_ended",
    "user.reauthenticated", "user.reauthentication_refused",
    # Users and how they prove who they are.
    "user.created", "user.changed", "user.roles_changed", "user.deactivated", "user.reactivated",
    "user.invited", "user.invitation_accepted", "user.invitation_withdrawn",
    "user.password_changed", "user.password_change_refused", "user.password_reset_requested", "user.password_reset",
    "user.email_change_requested", "user.email_changed",
    "user.second_factor_added", "user.second_factor_removed", "user.recovery_codes_renewed",
    "user.recovery_code_used", "user.passkey_added", "user.passkey_removed",
    "user.provider_linked", "user.provider_unlinked",
    "key.created", "key.changed", "key.rotated", "key.revoked",
    "installation.changed",
    "audit.exported",
    # What is written, and sent.
    "newsletter.created", "newsletter.changed", "newsletter.archived", "newsletter.unarchived", "newsletter.test_sent",
    "layout.created", "layout.changed", "layout.deleted",
    "issue.created", "issue.duplicated", "issue.changed", "issue.restored", "issue.deleted", "issue.test_sent",
    "issue.approval_requested", "issue.approved", "issue.refused",
    "issue.published", "issue.scheduled", "issue.unscheduled", "issue.withdrawn", "issue.cancelled",
    "issue.winner_chosen", "issue.archive_changed",
    "issue.paused", "issue.resumed", "issue.failed_retried", "issue.uncertain_decided",
    "delivery.decided",
    "senders.limited", "senders.paused", "senders.resumed",
    "suppression.created", "suppression.lifted",
    # Subscribers.
    "subscriber.created", "subscriber.changed", "subscriber.confirmation_sent_again", "subscriber.unsubscribed",
    "subscriber.exported", "subscriber.erased",
    "subscribers.exported",
    "segment.created", "segment.changed", "segment.deleted",
    "attribute.created", "attribute.changed", "attribute.removed",
    "import.created", "import.checked", "import.started", "import.cancelled", "import.undone",
    "webhook_endpoint.created", "webhook_endpoint.changed", "webhook_endpoint.deleted",
    "webhook_endpoint.secret_rotated", "webhook_endpoint.test_sent",
    "webhook_delivery.retried",
]  # fmt: skip
"""The word before the dot is the kind of the target."""

AUDIT_ACTIONS: Final[frozenset[AuditAction]] = frozenset(get_args(AuditAction))

FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "user": frozenset(
        {
            "changed", "reason", "limit", "method", "roles", "newsletter_ids", "is_active", "sessions", "passkey_id",
            "provider", "invitation_id", "requires_second_factor",
        }
    ),
    "key": frozenset({"changed", "user_id", "scopes", "newsletter_ids", "expires_at", "overlap_s", "is_active"}),
    "installation": frozenset({"changed", "requires_second_factor", "newsletter_ids"}),
    "audit": frozenset({"after_number", "since", "until", "action"}),
    "newsletter": frozenset(
        {
            "changed", "is_archived", "unsubscribe_handling", "direction", "layout_id", "is_listed", "has_archive",
            "archive_is_hidden", "track_opens", "track_links", "requires_approval", "welcome_is_enabled", "mails",
        }
    ),
    "layout": frozenset({"changed", "format"}),
    "issue": frozenset(
        {
            "changed", "version", "status", "segment_id", "layout_id", "format", "scheduled_for", "in_reader_time_zone",
            "duplicate_of", "restored_version", "in_archive", "winner", "reason", "mails", "state", "choice",
            "deliveries",
        }
    ),
    "delivery": frozenset({"choice", "issue_id"}),
    "senders": frozenset({"messages_per_s_max", "concurrent_calls_max"}),
    "suppression": frozenset({"kind", "is_active", "all_streams"}),
    "subscriber": frozenset({"changed", "is_new"}),
    "subscribers": frozenset({"format", "state"}),
    "segment": frozenset({"changed"}),
    "attribute": frozenset({"changed", "type"}),
    "import": frozenset({"status", "state", "existing", "dry_run"}),
    "webhook_endpoint": frozenset({"changed", "events", "newsletter_ids", "enabled", "overlap_s"}),
    "webhook_delivery": frozenset({"endpoint_id"}),
}  # fmt: skip
"""What `before` and `after` may hold, by the kind of the target. `changed` lists names of fields."""

LIST_ITEMS_MAX: Final = 100
_WORD: Final = re.compile(r"[A-Za-z0-9_.:+-]{1,64}")
_TARGET: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")

Detail = int | float | bool | str | Sequence[int] | Sequence[str] | None


class Actor(msgspec.Struct, frozen=True):
    """Who acts where there is no identity: `subject` is `user:<id>`, `key:<id>`, or one word for what acts by itself.
    `source`: the network address of the request.
    """

    subject: str
    person: str
    source: str | None = None

    @classmethod
    def of_user(cls, user_id: int, source: str | None) -> "Actor":
        return cls(f"user:{user_id}", f"user:{user_id}", source)

    @classmethod
    def stranger(cls, source: str | None) -> "Actor":
        """Who has not shown who they are: a sign-in that is refused."""
        return cls("public", "public", source)


By = Identity | Actor

BY_SCHEDULE: Final = Actor("schedule", "schedule")
"""What happens at its time, without anybody's request."""
BY_COMMAND: Final = Actor("command", "command")
"""Whoever may run the gateway's commands."""


async def record_audit(
    connection: AsyncConnection,
    by: By,
    action: AuditAction,
    target_id: int | str | None,
    *,
    newsletter_id: int | None = None,
    before: Mapping[str, Detail] | None = None,
    after: Mapping[str, Detail] | None = None,
) -> None:
    """In the transaction of the change. It costs one short statement, and waits for nobody.

    Raises:
        ValueError: a field that `FIELDS` does not allow, or a value that is no number, word or moment.
    """
    kind = action.partition(".")[0]
    await connection.execute(
        _RECORD,
        {
            "action": action,
            "actor": by.subject,
            "person": by.person,
            "source": by.source,
            "target_kind": kind,
            "target_id": _target(action, target_id),
            "newsletter_id": newsletter_id,
            "before": _checked(kind, before),
            "after": _checked(kind, after),
            "trace_id": current_trace().trace_id,
        },
    )


class NewEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One of several entries; see `record_audit`."""

    action: AuditAction
    target_id: int | str | None
    newsletter_id: int | None = None
    before: Mapping[str, Detail] | None = None
    after: Mapping[str, Detail] | None = None


async def record_audits(connection: AsyncConnection, by: By, entries: Sequence[NewEntry]) -> None:
    """As `record_audit` for each of them, in their order, in one statement. Raises what `record_audit` raises."""
    kinds = [entry.action.partition(".")[0] for entry in entries]
    await connection.execute(
        _RECORD_SEVERAL,
        {
            "actor": by.subject,
            "person": by.person,
            "source": by.source,
            "trace_id": current_trace().trace_id,
            "actions": [entry.action for entry in entries],
            "target_kinds": kinds,
            "target_ids": [_target(entry.action, entry.target_id) for entry in entries],
            "newsletter_ids": [entry.newsletter_id for entry in entries],
            "befores": [_as_json(_checked(kind, one.before)) for kind, one in zip(kinds, entries, strict=True)],
            "afters": [_as_json(_checked(kind, one.after)) for kind, one in zip(kinds, entries, strict=True)],
        },
    )


def _target(action: AuditAction, target_id: int | str | None) -> str | None:
    target = None if target_id is None else str(target_id)
    if target is not None and not _TARGET.fullmatch(target):
        raise ValueError(f"the target of {action} is no id")
    return target


def _as_json(details: dict[str, Detail] | None) -> str | None:
    return None if details is None else msgspec.json.encode(details).decode()


def changes(
    before: Mapping[str, object], after: Mapping[str, object], *, shown: Collection[str] = ()
) -> tuple[dict[str, Detail], dict[str, Detail]] | None:
    """What to record of a change: of the fields that differ, the values of those that are `shown`, and the names of the
    others as `changed`. None: nothing differs.
    """
    differ = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if not differ:
        return None
    values = [name for name in differ if name in shown]
    old = {name: _detail(before.get(name)) for name in values}
    new = {name: _detail(after.get(name)) for name in values}
    if others := [name for name in differ if name not in shown]:
        new["changed"] = others
    return old, new


def _detail(value: object) -> Detail:
    if isinstance(value, datetime):
        return moment(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple | frozenset | set):
        return sorted(value)
    raise ValueError(f"a {type(value).__name__} has no place in the audit log")


def moment(at: datetime) -> str:
    """A moment as entries hold it."""
    return at.isoformat(timespec="seconds")


def _checked(kind: str, given: Mapping[str, Detail] | None) -> dict[str, Detail] | None:
    if not given:
        return None
    foreign = given.keys() - FIELDS[kind]
    if foreign:
        raise ValueError(f"the audit log holds no {', '.join(sorted(foreign))} of {kind}")
    return {name: _checked_value(name, value) for name, value in given.items()}


def _checked_value(name: str, value: Detail) -> Detail:
    if isinstance(value, str):
        if not _WORD.fullmatch(value):
            # Without the text itself: an error may be logged.
            raise ValueError(f"the audit log takes words for {name}, no other text")
        return value
    if isinstance(value, Sequence):
        if len(value) > LIST_ITEMS_MAX:
            # The rest is in the record itself; the entry says that there is more.
            value = [*(str(item) for item in value[: LIST_ITEMS_MAX - 1]), "and_more"]
        for item in value:
            _checked_value(name, item)
        return list(value)  # type: ignore[return-value]  # of the one or the other
    return value


_RECORD: Final = sa.text("""
    SELECT audit.record(:action, :actor, :person, :source, :target_kind, :target_id, :newsletter_id, :before, :after,
                        :trace_id)
""").bindparams(
    *(
        sa.bindparam(name, type_=sa.Text)
        for name in ("action", "actor", "person", "source", "target_kind", "target_id", "trace_id")
    ),
    sa.bindparam("newsletter_id", type_=sa.BigInteger),
    sa.bindparam("before", type_=JSONB(none_as_null=True)),
    sa.bindparam("after", type_=JSONB(none_as_null=True)),
)

_RECORD_SEVERAL: Final = sa.text("""
    SELECT audit.record(one.action, :actor, :person, :source, one.target_kind, one.target_id, one.newsletter_id,
                        CAST(one.before AS jsonb), CAST(one.after AS jsonb), :trace_id)
      FROM (SELECT * FROM unnest(:actions, :target_kinds, :target_ids, :newsletter_ids, :befores, :afters)
                          WITH ORDINALITY
                       AS given (action, target_kind, target_id, newsletter_id, before, after, place)
             ORDER BY place) AS one
""").bindparams(
    *(sa.bindparam(name, type_=sa.Text) for name in ("actor", "person", "source", "trace_id")),
    sa.bindparam("newsletter_ids", type_=ARRAY(sa.BigInteger)),
    *(
        sa.bindparam(name, type_=ARRAY(sa.Text))
        for name in ("actions", "target_kinds", "target_ids", "befores", "afters")
    ),
)
