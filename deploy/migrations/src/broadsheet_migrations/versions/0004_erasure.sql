-- As in 0003_leaving.sql, but for notes and details: they lose the very address, and none that only ends like it.
--
-- The rest of an erasure, as one transaction: no mail, event or reason names the person any more. Mails that wait are
-- not sent; one whose call is under way keeps its row, for its outcome is still to come, and nothing in it. Numbers,
-- outcomes and times stay: the accounts hang on them. Answers false when there is nothing to do.
CREATE OR REPLACE FUNCTION delivery.finish_erasure(for_erasure_id bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    asked delivery.erasure%ROWTYPE;
    -- What follows `exactly` is in email_address.exact_pattern too.
    exactly text;
    address constant text := '[^[:space:]@''"<>(),]+@[^[:space:]@''"<>(),]+';
BEGIN
    SELECT * INTO asked FROM delivery.erasure AS waiting
     WHERE waiting.id = for_erasure_id AND waiting.finished_at IS NULL FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    exactly := '(?<![a-z0-9._+%&!#$*?^`{|}~-])(?<![a-z0-9]'')'
               || regexp_replace(asked.email_key, '([^a-z0-9])', '\\\1', 'g') || '(?![a-z0-9_-])(?!\.[a-z0-9])';
    UPDATE delivery.single_mail AS mail
       SET to_email = '', subject = '', html_body = NULL, text_body = NULL,
           reason = CASE WHEN mail.settled_at IS NULL THEN 'The person was erased.'
                         ELSE regexp_replace(mail.reason, address, '[address]', 'g') END,
           status = CASE WHEN mail.status IN ('pending', 'leased') THEN 'excluded' ELSE mail.status END,
           settled_at = CASE WHEN mail.status IN ('pending', 'leased') THEN now() ELSE mail.settled_at END,
           lease_token = CASE WHEN mail.status = 'leased' THEN NULL ELSE mail.lease_token END,
           lease_until = CASE WHEN mail.status = 'leased' THEN NULL ELSE mail.lease_until END,
           -- One that turns out not to have gone out is not sent again.
           expires_at = CASE WHEN mail.settled_at IS NULL THEN now() ELSE mail.expires_at END
     WHERE lower(mail.to_email) = asked.email_key AND mail.id <= asked.mails_up_to;
    UPDATE delivery.provider_event AS event SET email_key = NULL
     WHERE event.email_key = asked.email_key AND event.id <= asked.events_up_to;
    WITH theirs AS MATERIALIZED (
        SELECT found.issue_id, found.seq FROM delivery.issue_run AS run
         CROSS JOIN LATERAL (
               SELECT one.issue_id, one.seq FROM delivery.delivery AS one
                WHERE one.issue_id = run.issue_id AND one.subscriber_id = asked.subscriber_id LIMIT 1
         ) AS found
    ), outcomes AS (
        UPDATE delivery.delivery_outcome AS said
           SET reason = regexp_replace(said.reason, address, '[address]', 'g')
          FROM theirs
         WHERE said.issue_id = theirs.issue_id AND said.seq = theirs.seq AND said.reason LIKE '%@%'
    ), earlier AS (
        UPDATE delivery.outcome_history AS said
           SET reason = regexp_replace(said.reason, address, '[address]', 'g')
          FROM theirs
         WHERE said.issue_id = theirs.issue_id AND said.seq = theirs.seq AND said.reason LIKE '%@%'
    )
    UPDATE delivery.single_mail AS said
       SET reason = regexp_replace(said.reason, address, '[address]', 'g')
      FROM theirs
     WHERE said.issue_id = theirs.issue_id AND said.seq = theirs.seq AND said.reason LIKE '%@%';
    -- Written since revision 0003 without addresses; older ones may name one.
    UPDATE delivery.send_attempt_end AS ended
       SET detail = regexp_replace(ended.detail, exactly, '[address]', 'gi')
     WHERE ended.detail ~* exactly;
    UPDATE delivery.operator_action AS decided
       SET note = regexp_replace(decided.note, exactly, '[address]', 'gi')
     WHERE decided.note ~* exactly;
    UPDATE delivery.erasure AS waiting SET email_key = NULL, finished_at = now() WHERE waiting.id = for_erasure_id;
    RETURN true;
END
$$;
