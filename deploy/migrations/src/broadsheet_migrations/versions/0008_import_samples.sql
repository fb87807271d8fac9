-- The first rows of an import's file, cut short. They are kept as long as the file: a spreadsheet would have to be
-- unpacked whole each time somebody looks.
CREATE TABLE subscriptions.import_sample (
    import_id bigint PRIMARY KEY REFERENCES subscriptions.import_job (id),
    first_rows jsonb NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON subscriptions.import_sample TO broadsheet_subscriptions;
