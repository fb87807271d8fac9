"""A list of all places where this service holds data about a person; pure.

What is listed here is exported and erased. A new table with personal data needs an entry; a test compares the
list with the database catalogue. Delivery's part is in `delivery.person_data` and `delivery.finish_erasure`.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

ErasedBy = Literal["the subscriber's row", "statement", "the number"]
""""the subscriber's row": the rows are deleted together with it. "statement": the rows do not refer to the
subscriber, and a statement of their own deletes them. "the number": the rows concern many people and stay. They
hold only the subscriber's number, which no longer leads to anybody and is never used again.
"""

_THEIR_SUBSCRIPTIONS = "SELECT id FROM subscriptions.subscription WHERE subscriber_id = :subscriber_id"


class PersonalRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of `table` (called `held` in `where`) about one person. `where` may use `:subscriber_id`; `:email_keys`,
    the keys of all addresses that the person has or had here; `:email_patterns`, which find these in a text (see
    `email_address.exact_pattern`); and `:mailbox_hashes` of their mailboxes.

    `columns` are exported. `withheld` columns are not, each for the reason given.
    """

    section: str
    table: str
    columns: tuple[str, ...]
    where: str
    order_by: str
    withheld: Mapping[str, str] = {}
    erased_by: ErasedBy = "the subscriber's row"


RECORDS: tuple[PersonalRecord, ...] = (
    PersonalRecord(
        section="subscriber",
        table="subscriptions.subscriber",
        columns=("id", "email", "name", "attributes", "tags", "created_at"),
        withheld={"email_key": "the address in lower case"},
        where="held.id = :subscriber_id",
        order_by="held.id",
    ),
    PersonalRecord(
        section="subscriptions",
        table="subscriptions.subscription",
        columns=(
            "id",
            "newsletter_id",
            "state",
            "created_at",
            "confirmation_queued_at",
            "confirmed_at",
            "unsubscribed_at",
            "provider_changed_at",
            "provider_unsubscribed_at",
            "import_id",
        ),
        withheld={"subscriber_id": "the subscriber's own number"},
        where="held.subscriber_id = :subscriber_id",
        order_by="held.id",
    ),
    PersonalRecord(
        section="consents",
        table="subscriptions.consent_event",
        columns=(
            "id",
            "newsletter_id",
            "kind",
            "occurred_at",
            "source",
            "actor",
            "ip",
            "user_agent",
            "form_url",
            "wording_version",
            "mail",
            "reason",
        ),
        withheld={"subscriber_id": "the subscriber's own number", "mail_key": "made of a credential"},
        where="held.subscriber_id = :subscriber_id",
        order_by="held.id",
    ),
    PersonalRecord(
        section="sign_up_mail_counts",
        table="subscriptions.mailbox_quota",
        columns=("window_began_at", "mails"),
        withheld={"mailbox_hash": "made of the address"},
        where="held.mailbox_hash = ANY (:mailbox_hashes)",
        order_by="held.window_began_at",
        erased_by="statement",
    ),
    PersonalRecord(
        section="audiences",
        table="subscriptions.audience_block",
        columns=("issue_id",),
        withheld={"block": "where the subscriber's number is kept", "members": "bits of thousands of people"},
        where="held.block = :subscriber_id / length(held.members)"
        " AND get_bit(held.members, CAST(:subscriber_id % length(held.members) AS integer)) = 1",
        order_by="held.issue_id",
        erased_by="the number",
    ),
    PersonalRecord(
        section="webhook_deliveries",
        table="subscriptions.webhook_delivery",
        columns=(
            "id",
            "endpoint_id",
            "type",
            "newsletter_id",
            "state",
            "source",
            "occurred_at",
            "created_at",
            "status",
            "settled_at",
        ),
        withheld={
            "subscriber_id": "the subscriber's own number",
            "message_id": "lets the receiver recognise copies",
            "run_at": "a place in a queue",
            "lease_token": "a place in a queue",
            "attempts_begun": "a place in a queue",
        },
        where="held.subscriber_id = :subscriber_id",
        order_by="held.id",
        erased_by="the number",
    ),
    PersonalRecord(
        section="webhook_attempts",
        table="subscriptions.webhook_attempt",
        columns=("delivery_id", "recorded_at", "duration_ms", "http_status", "error", "answer"),
        withheld={"id": "a line of a log"},
        where="held.delivery_id IN"
        " (SELECT id FROM subscriptions.webhook_delivery WHERE subscriber_id = :subscriber_id)",
        order_by="held.id",
        # A trigger on the subscriber's row (forget_webhooks) removes the answers, in which a receiver may have repeated
        # a name.
        erased_by="the number",
    ),
    PersonalRecord(
        section="confirmation_links",
        table="subscriptions.confirmation_token",
        columns=("subscription_id", "created_at", "expires_at", "used_at"),
        withheld={"token_hash": "a credential"},
        where=f"held.subscription_id IN ({_THEIR_SUBSCRIPTIONS})",
        order_by="held.created_at",
    ),
    PersonalRecord(
        section="preferences_links",
        table="subscriptions.preferences_link",
        columns=("created_at", "expires_at"),
        withheld={"token_hash": "a credential", "subscriber_id": "the subscriber's own number"},
        where="held.subscriber_id = :subscriber_id",
        order_by="held.created_at",
    ),
    PersonalRecord(
        section="address_changes",
        table="subscriptions.address_change",
        columns=("id", "old_email", "new_email", "requested_at", "expires_at", "confirmed_at"),
        withheld={
            "token_hash": "a credential",
            "subscriber_id": "the subscriber's own number",
            "old_email_key": "the address in lower case",
            "new_email_key": "the address in lower case",
        },
        where="held.subscriber_id = :subscriber_id",
        order_by="held.id",
    ),
    PersonalRecord(
        section="imports",
        table="subscriptions.import_person",
        columns=("import_id", "before", "after"),
        withheld={"subscriber_id": "the subscriber's own number"},
        where="held.subscriber_id = :subscriber_id",
        order_by="held.import_id",
    ),
    PersonalRecord(
        section="import_rejects",
        table="subscriptions.import_reject",
        columns=("import_id", "run_number", "record_number", "line_number", "email_key", "reason", "cells"),
        # Rejected rows that contain the address in any cell count too. They are kept only for days, so they are
        # scanned.
        where="(held.email_key = ANY (:email_keys) OR EXISTS (SELECT FROM unnest(:email_patterns) AS theirs,"
        " jsonb_array_elements_text(held.cells) AS cell WHERE lower(cell) ~ theirs))",
        order_by="held.import_id, held.run_number, held.record_number",
        erased_by="statement",
    ),
    PersonalRecord(
        section="import_checks",
        table="subscriptions.import_seen",
        columns=("import_id", "run_number"),
        withheld={"address_hash": "made of the address"},
        where="held.address_hash IN (SELECT CAST(md5(needle) AS uuid) FROM unnest(:email_keys) AS needle)",
        order_by="held.import_id, held.run_number",
        erased_by="statement",
    ),
    PersonalRecord(
        section="provider_changes",
        table="subscriptions.provider_change",
        columns=("kind", "email_key", "newsletter_ids", "occurred_at", "enqueued_at"),
        withheld={"id": "a place in a queue"},
        where="held.email_key = ANY (:email_keys)",
        order_by="held.id",
        erased_by="statement",
    ),
)
