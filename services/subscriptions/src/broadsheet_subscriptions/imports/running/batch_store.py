"""The SQL that turns a batch of rows into people: set by set, in the transaction that moves the lane's place.

New people are the usual case and take the short way: they are copied into a temporary table and inserted if their
address is new, each with a subscription. Only if somebody in the batch exists already are the others looked at
one by one. Everything is done in ascending order of addresses, so that no two imports deadlock.

An import never overrides a person's own decision: people who left or are suppressed are skipped, and confirmed
people stay confirmed. But a subscription that an import itself would make, or for which it still has to ask, ends
when any row says that the person left.
"""

import io
from collections.abc import Mapping
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_subscriptions.attributes.attribute import TAGS_MAX, AttributeType
from broadsheet_subscriptions.attributes.interface import hold_attributes
from broadsheet_subscriptions.imports.reading.frame import INCOMING_COLUMNS, REJECT_COLUMNS
from broadsheet_subscriptions.imports.store import AddedIds, Counts, ImportRow

_CREATE_INCOMING: Final = """
    CREATE TEMPORARY TABLE incoming (
        record_number bigint, is_repeat boolean, email text, email_key text COLLATE "C", name text, attributes jsonb,
        tags text[], state text, verdict text
    ) ON COMMIT DROP
"""
_CREATE_ADDED: Final = "CREATE TEMPORARY TABLE added (id bigint) ON COMMIT DROP"
_MARK_SUPPRESSED: Final = """
    UPDATE pg_temp.incoming SET verdict = 'suppressed'
      FROM publishing.published_newsletters AS newsletter
      JOIN delivery.published_suppressed AS suppressed USING (message_stream)
     WHERE newsletter.newsletter_id = :newsletter_id AND suppressed.email_key = incoming.email_key
"""
_ADD_PEOPLE: Final = """
    WITH person AS (
        INSERT INTO subscriptions.subscriber (email, email_key, name, attributes, tags)
        SELECT email, email_key, name, attributes, tags FROM pg_temp.incoming WHERE NOT is_repeat AND verdict IS NULL
        ON CONFLICT (email_key) DO NOTHING
        RETURNING id
    )
    INSERT INTO pg_temp.added SELECT id FROM person
"""
_ADD_THEIR_SUBSCRIPTIONS: Final = """
    INSERT INTO subscriptions.subscription
           (newsletter_id, subscriber_id, state, confirmed_at, unsubscribed_at, import_id)
    SELECT :newsletter_id, stated.id, stated.state, CASE stated.state WHEN 'confirmed' THEN now() END,
           CASE stated.state WHEN 'unsubscribed' THEN now() END, :import_id
      FROM ({stated}) AS stated
"""
_ALL_IN_ONE_STATE: Final = "SELECT id, CAST(:state AS text) AS state FROM pg_temp.added"
# OFFSET 0, here and below, keeps the planner from turning the look-ups into a hash join with all subscribers, which it
# would do while it has no statistics of them.
_ADDED_PEOPLE: Final = """
    SELECT added.id, person.email_key FROM pg_temp.added
     CROSS JOIN LATERAL (SELECT email_key FROM subscriptions.subscriber WHERE id = added.id OFFSET 0) AS person
"""
_EACH_IN_ITS_STATE: Final = f"""
    SELECT person.id, incoming.state FROM ({_ADDED_PEOPLE}) AS person JOIN pg_temp.incoming USING (email_key)
     WHERE NOT incoming.is_repeat
"""
_MARK_ADDED: Final = f"""
    UPDATE pg_temp.incoming SET verdict = CASE WHEN is_repeat THEN 'duplicate' ELSE 'created' END
      FROM ({_ADDED_PEOPLE}) AS person WHERE person.email_key = incoming.email_key AND incoming.verdict IS NULL
"""
# Any row of an address may say that its person left, but only the first row is stored, so the first gets that state.
_SPREAD_LEAVING: Final = """
    UPDATE pg_temp.incoming AS first SET state = 'unsubscribed'
      FROM pg_temp.incoming AS again
     WHERE again.is_repeat AND again.state = 'unsubscribed' AND NOT first.is_repeat AND first.state <> 'unsubscribed'
       AND first.email_key = again.email_key
"""
# Applies to people whom an earlier batch of this import added, and who have not acted since. The time is chosen such
# that undo regards them as untouched.
_LET_LEAVE: Final = """
    UPDATE subscriptions.subscription
       SET state = 'unsubscribed', unsubscribed_at = subscription.created_at, confirmation_queued_at = NULL
      FROM pg_temp.incoming
      CROSS JOIN LATERAL (
          SELECT id FROM subscriptions.subscriber WHERE subscriber.email_key = incoming.email_key OFFSET 0) AS person
     WHERE incoming.state = 'unsubscribed' AND subscription.subscriber_id = person.id
       AND subscription.newsletter_id = :newsletter_id AND subscription.import_id = :import_id
       AND (subscription.state = 'pending'
            OR (subscription.state = 'confirmed' AND subscription.confirmed_at = subscription.created_at))
"""
# The table is in the order of addresses, so the rows are locked in that order.
_LOCK_PRESENT: Final = """
    SELECT count(*) FROM pg_temp.incoming CROSS JOIN LATERAL (
        SELECT id FROM subscriptions.subscriber WHERE subscriber.email_key = incoming.email_key FOR UPDATE
    ) AS person
     WHERE incoming.verdict IS NULL AND NOT incoming.is_repeat
"""
_UNION_OF_TAGS: Final = """
    person.tags || ARRAY (SELECT tag FROM unnest(CAST(:added_tags AS text[])) AS tag WHERE tag <> ALL (person.tags))
"""
_CREATE_PRESENT: Final = f"""
    CREATE TEMPORARY TABLE present ON COMMIT DROP AS
    SELECT looked_at.*,
           CASE WHEN is_of_this_import THEN 'duplicate'
                WHEN state = 'unsubscribed' OR has_left_all THEN 'unsubscribed'
                WHEN is_repeat OR was_met THEN 'duplicate'
                WHEN cardinality(new_tags) > {TAGS_MAX} AND cardinality(new_tags) > cardinality(tags)
                THEN 'too_many_tags'
                WHEN changes_person OR subscription_id IS NULL OR (state = 'pending' AND given_state = 'confirmed')
                     OR leaves_unasked
                THEN 'updated'
                ELSE 'unchanged'
           END AS verdict,
           CASE WHEN subscription_id IS NULL THEN 'created'
                WHEN state = 'pending' AND given_state = 'confirmed' THEN 'confirmed'
                WHEN leaves_unasked THEN 'left'
           END AS subscription_change
      FROM (
        SELECT chosen.*,
               (new_name, new_attributes, new_tags) IS DISTINCT FROM (name, attributes, tags) AS changes_person
          FROM (
            SELECT incoming.record_number, incoming.is_repeat, incoming.state AS given_state,
                   person.id AS subscriber_id, person.name, person.attributes, person.tags,
                   held.id AS subscription_id, held.state,
                   coalesce(held.import_id = :import_id, false) AS is_of_this_import,
                   -- An earlier import has yet to ask them.
                   coalesce(incoming.state = 'unsubscribed' AND held.state = 'pending' AND held.import_id IS NOT NULL
                            AND held.confirmation_queued_at IS NULL, false) AS leaves_unasked,
                   held.id IS NULL AND others.has_left_all AS has_left_all,
                   met.subscriber_id IS NOT NULL AS was_met,
                   CASE WHEN incoming.name = '' OR :existing = 'skip' OR (:existing = 'fill' AND person.name <> '')
                        THEN person.name ELSE incoming.name END AS new_name,
                   CASE :existing WHEN 'skip' THEN person.attributes
                                  WHEN 'fill' THEN incoming.attributes || person.attributes
                                  ELSE person.attributes || incoming.attributes END AS new_attributes,
                   CASE WHEN (:existing = 'overwrite' AND NOT incoming.tags <@ CAST(:added_tags AS text[]))
                          OR (:existing = 'fill' AND person.tags = '{{}}')
                        THEN incoming.tags ELSE {_UNION_OF_TAGS} END AS new_tags
              FROM pg_temp.incoming
              CROSS JOIN LATERAL (
                  SELECT id, name, attributes, tags FROM subscriptions.subscriber
                   WHERE subscriber.email_key = incoming.email_key OFFSET 0) AS person
              LEFT JOIN LATERAL (
                  SELECT id, state, import_id, confirmation_queued_at FROM subscriptions.subscription
                   WHERE newsletter_id = :newsletter_id AND subscriber_id = person.id OFFSET 0) AS held ON true
              LEFT JOIN LATERAL (
                  SELECT bool_and(subscription.state = 'unsubscribed') AS has_left_all FROM subscriptions.subscription
                   WHERE held.id IS NULL AND subscription.subscriber_id = person.id) AS others ON true
              LEFT JOIN LATERAL (
                  SELECT import_person.subscriber_id FROM subscriptions.import_person
                   WHERE import_id = :import_id AND import_person.subscriber_id = person.id OFFSET 0) AS met ON true
             WHERE incoming.verdict IS NULL
          ) AS chosen
      ) AS looked_at
"""
_CHANGE_PEOPLE: Final = """
    UPDATE subscriptions.subscriber
       SET name = present.new_name, attributes = present.new_attributes, tags = present.new_tags
      FROM pg_temp.present
     WHERE subscriber.id = present.subscriber_id AND present.verdict = 'updated' AND present.changes_person
"""
_ADD_SUBSCRIPTIONS: Final = """
    INSERT INTO subscriptions.subscription
           (newsletter_id, subscriber_id, state, confirmed_at, unsubscribed_at, import_id)
    SELECT :newsletter_id, subscriber_id, given_state, CASE given_state WHEN 'confirmed' THEN now() END,
           CASE given_state WHEN 'unsubscribed' THEN now() END, :import_id
      FROM pg_temp.present WHERE verdict = 'updated' AND subscription_change = 'created'
    ON CONFLICT (newsletter_id, subscriber_id) DO NOTHING
"""
# Somebody who leaves at this moment is no longer pending, and stays unsubscribed.
_CONFIRM_SUBSCRIPTIONS: Final = """
    UPDATE subscriptions.subscription SET state = 'confirmed', confirmed_at = now(), import_id = :import_id
      FROM pg_temp.present
     WHERE subscription.id = present.subscription_id AND present.verdict = 'updated'
       AND present.subscription_change = 'confirmed' AND subscription.state = 'pending'
"""
_LEAVE_UNASKED: Final = """
    UPDATE subscriptions.subscription SET state = 'unsubscribed', unsubscribed_at = now()
      FROM pg_temp.present
     WHERE subscription.id = present.subscription_id AND present.verdict = 'updated'
       AND present.subscription_change = 'left' AND subscription.state = 'pending'
"""
_REMEMBER_PEOPLE: Final = """
    INSERT INTO subscriptions.import_person (import_id, subscriber_id, before, after)
    SELECT :import_id, subscriber_id,
           CASE verdict WHEN 'updated' THEN
               jsonb_strip_nulls(jsonb_build_object(
                   'name', CASE WHEN new_name <> name THEN name END,
                   'attributes', CASE WHEN new_attributes <> attributes THEN attributes END,
                   'tags', CASE WHEN new_tags <> tags THEN to_jsonb(tags) END))
           END,
           CASE verdict WHEN 'updated' THEN
               jsonb_strip_nulls(jsonb_build_object(
                   'name', CASE WHEN new_name <> name THEN new_name END,
                   'attributes', CASE WHEN new_attributes <> attributes THEN new_attributes END,
                   'tags', CASE WHEN new_tags <> tags THEN to_jsonb(new_tags) END,
                   'subscription', subscription_change))
           END
      FROM pg_temp.present WHERE verdict IN ('updated', 'unchanged')
"""
_COUNT: Final = """
    SELECT verdict, count(*) FROM (
        SELECT verdict FROM pg_temp.incoming WHERE verdict IS NOT NULL
         UNION ALL SELECT verdict FROM pg_temp.present
    ) AS judged GROUP BY verdict
"""
_MARK_SEEN: Final = """
    WITH new AS (
        INSERT INTO subscriptions.import_seen (import_id, run_number, address_hash)
        SELECT :import_id, :run_number, CAST(md5(email_key) AS uuid) FROM pg_temp.incoming WHERE NOT is_repeat
        ON CONFLICT DO NOTHING
        RETURNING address_hash
    )
    UPDATE pg_temp.incoming SET is_repeat = true
     WHERE NOT is_repeat AND CAST(md5(email_key) AS uuid) NOT IN (SELECT address_hash FROM new)
"""
_MARK_THE_REST: Final = """
    UPDATE pg_temp.incoming SET verdict = CASE WHEN is_repeat THEN 'duplicate' ELSE 'created' END
     WHERE verdict IS NULL AND record_number NOT IN (SELECT record_number FROM pg_temp.present)
"""


