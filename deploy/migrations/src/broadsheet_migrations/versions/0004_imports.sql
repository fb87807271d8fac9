-- Imports: columns that may say who unsubscribed, notes on cells that were left out, and one normal form for all text.

ALTER TABLE subscriptions.import_job
    -- The number of the first record that is a person: titles, and what stands before them, are not.
    ADD COLUMN first_record bigint NOT NULL DEFAULT 1,
    -- Columns that may say who must not get mail, with the commonest words of their first cells. Nothing is stored
    -- before each is decided.
    ADD COLUMN undecided_columns jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN remarks text[] NOT NULL DEFAULT '{}';

-- Cells of a run that were left out, counted by column and reason. No cell's content is in it.
CREATE TABLE subscriptions.import_note (
    import_id bigint NOT NULL REFERENCES subscriptions.import_job (id),
    run_number integer NOT NULL,
    column_title text NOT NULL,
    reason text NOT NULL,
    cells bigint NOT NULL CHECK (cells > 0),
    lines bigint[] NOT NULL,
    PRIMARY KEY (import_id, run_number, column_title, reason)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON subscriptions.import_note TO broadsheet_subscriptions;

-- From here on all text comes in Unicode's normal form C. Rows that are not in it are few (text from macOS), and only
-- they are written: the rest of the table is read once, without a lock.
UPDATE subscriptions.subscriber SET name = normalize(name) WHERE name IS NOT NFC NORMALIZED;
UPDATE subscriptions.subscriber
   SET attributes = (
       SELECT jsonb_object_agg(key, CASE jsonb_typeof(value) WHEN 'string' THEN to_jsonb(normalize(value #>> '{}'))
                                                             ELSE value END)
         FROM jsonb_each(attributes))
 WHERE attributes::text IS NOT NFC NORMALIZED;
UPDATE subscriptions.subscriber
   SET tags = ARRAY (
       SELECT normalize(one.tag) FROM unnest(tags) WITH ORDINALITY AS one (tag, place)
        GROUP BY normalize(one.tag) ORDER BY min(one.place))
 WHERE array_to_string(tags, ' ') IS NOT NFC NORMALIZED;
