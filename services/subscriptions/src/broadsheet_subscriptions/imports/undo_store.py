"""The SQL of undoing an import: one batch at a time, in the order of subscribers' ids.

For a person who was a subscriber before, each value is restored that is still as the import left it. A person who
was added by the import is removed, unless something has happened to them since. Somebody who has left since
stays, as the record of having left.
"""

from datetime import date
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_subscriptions.attributes.interface import attribute_types, hold_attributes
from broadsheet_subscriptions.imports.store import ImportRow

# As the import made it, and not changed since. A confirmation mail that was sent meanwhile does not count as a change.
_UNTOUCHED: Final = """
    subscription.import_id = :import_id AND subscription.provider_changed_at IS NULL
    AND CASE subscription.state
        WHEN 'confirmed' THEN subscription.confirmed_at = subscription.created_at
        WHEN 'unsubscribed' THEN subscription.unsubscribed_at = subscription.created_at
        ELSE true END
"""


# Locks people in the same order as imports do.
_IN_ORDER_OF_ADDRESSES: Final = """
    SELECT picked.* FROM picked JOIN subscriptions.subscriber ON subscriber.id = picked.subscriber_id
     ORDER BY subscriber.email_key
"""


_BY_DAY: Final = """
    coalesce((SELECT jsonb_object_agg(day, people) FROM (
        SELECT CAST(confirmed_at AT TIME ZONE 'UTC' AS date) AS day, count(*) AS people FROM ({}) AS gone
         WHERE state = 'confirmed' GROUP BY 1
    ) AS days), jsonb_build_object())
"""


class UndoStep(msgspec.Struct, frozen=True):
    """`last_id` None: nobody is left to look at. `unsubscribed`: how many were subscribers because of the import and
    are none any more, by the day (UTC) on which it confirmed them.
    """

    last_id: int | None
    undone: int
    kept: dict[str, int]
    unsubscribed: dict[date, int]


