"""The tables of the schema `subscriptions`, as the migrations create them, one module per subject."""

from broadsheet_subscriptions.tables.consent import consent_event, mailbox_quota, unsettled_mail
from broadsheet_subscriptions.tables.core import (
    confirmation_token,
    idempotency_key,
    metadata,
    provider_change,
    subscriber,
    subscription,
)
from broadsheet_subscriptions.tables.growth import growth_day, growth_queue
from broadsheet_subscriptions.tables.jobs import (
    import_job,
    import_lane,
    import_mail_pace,
    import_note,
    import_person,
    import_piece,
    import_reject,
    import_sample,
    import_seen,
)
from broadsheet_subscriptions.tables.leaving import address_change, erasure, preferences_link
from broadsheet_subscriptions.tables.lists import attribute, audience, audience_block, segment, subscriber_tag
from broadsheet_subscriptions.tables.outgoing import (
    webhook_attempt,
    webhook_delivery,
    webhook_endpoint,
    webhook_secret,
)

__all__ = [
    "address_change",
    "attribute",
    "audience",
    "audience_block",
    "confirmation_token",
    "consent_event",
    "erasure",
    "growth_day",
    "growth_queue",
    "idempotency_key",
    "import_job",
    "import_lane",
    "import_mail_pace",
    "import_note",
    "import_person",
    "import_piece",
    "import_reject",
    "import_sample",
    "import_seen",
    "mailbox_quota",
    "metadata",
    "preferences_link",
    "provider_change",
    "segment",
    "subscriber",
    "subscriber_tag",
    "subscription",
    "unsettled_mail",
    "webhook_attempt",
    "webhook_delivery",
    "webhook_endpoint",
    "webhook_secret",
]
