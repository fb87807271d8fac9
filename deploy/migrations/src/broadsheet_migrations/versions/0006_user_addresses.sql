-- The addresses of users, for publishing: test mails may go to them, as they do to confirmed subscribers. Each was set by
-- whoever runs the installation, or confirmed by a link in a mail.

CREATE VIEW gateway.published_user_addresses AS
    SELECT id AS user_id, email_key FROM gateway.user_account WHERE email_key IS NOT NULL AND deactivated_at IS NULL;

GRANT USAGE ON SCHEMA gateway TO broadsheet_publishing;
GRANT SELECT ON gateway.published_user_addresses TO broadsheet_publishing;