_FORGET_ATTRIBUTES: Final = """
    UPDATE pg_temp.incoming SET attributes = attributes - CAST(:names AS text[])
"""


class BatchChangedError(Exception):
    """Somebody in the batch was added or removed while it was judged. The batch must be repeated from its beginning."""


async def copy_batch(connection: AsyncConnection, *, rows: bytes, rejects: bytes, timeout_s: float) -> None:
    """Copies the lane's rows into a temporary table, and the rejected ones into the table of rejects."""
    # If a crash loses this commit, the lane's place is lost with it, so the batch is repeated.
    await connection.execute(sa.text("SET LOCAL synchronous_commit = off"))
    await connection.execute(sa.text(_CREATE_INCOMING))
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    if rows:
        await driver.copy_to_table(
            "incoming", source=io.BytesIO(rows), columns=INCOMING_COLUMNS, format="text", timeout=timeout_s
        )
    if rejects:
        await driver.copy_to_table(
            "import_reject",
            schema_name="subscriptions",
            source=io.BytesIO(rejects),
            columns=REJECT_COLUMNS,
            format="text",
            timeout=timeout_s,
        )


async def forget_removed_attributes(connection: AsyncConnection, types: Mapping[str, AttributeType]) -> None:
    """Drops attributes from the copied rows that were removed since the run began. The others cannot be removed
    before the transaction ends; otherwise their removal would miss these people.
    """
    held = await hold_attributes(connection, types)
    removed = [name for name, type_ in types.items() if held.get(name) != type_]
    if removed:
        await connection.execute(sa.text(_FORGET_ATTRIBUTES), {"names": removed})


