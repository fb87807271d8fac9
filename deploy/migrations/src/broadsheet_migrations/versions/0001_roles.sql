-- One login role for each service. Roles belong to the whole cluster, so they may exist already. Passwords are set at
-- deployment (broadsheet_migrations.roles), never here.
DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['broadsheet_subscriptions', 'broadsheet_publishing', 'broadsheet_delivery', 'broadsheet_gateway']
    LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE', role_name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- it is there, perhaps made by another database's migration at this very moment
        END;
    END LOOP;
END
$$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO broadsheet_subscriptions, broadsheet_publishing, broadsheet_delivery, broadsheet_gateway;
-- Readiness checks compare the schema's version with the one the code was written for.
GRANT SELECT ON public.alembic_version TO broadsheet_subscriptions, broadsheet_publishing, broadsheet_delivery, broadsheet_gateway;

CREATE SCHEMA subscriptions;
CREATE SCHEMA publishing;
CREATE SCHEMA delivery;
CREATE SCHEMA gateway;
GRANT USAGE ON SCHEMA subscriptions TO broadsheet_subscriptions;
GRANT USAGE ON SCHEMA publishing TO broadsheet_publishing;
GRANT USAGE ON SCHEMA delivery TO broadsheet_delivery;
GRANT USAGE ON SCHEMA gateway TO broadsheet_gateway;
