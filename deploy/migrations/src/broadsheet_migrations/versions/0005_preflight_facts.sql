-- What delivery knows of a newsletter at Postmark, before anything of an issue is sent: whether its stream fits, and
-- whether mail from its sender was accepted. One row for each newsletter that somebody asked about.
CREATE TABLE delivery.preflight_fact (
    newsletter_id bigint PRIMARY KEY,
    requested_at timestamptz NOT NULL DEFAULT now(),
    -- What the answers below are about; NULL until the first check.
    checked_at timestamptz,
    message_stream text,
    unsubscribe_handling text,
    stream_state text CHECK (stream_state IN ('fits', 'mismatch', 'unknown')),
    stream_reason text,
    -- The address; empty for the service's own sender. Since when delivery has seen it on this newsletter: only calls
    -- that began later say anything about it.
    sender text,
    sender_since timestamptz,
    sender_state text CHECK (sender_state IN ('accepted', 'refused', 'unknown')),
    sender_reason text
);
GRANT SELECT, INSERT, UPDATE, DELETE ON delivery.preflight_fact TO broadsheet_delivery;

-- The newest issue of a newsletter says what became of its sender.
-- squawk-ignore require-concurrent-index-creation -- an installation has some thousand issues
CREATE INDEX issue_run_by_newsletter ON delivery.issue_run (newsletter_id, issue_id);

-- Asks for a fresh check; it is there within seconds. A newsletter that does not exist is passed over.
CREATE FUNCTION delivery.request_preflight(for_newsletter_id bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO delivery.preflight_fact AS fact (newsletter_id)
    SELECT letter.newsletter_id FROM publishing.published_newsletters AS letter
     WHERE letter.newsletter_id = for_newsletter_id
    ON CONFLICT (newsletter_id) DO UPDATE SET requested_at = now()
     -- One that waits already stays as it is, so that requests do not pile up as dead rows.
     WHERE fact.checked_at >= fact.requested_at;
END
$$;
REVOKE ALL ON FUNCTION delivery.request_preflight FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delivery.request_preflight TO broadsheet_publishing;

CREATE VIEW delivery.published_preflight AS
    SELECT newsletter_id, requested_at, checked_at, message_stream, unsubscribe_handling, stream_state, stream_reason,
           sender, sender_state, sender_reason
      FROM delivery.preflight_fact;
GRANT SELECT ON delivery.published_preflight TO broadsheet_publishing, broadsheet_delivery;