async def find_added(connection: AsyncConnection) -> AddedIds | None:
    """The ids of the people whom `store_people` added; None: there are none."""
    result = await connection.execute(sa.text("SELECT min(id), max(id) FROM pg_temp.added"))
    first, last = result.one()
    return None if first is None else AddedIds(first, last)


async def store_people(connection: AsyncConnection, job: ImportRow, *, rows: int, has_states: bool) -> Counts:
    """Turns the copied rows into people. Raises `BatchChangedError`; the transaction must then be rolled back.

    `has_states`: the rows have their own states; otherwise all get the state that the import gives.
    """
    await connection.execute(sa.text(_CREATE_ADDED))
    of_job = {"newsletter_id": job.newsletter_id, "import_id": job.id}
    suppressed = await connection.execute(sa.text(_MARK_SUPPRESSED), {"newsletter_id": job.newsletter_id})
    if has_states:
        await connection.execute(sa.text(_SPREAD_LEAVING))
    added = await connection.execute(sa.text(_ADD_PEOPLE))
    stated, state = (_EACH_IN_ITS_STATE, {}) if has_states else (_ALL_IN_ONE_STATE, {"state": job.given_state})
    await connection.execute(sa.text(_ADD_THEIR_SUBSCRIPTIONS.format(stated=stated)), of_job | state)
    if suppressed.rowcount == 0 and added.rowcount == rows:
        return Counts(created=rows)
    await connection.execute(sa.text(_MARK_ADDED))
    await connection.execute(sa.text(_LOCK_PRESENT))
    await _judge_present(connection, job)
    # A temporary table has no statistics, so the planner would read all subscribers to change a few.
    await connection.execute(sa.text("SET LOCAL enable_seqscan = off"))
    await connection.execute(sa.text("SET LOCAL enable_mergejoin = off"))
    await connection.execute(sa.text(_CHANGE_PEOPLE))
    await connection.execute(sa.text(_ADD_SUBSCRIPTIONS), of_job)
    await connection.execute(sa.text(_CONFIRM_SUBSCRIPTIONS), {"import_id": job.id})
    if has_states:
        await connection.execute(sa.text(_LEAVE_UNASKED))
        await connection.execute(sa.text(_LET_LEAVE), of_job)
    await connection.execute(sa.text(_REMEMBER_PEOPLE), {"import_id": job.id})
    return await _count(connection, rows)