async def restore_people(connection: AsyncConnection, job: ImportRow, *, limit: int) -> UndoStep:
    """Restores people who were subscribers before: each changed value that has not changed again."""
    # No attribute can be removed until this is stored. Otherwise its removal would miss the restored values.
    await hold_attributes(connection, await attribute_types(connection))
    result = await connection.execute(
        sa.text(f"""
            WITH picked AS MATERIALIZED (
                SELECT subscriber_id, before, after FROM subscriptions.import_person
                 WHERE import_id = :import_id AND subscriber_id > :after_id ORDER BY subscriber_id LIMIT :limit
            ), in_order AS MATERIALIZED (
                {_IN_ORDER_OF_ADDRESSES}
            ), locked AS MATERIALIZED (
                SELECT person.id, person.name, person.attributes, person.tags, in_order.before, in_order.after
                  FROM in_order
                  CROSS JOIN LATERAL (
                      SELECT id, name, attributes, tags FROM subscriptions.subscriber
                       WHERE id = in_order.subscriber_id FOR UPDATE) AS person
                 WHERE in_order.after IS NOT NULL
            ), judged AS MATERIALIZED (
                SELECT locked.*,
                       -- An attribute that was removed meanwhile does not come back, even if a new one has its name.
                       (SELECT coalesce(jsonb_object_agg(held.key, held.value), '{{}}')
                          FROM jsonb_each(before -> 'attributes') AS held
                          JOIN subscriptions.attribute ON attribute.name = held.key
                         WHERE attribute.removed_at IS NULL AND attribute.created_at <= :finished_at
                       ) AS kept_attributes,
                       after ? 'name' AND after ->> 'name' = name AS name_goes_back,
                       after ? 'attributes' AND after -> 'attributes' = attributes AS attributes_go_back,
                       after ? 'tags' AND after -> 'tags' = to_jsonb(tags) AS tags_go_back
                  FROM locked
            ), restored AS (
                UPDATE subscriptions.subscriber AS person
                   SET name = CASE WHEN name_goes_back THEN judged.before ->> 'name' ELSE person.name END,
                       attributes = CASE WHEN attributes_go_back THEN judged.kept_attributes
                                         ELSE person.attributes END,
                       tags = CASE WHEN tags_go_back
                                   THEN ARRAY (SELECT jsonb_array_elements_text(judged.before -> 'tags'))
                                   ELSE person.tags END
                  FROM judged
                 WHERE person.id = judged.id AND (name_goes_back OR attributes_go_back OR tags_go_back)
                RETURNING person.id
            ), removed AS (
                DELETE FROM subscriptions.subscription
                 USING judged
                 WHERE subscription.subscriber_id = judged.id AND subscription.newsletter_id = :newsletter_id
                   AND judged.after ->> 'subscription' = 'created' AND {_UNTOUCHED}
                RETURNING subscription.subscriber_id, subscription.state, subscription.confirmed_at
            ), unconfirmed AS (
                UPDATE subscriptions.subscription
                   SET state = 'pending', confirmed_at = NULL, import_id = NULL
                  FROM judged
                  JOIN subscriptions.subscription AS was
                    ON was.subscriber_id = judged.id AND was.newsletter_id = :newsletter_id
                 WHERE subscription.id = was.id
                   AND judged.after ->> 'subscription' = 'confirmed' AND subscription.import_id = :import_id
                   AND subscription.state = 'confirmed' AND subscription.provider_changed_at IS NULL
                RETURNING subscription.subscriber_id, was.state, was.confirmed_at
            ), told AS (
                SELECT judged.id,
                       judged.id IN (SELECT id FROM restored)
                       OR judged.id IN (SELECT subscriber_id FROM removed)
                       OR judged.id IN (SELECT subscriber_id FROM unconfirmed) AS is_undone,
                       (after ? 'name' AND NOT name_goes_back) OR (after ? 'attributes' AND NOT attributes_go_back)
                       OR (after ? 'tags' AND NOT tags_go_back) AS has_changed,
                       after ? 'subscription' AND judged.id NOT IN (SELECT subscriber_id FROM removed)
                       AND judged.id NOT IN (SELECT subscriber_id FROM unconfirmed) AS subscription_has_changed
                  FROM judged
            )
            SELECT (SELECT max(subscriber_id) FROM picked) AS last_id,
                   (SELECT count(*) FROM told WHERE is_undone) AS undone,
                   (SELECT count(*) FROM told WHERE has_changed) AS changed_since,
                   (SELECT count(*) FROM told WHERE subscription_has_changed) AS subscription_changed_since,
                   {
            _BY_DAY.format(
                "SELECT state, confirmed_at FROM removed UNION ALL SELECT state, confirmed_at FROM unconfirmed"
            )
        } AS unsubscribed
        """).columns(unsubscribed=JSONB),
        _parameters(job, limit) | {"finished_at": job.finished_at},
    )
    row = result.one()
    kept = {"changed_since": row.changed_since, "subscription_changed_since": row.subscription_changed_since}
    return UndoStep(row.last_id, row.undone, kept, _by_day(row.unsubscribed))


