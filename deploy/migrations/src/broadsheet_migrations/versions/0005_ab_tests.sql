-- A/B tests. What an author wrote of one is part of the draft, as JSON that only the service reads; a published issue's
-- test has a row of its own.
ALTER TABLE publishing.issue ADD COLUMN ab_test text;
ALTER TABLE publishing.issue_revision ADD COLUMN ab_test text;

CREATE TABLE publishing.ab_test (
    issue_id bigint PRIMARY KEY REFERENCES publishing.issue (id),
    variant_count smallint NOT NULL CHECK (variant_count BETWEEN 2 AND 4),
    share_percent smallint NOT NULL CHECK (share_percent BETWEEN 1 AND 100),
    decide_by text NOT NULL CHECK (decide_by IN ('clicks', 'opens', 'hand')),
    sample_min integer NOT NULL CHECK (sample_min > 0),
    -- When to look at the figures, and when to decide even if the sample is too small. NULL: a person decides.
    look_at timestamptz,
    give_up_at timestamptz,
    decided_at timestamptz,
    winner smallint CHECK (winner BETWEEN 1 AND variant_count),
    reason text CHECK (reason IN ('rate', 'tie', 'too_few', 'by_hand', 'cancelled')),
    decided_by text,
    CHECK ((look_at IS NULL) = (give_up_at IS NULL)),
    CHECK ((decided_at IS NULL) = (reason IS NULL)),
    CHECK ((winner IS NULL) = (decided_at IS NULL OR reason = 'cancelled'))
);
CREATE INDEX ab_test_due ON publishing.ab_test (look_at) WHERE decided_at IS NULL AND look_at IS NOT NULL;
GRANT SELECT, INSERT, UPDATE, DELETE ON publishing.ab_test TO broadsheet_publishing;