async def list_addresses(connection: AsyncConnection) -> list[str]:
    """The address keys of the copied rows."""
    rows = await connection.execute(
        sa.text("SELECT email_key FROM pg_temp.incoming WHERE NOT is_repeat ORDER BY email_key")
    )
    return list(rows.scalars())


async def judge_people(connection: AsyncConnection, job: ImportRow, *, rows: int) -> Counts:
    """Counts what `store_people` would do; changes no subscriber."""
    await connection.execute(sa.text(_MARK_SUPPRESSED), {"newsletter_id": job.newsletter_id})
    await connection.execute(sa.text(_SPREAD_LEAVING))
    await connection.execute(sa.text(_MARK_SEEN), {"import_id": job.id, "run_number": job.run_number})
    await _judge_present(connection, job)
    await connection.execute(sa.text(_MARK_THE_REST))
    return await _count(connection, rows)


async def _judge_present(connection: AsyncConnection, job: ImportRow) -> None:
    await connection.execute(
        sa.text(_CREATE_PRESENT).bindparams(
            sa.bindparam("added_tags", type_=ARRAY(sa.Text)), sa.bindparam("existing", type_=sa.Text)
        ),
        {
            "newsletter_id": job.newsletter_id,
            "import_id": job.id,
            "existing": job.existing,
            "added_tags": job.added_tags,
        },
    )


async def _count(connection: AsyncConnection, rows: int) -> Counts:
    result = await connection.execute(sa.text(_COUNT))
    counts = Counts(**{str(verdict): int(number) for verdict, number in result})
    if counts.rows != rows:
        raise BatchChangedError
    return counts
