-- Somebody confirms a subscription while their address is suppressed: delivery is asked to lift the suppression, and
-- subscriptions can say why no issue comes.

-- Requests to lift a suppression because its owner confirmed again. By the suppression's number: no address is stored.
CREATE TABLE delivery.lift_request (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    suppression_id bigint NOT NULL,
    confirmed_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON delivery.lift_request TO broadsheet_delivery;

-- Does nothing for an address that is not suppressed on the streams of these newsletters.
CREATE FUNCTION delivery.enqueue_lift(email_key text, newsletter_ids bigint[], confirmed_at timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO delivery.lift_request (suppression_id, confirmed_at)
    SELECT kept.id, enqueue_lift.confirmed_at
      FROM delivery.suppression AS kept
     WHERE kept.email_key = enqueue_lift.email_key AND kept.active
       AND kept.message_stream IN (
           SELECT newsletter.message_stream FROM publishing.published_newsletters AS newsletter
            WHERE newsletter.newsletter_id = ANY (enqueue_lift.newsletter_ids));
END
$$;
REVOKE ALL ON FUNCTION delivery.enqueue_lift FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delivery.enqueue_lift TO broadsheet_subscriptions;

-- With the reason, so that subscribers can be told; columns are only added.
CREATE OR REPLACE VIEW delivery.published_suppressed AS
    SELECT message_stream, email_key, kind, origin, changed_at, tell_error AS postmark_refusal
      FROM delivery.suppression WHERE active;
