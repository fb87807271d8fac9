-- What is known of a subscriber beside the address and the name.

-- The attributes that this installation has: a subscriber's `attributes` hold values of these alone.
CREATE TABLE subscriptions.attribute (
    name text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_]{0,62}$'),
    type text NOT NULL CHECK (type IN ('text', 'number', 'boolean', 'date')),
    label text NOT NULL CHECK (length(label) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE subscriptions.subscriber
    -- By attribute name: text as a string, number as a number, boolean as a boolean, date as 'YYYY-MM-DD'.
    ADD COLUMN attributes jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN tags text[] NOT NULL DEFAULT '{}';
GRANT SELECT, INSERT, UPDATE, DELETE ON subscriptions.attribute TO broadsheet_subscriptions;
