-- Requests that are sent again get the first answer: delivery and the gateway keep answers too, as the others do.

CREATE TABLE delivery.idempotency_key (
    scope text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    status smallint,
    body bytea,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_key_expiry ON delivery.idempotency_key (expires_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON delivery.idempotency_key TO broadsheet_delivery;

CREATE TABLE gateway.idempotency_key (
    scope text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    status smallint,
    -- Without secrets: an answer that held one is not kept.
    body bytea,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_key_expiry ON gateway.idempotency_key (expires_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON gateway.idempotency_key TO broadsheet_gateway;