async def remove_people(connection: AsyncConnection, job: ImportRow, *, limit: int) -> UndoStep:
    """Removes people whom the import added, unless something has happened to them since.

    They are searched for in the range of ids that its lanes added, `limit` ids at a time.
    """
    result = await connection.execute(
        sa.text(f"""
            WITH lane AS MATERIALIZED (
                SELECT min(first_added_id) AS first_id, max(last_added_id) AS last_id
                  FROM subscriptions.import_lane WHERE import_id = :import_id
            ), stretch AS MATERIALIZED (
                SELECT greatest(first_id, :after_id + 1) AS from_id,
                       least(last_id, greatest(first_id, :after_id + 1) + :limit - 1) AS to_id
                  FROM lane WHERE last_id > :after_id
            ), picked AS MATERIALIZED (
                SELECT one.subscriber_id FROM stretch
                 CROSS JOIN generate_series(from_id, to_id) AS one (subscriber_id)
                 CROSS JOIN LATERAL (
                     SELECT import_id FROM subscriptions.subscription
                      WHERE subscriber_id = one.subscriber_id AND newsletter_id = :newsletter_id OFFSET 0) AS held
                 WHERE held.import_id = :import_id
            ), in_order AS MATERIALIZED (
                {_IN_ORDER_OF_ADDRESSES}
            ), locked AS MATERIALIZED (
                SELECT person.id FROM in_order
                CROSS JOIN LATERAL (
                    SELECT id FROM subscriptions.subscriber WHERE id = in_order.subscriber_id FOR UPDATE) AS person
                 WHERE NOT EXISTS (
                     SELECT FROM subscriptions.import_person
                      WHERE import_person.import_id = :import_id AND import_person.subscriber_id = person.id)
            ), judged AS MATERIALIZED (
                SELECT locked.id,
                       CASE WHEN NOT ({_UNTOUCHED}) THEN
                                CASE subscription.state WHEN 'unsubscribed' THEN 'left_since'
                                                        ELSE 'subscription_changed_since' END
                            WHEN EXISTS (
                                SELECT FROM subscriptions.subscription AS other
                                 WHERE other.subscriber_id = locked.id AND other.newsletter_id <> :newsletter_id)
                            THEN 'has_another_subscription'
                            WHEN EXISTS (
                                SELECT FROM subscriptions.import_person AS later WHERE later.subscriber_id = locked.id)
                            THEN 'in_a_later_import'
                       END AS reason
                  FROM locked
                  JOIN subscriptions.subscription
                    ON subscription.subscriber_id = locked.id AND subscription.newsletter_id = :newsletter_id
            ), unsubscribed AS (
                -- Some keep their subscription to another newsletter, and lose this one. Of those who are removed it
                -- goes in the same statement, so that triggers see them at once and not one by one.
                DELETE FROM subscriptions.subscription USING judged
                 WHERE subscription.subscriber_id = judged.id AND subscription.newsletter_id = :newsletter_id
                   AND (judged.reason IS NULL OR judged.reason = 'has_another_subscription')
                RETURNING subscription.state, subscription.confirmed_at
            ), removed AS (
                DELETE FROM subscriptions.subscriber USING judged
                 WHERE subscriber.id = judged.id AND judged.reason IS NULL
                RETURNING subscriber.id
            )
            SELECT (SELECT to_id FROM stretch) AS last_id,
                   (SELECT count(*) FROM removed) AS undone,
                   coalesce((SELECT jsonb_object_agg(reason, people) FROM (
                       SELECT reason, count(*) AS people FROM judged WHERE reason IS NOT NULL GROUP BY reason
                   ) AS reasons), '{{}}') AS kept,
                   {_BY_DAY.format("SELECT state, confirmed_at FROM unsubscribed")} AS unsubscribed
        """).columns(kept=JSONB, unsubscribed=JSONB),
        _parameters(job, limit),
    )
    row = result.one()
    return UndoStep(row.last_id, row.undone, row.kept, _by_day(row.unsubscribed))


def _by_day(found: dict[str, int]) -> dict[date, int]:
    return {date.fromisoformat(day): people for day, people in found.items()}


def _parameters(job: ImportRow, limit: int) -> dict[str, object]:
    return {
        "import_id": job.id,
        "newsletter_id": job.newsletter_id,
        "after_id": job.undo_after_id,
        "limit": limit,
    }


async def move_undo(
    connection: AsyncConnection,
    job: ImportRow,
    *,
    step: str,
    after_id: int,
    restored: int,
    removed: int,
    kept: dict[str, int],
) -> None:
    """Called in the transaction that undoes everything before this place."""
    await connection.execute(
        sa.text("""
            UPDATE subscriptions.import_job
               SET undo_step = :step, undo_after_id = :after_id, undo_restored = undo_restored + :restored,
                   undo_removed = undo_removed + :removed, undo_kept = :kept
             WHERE id = :import_id
        """).bindparams(sa.bindparam("kept", type_=JSONB)),
        {
            "import_id": job.id,
            "step": step,
            "after_id": after_id,
            "restored": restored,
            "removed": removed,
            "kept": kept,
        },
    )
