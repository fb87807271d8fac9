"""SQL that looks up the recipient of a delivery, the same in every query that needs it."""

from collections.abc import Sequence
from typing import Any

import msgspec

from broadsheet_common.mail.merge_fields import AttributeValue
from broadsheet_delivery.queue.recipient import Recipient, UsedValues

_attributes = msgspec.json.Decoder(dict[str, AttributeValue])

RECIPIENT_COLUMNS = """d.seq, d.subscriber_id, person.subscription_id, person.email, person.name, person.state,
                   suppression.reason AS suppression_reason"""
"""The columns of a recipient without tags and attributes; `d` is the delivery."""


def join_person(subscriber_id: str) -> str:
    """LEFT JOINs `person` (the subscription and its subscriber now) and `suppression`, by a column of the query.

    Takes the parameters `newsletter_id` and `stream`. People are looked up one by one (LATERAL … LIMIT 1): when the
    statistics date from before the issue was enqueued, the planner would join the whole newsletter for each chunk.
    """
    return f"""
              LEFT JOIN LATERAL (
                   SELECT * FROM subscriptions.published_recipients AS found
                    WHERE found.newsletter_id = :newsletter_id AND found.subscriber_id = {subscriber_id}
                    LIMIT 1
              ) AS person ON true
              LEFT JOIN LATERAL (
                   SELECT found.reason FROM delivery.suppression AS found
                    WHERE found.message_stream = :stream AND found.email_key = person.email_key
                      AND found.active
                    LIMIT 1
              ) AS suppression ON true
    """  # noqa: S608  # a column's name, from our own code


def merged_columns(used: UsedValues) -> str:
    """More columns of a recipient, of `join_merged`; none for an issue that uses nothing of them."""
    return ", merged.tags, merged.attributes" if used else ""


def join_merged(subscriber_id: str, used: UsedValues) -> str:
    """LEFT JOINs `merged`, by a column of the query; nothing for an issue that uses nothing of it.

    Takes `merged_parameters`. Only the attributes that the issue uses are read: a subscriber may have many.
    """
    if not used:
        return ""
    return f"""
              LEFT JOIN LATERAL (
                   SELECT CASE WHEN :uses_tags THEN found.tags END AS tags,
                          (SELECT CAST(jsonb_object_agg(used.name, found.attributes -> used.name) AS text)
                             FROM unnest(CAST(:used_attributes AS text[])) AS used (name)
                            WHERE jsonb_exists(found.attributes, used.name)) AS attributes
                     FROM subscriptions.published_merge_values AS found
                    WHERE found.subscriber_id = {subscriber_id}
                    LIMIT 1
              ) AS merged ON true
    """  # noqa: S608  # a column's name, from our own code


def merged_parameters(used: UsedValues) -> dict[str, object]:
    return {"uses_tags": used.tags, "used_attributes": list(used.attributes)} if used else {}


def to_recipient(row: Sequence[Any], used: UsedValues) -> Recipient:
    """From a row of `RECIPIENT_COLUMNS` and `merged_columns`."""
    if not used:
        return Recipient(*row)
    tags, attributes = row[-2:]
    return msgspec.structs.replace(
        Recipient(*row[:-2]),
        tags=tuple(tags or ()),
        attributes={} if attributes is None else _attributes.decode(attributes),
    )
