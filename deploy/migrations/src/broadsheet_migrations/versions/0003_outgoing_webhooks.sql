-- TODO outgoing_webhooks
SELECT 1;
