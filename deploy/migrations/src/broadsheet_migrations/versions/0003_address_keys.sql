-- Address keys are ASCII in lower case, compared as bytes: in the same order in every database, whatever its collation.
-- So the index that keeps an address unique also finds prefixes and walks pages. All columns with keys change, because
-- an index helps only comparisons in its own collation. No row is rewritten; the indexes are built again.

-- Made again below as it was: a view keeps its column's type.
-- squawk-ignore ban-drop-view -- in the same transaction
DROP VIEW subscriptions.published_recipients;

-- squawk-ignore changing-column-type -- no row is rewritten; a few seconds a million rows, in which sign-ups wait
ALTER TABLE subscriptions.subscriber ALTER COLUMN email_key TYPE text COLLATE "C";
-- squawk-ignore changing-column-type -- rows that wait to be applied
ALTER TABLE subscriptions.provider_change ALTER COLUMN email_key TYPE text COLLATE "C";
-- squawk-ignore changing-column-type -- no row is rewritten
ALTER TABLE delivery.suppression ALTER COLUMN email_key TYPE text COLLATE "C";
-- squawk-ignore changing-column-type -- no row is rewritten, and no index has it yet
ALTER TABLE delivery.provider_event ALTER COLUMN email_key TYPE text COLLATE "C";
-- squawk-ignore changing-column-type -- as above; it is compared with keys in lower case
ALTER TABLE delivery.single_mail ALTER COLUMN to_email TYPE text COLLATE "C";

CREATE VIEW subscriptions.published_recipients AS
    SELECT s.newsletter_id, s.subscriber_id, s.id AS subscription_id, s.state, s.confirmed_at, p.email, p.email_key, p.name
      FROM subscriptions.subscription AS s
      JOIN subscriptions.subscriber AS p ON p.id = s.subscriber_id;
GRANT SELECT ON subscriptions.published_recipients TO broadsheet_delivery;
