-- Who did what with an issue, and a second person's approval.

CREATE TABLE publishing.issue_step (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    issue_id bigint NOT NULL REFERENCES publishing.issue (id) ON DELETE CASCADE,
    at timestamptz NOT NULL DEFAULT now(),
    -- The subject of the identity, or 'schedule'.
    actor text NOT NULL,
    step text NOT NULL,
    -- The issue's version then.
    version bigint NOT NULL,
    note text NOT NULL DEFAULT '' CHECK (length(note) <= 2000)
);
CREATE INDEX issue_step_by_issue ON publishing.issue_step (issue_id, id);
-- Steps are added, never changed; they go with a draft that is deleted.
GRANT SELECT, INSERT ON publishing.issue_step TO broadsheet_publishing;

CREATE TABLE publishing.issue_approval (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    issue_id bigint NOT NULL REFERENCES publishing.issue (id) ON DELETE CASCADE,
    -- What was asked about; another version of the issue is not approved by it.
    version bigint NOT NULL,
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    request_note text NOT NULL DEFAULT '' CHECK (length(request_note) <= 2000),
    decided_by text,
    decided_at timestamptz,
    decision text CHECK (decision IN ('approved', 'refused')),
    decision_note text NOT NULL DEFAULT '' CHECK (length(decision_note) <= 2000),
    CHECK ((decision IS NULL) = (decided_by IS NULL) AND (decision IS NULL) = (decided_at IS NULL)),
    CHECK (decided_by IS NULL OR decided_by <> requested_by)
);
CREATE INDEX issue_approval_by_issue ON publishing.issue_approval (issue_id, id);
GRANT SELECT, INSERT, UPDATE, DELETE ON publishing.issue_approval TO broadsheet_publishing;
