"""The database itself keeps services apart. Each test tries to break that, as the role that a service logs in with."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from harness.cluster import Cluster, Database
from harness.seeding import Seed

SERVICES = ["subscriptions", "publishing", "delivery", "gateway"]
READS: dict[str, set[str]] = {
    "subscriptions": {
        "publishing.published_newsletters",
        "publishing.published_segment_uses",
        "delivery.published_sign_up_mails",
        "delivery.published_issue_engagement",
        "delivery.published_daily_engagement",
        "delivery.published_suppressed",
        "delivery.published_erasures",
        "delivery.published_erased_addresses",
    },
    "publishing": {
        "subscriptions.published_attributes",
        "subscriptions.published_recipients",
        "subscriptions.published_merge_values",
        "subscriptions.published_verified_addresses",
        "subscriptions.published_audience",
        "subscriptions.published_segments",
        "subscriptions.published_complete_audiences",
        "subscriptions.published_audience_blocks",
        "subscriptions.published_audience_requests",
        "subscriptions.published_segment_versions",
        "subscriptions.published_unconfirmed_counts",
        "subscriptions.published_erased_counts",
        "delivery.published_suppressed",
        "delivery.published_issue_progress",
        "delivery.published_preflight",
        "delivery.published_stream_checks",
        "delivery.published_runs",
        "delivery.published_variant_figures",
        "gateway.published_user_addresses",
        "subscriptions.published_time_zones",
    },
    "delivery": {
        "subscriptions.published_failing_webhooks",
        "subscriptions.published_imports_with_rejects",
        "subscriptions.published_recipients",
        "subscriptions.published_merge_values",
        "publishing.published_contents",
        "publishing.published_welcome_mails",
        "publishing.published_newsletters",
        "publishing.published_issues",
    },
    "gateway": set(),
}
"""What each service may read of the others'."""
CALLS: dict[str, set[str]] = {
    "subscriptions": {
        "enqueue_single_mail",
        "enqueue_single_mails",
        "enqueue_reader_mails",
        "enqueue_erasure",
        "enqueue_lift",
        "enter_addresses",
        "person_data",
        "enqueue_departure",
        "enqueue_welcome_mail",
    },
    "publishing": {
        "enqueue_single_mail",
        "enqueue_reader_mails",
        "open_issue_run",
        "enqueue_deliveries",
        "enqueue_part",
        "release_rest",
        "close_fan_out",
        "partition_issue",
        "cancel_issue",
        "request_audience",
        "request_audience_trial",
        "request_preflight",
        "request_stream_check",
        "release_audience",
    },
    "delivery": {
        "archive_failed_outcomes",
        "remove_issue_work",
        "remove_old_attempts",
        "remove_issue_outcomes",
        "remove_old_events",
        "enqueue_provider_change",
        "lock_addresses",
        "enter_addresses",
        "finish_erasure",
    },
    "gateway": {"enqueue_single_mail", "enqueue_provider_events"},
}
"""The queue's doors, and who may go through which."""
FACTS: dict[str, set[str]] = {
    "subscriptions": {"consent_event", "erasure"},
    "publishing": {"issue_step"},
    "delivery": {
        "delivery",
        "delivery_part_default",
        "delivery_outcome",
        "delivery_outcome_part_default",
        "send_attempt",
        "send_attempt_end",
        "operator_action",
        "provider_event",
    },
}
"""Append-only tables: their own service adds to them, and neither changes nor deletes what is there."""
READ_ONLY: dict[str, set[str]] = {"delivery": {"outcome_history", "departure"}, "subscriptions": {"subscriber_tag"}}
"""Tables that only a function with the owner's rights writes."""
TRIGGERS = {
    "refuse_unsettled_end",
    "queue_subscription_webhooks",
    "queue_provider_webhooks",
    "forget_webhooks_of_removed",
    "refuse_change_of_consent",
    "index_new_tags",
    "index_changed_tags",
    "enqueue_engagement",
    "enqueue_report_events",
    "count_growth",
    "count_bounced",
    "count_content_version",
    "count_sender_version",
    "count_compiled_version",
    "compile_as_written",
    "count_welcome_version",
    "outdate_welcome_mail",
    "take_html_content",
}
"""Functions that nobody calls."""
TRACE = f"00-{'1' * 32}-{'2' * 16}-01"


@pytest.fixture(scope="module")
def granted(cluster: Cluster) -> Iterator[Database]:
    """One database for all of them: every attempt is rolled back."""
    with cluster.database() as database:
        yield database


@contextmanager
def _as(database: Database, service: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.url_for(service)) as connection:
        yield connection
        connection.rollback()


def _attempt(connection: psycopg.Connection, statement: str) -> psycopg.Error | None:
    """Run it in a savepoint that is rolled back; answers what the server said against it."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement.encode())
    except psycopg.Error as error:
        return error
    return None


def _relations(database: Database, kinds: str) -> list[tuple[str, str]]:
    """Schema and name, from the catalogue, so that what is added later is covered."""
    with psycopg.connect(database.owner_url) as connection:
        rows = connection.execute(
            "SELECT nspname, relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
            "WHERE nspname = ANY(%s) AND relkind = ANY(%s) ORDER BY 1, 2",
            (SERVICES, list(kinds)),
        ).fetchall()
    return [(str(schema), str(name)) for schema, name in rows]


def _columns(database: Database, schema: str, name: str) -> list[str]:
    with psycopg.connect(database.owner_url) as connection:
        rows = connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped "
            "AND attgenerated = '' AND attidentity = '' ORDER BY attnum",
            (f"{schema}.{name}",),
        ).fetchall()
    return [str(column) for (column,) in rows]


def _writes(database: Database, schema: str, name: str) -> list[str]:
    column = _columns(database, schema, name)[-1]
    return [
        f"INSERT INTO {schema}.{name} DEFAULT VALUES",
        f"UPDATE {schema}.{name} SET {column} = {column} WHERE false",
        f"DELETE FROM {schema}.{name} WHERE false",
    ]


def test_the_catalogue_shows_tables_views_and_functions(granted: Database) -> None:
    """The tests below would pass on nothing at all."""
    assert len(_relations(granted, "rp")) > 15
    assert len(_relations(granted, "v")) >= 5
    assert {name for _, name, _ in _functions(granted)} == set().union(*CALLS.values()) | TRIGGERS


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_writes_every_table_of_its_own_and_only_adds_facts(granted: Database, service: str) -> None:
    own = [(schema, name) for schema, name in _relations(granted, "rp") if schema == service]
    assert own
    with _as(granted, service) as connection:
        for schema, name in own:
            insert, *changes = _writes(granted, schema, name)
            if name in READ_ONLY.get(service, set()):
                allowed, refused = [], [insert, *changes]
            elif name in FACTS.get(service, set()):
                allowed, refused = [insert], changes
            else:
                allowed, refused = [insert, *changes], []
            for statement in refused:
                refusal = _attempt(connection, statement)
                assert isinstance(refusal, psycopg.errors.InsufficientPrivilege), (statement, refusal)
            for statement in [*allowed, f"SELECT * FROM {schema}.{name} LIMIT 1"]:
                refusal = _attempt(connection, statement)
                # A row of defaults may break a constraint; that it got so far shows the privilege.
                assert refusal is None or isinstance(refusal, psycopg.IntegrityError), (statement, refusal)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_neither_reads_nor_writes_a_table_of_another(granted: Database, service: str) -> None:
    others = [(schema, name) for schema, name in _relations(granted, "rp") if schema != service]
    with _as(granted, service) as connection:
        for schema, name in others:
            statements = [
                *_writes(granted, schema, name),
                f"SELECT 1 FROM {schema}.{name} LIMIT 1",
                f"SELECT count(*) FROM {schema}.{name}",
                f"TRUNCATE {schema}.{name}",
                f"LOCK TABLE {schema}.{name} IN ACCESS SHARE MODE",
                f"COPY {schema}.{name} TO STDOUT",
            ]
            for statement in statements:
                refusal = _attempt(connection, statement)
                assert isinstance(refusal, psycopg.errors.InsufficientPrivilege), (statement, refusal)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_reads_exactly_the_views_that_are_published_for_it(granted: Database, service: str) -> None:
    readable = set()
    with _as(granted, service) as connection:
        for schema, name in _relations(granted, "vm"):
            if schema == service:
                continue
            refusal = _attempt(connection, f"SELECT * FROM {schema}.{name} LIMIT 1")
            if refusal is None:
                readable.add(f"{schema}.{name}")
            else:
                assert isinstance(refusal, psycopg.errors.InsufficientPrivilege)
    assert readable == READS[service]


_NOT_WRITABLE = (
    psycopg.errors.InsufficientPrivilege,
    # The view is a join, or the column is computed.
    psycopg.errors.ObjectNotInPrerequisiteState,
    psycopg.errors.FeatureNotSupported,
)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_writes_no_view_of_another(granted: Database, service: str) -> None:
    with _as(granted, service) as connection:
        for schema, name in _relations(granted, "vm"):
            if schema == service:
                continue
            for statement in _writes(granted, schema, name):
                refusal = _attempt(connection, statement)
                assert isinstance(refusal, _NOT_WRITABLE), (statement, refusal)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_uses_no_sequence_of_another(granted: Database, service: str) -> None:
    sequences = [(schema, name) for schema, name in _relations(granted, "S") if schema != service]
    assert sequences
    with _as(granted, service) as connection:
        for schema, name in sequences:
            for statement in (f"SELECT nextval('{schema}.{name}')", f"SELECT setval('{schema}.{name}', 1)"):
                assert isinstance(_attempt(connection, statement), psycopg.errors.InsufficientPrivilege), statement


def _functions(database: Database) -> list[tuple[str, str, str]]:
    """Schema, name, and a call with NULL for every argument."""
    with psycopg.connect(database.owner_url) as connection:
        rows = connection.execute(
            """
            SELECT nspname, proname,
                   coalesce((SELECT string_agg(format('NULL::%%s', format_type(one, NULL)), ', ')
                               FROM unnest(proargtypes) AS one), '')
              FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace
             WHERE nspname = ANY(%s) OR nspname = 'public' ORDER BY 1, 2
            """,
            (SERVICES,),
        ).fetchall()
    return [(str(schema), str(name), f"SELECT {schema}.{name}({arguments})") for schema, name, arguments in rows]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_calls_exactly_the_functions_of_the_queue_that_are_granted_to_it(
    granted: Database, service: str
) -> None:
    callable_ = set()
    with _as(granted, service) as connection:
        for _, name, call in _functions(granted):
            # Anything but a missing privilege means that the function was entered.
            if not isinstance(_attempt(connection, call), psycopg.errors.InsufficientPrivilege):
                callable_.add(name)
    assert callable_ == CALLS[service]


def test_the_public_can_execute_none_of_the_functions(granted: Database) -> None:
    with psycopg.connect(granted.owner_url) as connection:
        connection.execute("CREATE ROLE outsider_of_grants_test")
        for schema in SERVICES:
            connection.execute(
                sql.SQL("GRANT USAGE ON SCHEMA {} TO outsider_of_grants_test").format(sql.Identifier(schema))
            )
        connection.execute("SET ROLE outsider_of_grants_test")
        for _, name, call in _functions(granted):
            assert isinstance(_attempt(connection, call), psycopg.errors.InsufficientPrivilege), name
        connection.rollback()


def test_the_functions_of_the_queue_run_with_a_fixed_search_path(granted: Database) -> None:
    """A function with its owner's rights must not find its tables through a path that the caller sets."""
    with psycopg.connect(granted.owner_url) as connection:
        rows = connection.execute(
            "SELECT proname, prosecdef, proconfig FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace "
            "WHERE nspname = ANY(%s)",
            ([*SERVICES, "audit"],),
        ).fetchall()
    assert "record" in {name for name, _, _ in rows}
    for name, runs_as_owner, settings in rows:
        assert runs_as_owner, name
        assert settings == ["search_path=pg_catalog, pg_temp"], name


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_cannot_create_tables_anywhere_or_change_its_own(granted: Database, service: str) -> None:
    schema, name = next(one for one in _relations(granted, "r") if one[0] == service)
    column = _columns(granted, schema, name)[0]
    statements = [f"CREATE TABLE {where}.mine (id integer)" for where in [*SERVICES, "public"]]
    statements += [
        f"ALTER TABLE {schema}.{name} ADD COLUMN mine integer",
        f"ALTER TABLE {schema}.{name} DROP COLUMN {column}",
        f"ALTER TABLE {schema}.{name} DISABLE TRIGGER ALL",
        f"DROP TABLE {schema}.{name}",
        f"CREATE INDEX ON {schema}.{name} ({column})",
        f"CREATE FUNCTION {schema}.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        f"CREATE VIEW {schema}.mine AS SELECT 1",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
        "ALTER ROLE CURRENT_USER SUPERUSER",
        "SET ROLE postgres",
        "UPDATE public.alembic_version SET version_num = 'mine'",
    ]
    with _as(granted, service) as connection:
        for statement in statements:
            refusal = _attempt(connection, statement)
            assert isinstance(refusal, psycopg.errors.InsufficientPrivilege | psycopg.errors.InvalidParameterValue), (
                statement,
                refusal,
            )


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_cannot_become_another(granted: Database, service: str) -> None:
    with _as(granted, service) as connection:
        for other in SERVICES:
            if other != service:
                refusal = _attempt(connection, f"SET ROLE broadsheet_{other}")
                assert isinstance(refusal, psycopg.errors.InsufficientPrivilege)


def test_enqueueing_a_mail_through_the_function_works(granted: Database) -> None:
    for service in ("subscriptions", "publishing", "gateway"):
        with _as(granted, service) as connection:
            refusal = _attempt(
                connection,
                "SELECT delivery.enqueue_single_mail('confirmation', 'key', 'reader@example.com', 'S', 'H', 'T', "
                f"interval '1 day', '{TRACE}')",
            )
            assert refusal is None, service


@pytest.mark.parametrize("kind", ["newsletter", "other", ""])
def test_no_mail_of_a_newsletter_can_be_slipped_in_as_a_single_one(granted: Database, kind: str) -> None:
    with _as(granted, "subscriptions") as connection:
        refusal = _attempt(
            connection,
            f"SELECT delivery.enqueue_single_mail('{kind}', 'key', 'reader@example.com', 'S', 'H', 'T', "
            f"interval '1 day', '{TRACE}')",
        )
        several = _attempt(
            connection,
            f"SELECT delivery.enqueue_single_mails('{kind}', ARRAY['key'], ARRAY['reader@example.com'], ARRAY['S'], "
            f"ARRAY['H'], ARRAY['T'], interval '1 day', ARRAY['{TRACE}'])",
        )
        of_readers = _attempt(connection, _reader_mail(kind))
    assert isinstance(refusal, psycopg.errors.InvalidParameterValue)
    assert isinstance(several, psycopg.errors.InvalidParameterValue)
    assert isinstance(of_readers, psycopg.errors.InvalidParameterValue)


@pytest.mark.parametrize("kind", ["password_reset", "invitation", "account_address", "account_notice"])
def test_no_mail_of_an_account_comes_from_a_newsletter(granted: Database, kind: str) -> None:
    with _as(granted, "publishing") as connection:
        assert isinstance(_attempt(connection, _reader_mail(kind)), psycopg.errors.InvalidParameterValue)


def _reader_mail(kind: str) -> str:
    return (
        f"SELECT delivery.enqueue_reader_mails('{kind}', ARRAY[1::bigint], ARRAY['key'], ARRAY['reader@example.com'], "
        f"ARRAY['S'], ARRAY['H'], ARRAY['T'], interval '1 day', ARRAY['{TRACE}'])"
    )


def test_publishing_enqueues_an_issue_through_the_functions(database: Database) -> None:
    with psycopg.connect(database.url_for("publishing")) as connection:
        connection.execute("SELECT delivery.open_issue_run(7, 1, %s)", (TRACE,))
        connection.execute("SELECT delivery.enqueue_deliveries(7, ARRAY(SELECT generate_series(1, 1203))::bigint[])")
        connection.execute("SELECT delivery.close_fan_out(7)")
    with Seed.connect(database) as seed:
        chunks = seed.execute("SELECT first_seq, last_seq FROM delivery.delivery_chunk ORDER BY id")
        assert chunks == [(1, 500), (501, 1000), (1001, 1203)]
        assert seed.progress(7).counts == {"pending": 1203}


def test_a_finished_fan_out_takes_no_more_deliveries(database: Database) -> None:
    with psycopg.connect(database.url_for("publishing"), autocommit=True) as connection:
        connection.execute("SELECT delivery.open_issue_run(7, 1, %s)", (TRACE,))
        connection.execute("SELECT delivery.close_fan_out(7)")
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            connection.execute("SELECT delivery.enqueue_deliveries(7, ARRAY[1]::bigint[])")


_RECORD = "SELECT audit.record('layout.created', 'user:1', 'user:1', NULL, 'layout', '1', NULL, NULL, NULL, NULL)"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_adds_to_the_audit_log_through_its_function_alone(granted: Database, service: str) -> None:
    statements = [
        statement
        for name in ("entry", "waiting", "head")
        for statement in (
            *_writes(granted, "audit", name),
            f"TRUNCATE audit.{name}",
            f"ALTER TABLE audit.{name} DISABLE TRIGGER ALL",
            f"DROP TABLE audit.{name}",
        )
    ]
    with _as(granted, service) as connection:
        for statement in [*statements, "CREATE TABLE audit.mine (id integer)", "SELECT * FROM audit.waiting"]:
            refusal = _attempt(connection, statement)
            assert isinstance(refusal, psycopg.errors.InsufficientPrivilege), (statement, refusal)
        assert _attempt(connection, _RECORD) is None
        for statement in ("SELECT audit.seal(1)", "SELECT * FROM audit.entry", "SELECT * FROM audit.stream"):
            refusal = _attempt(connection, statement)
            assert (refusal is None) == (service == "gateway"), (statement, refusal)
        refusal = _attempt(connection, "SELECT audit.refuse_change()")
        assert isinstance(refusal, psycopg.errors.InsufficientPrivilege)


def test_an_audit_entry_says_which_service_has_written_it_whatever_it_claims(database: Database) -> None:
    for service in SERVICES:
        with psycopg.connect(database.url_for(service)) as connection:
            connection.execute(_RECORD)
    with Seed.connect(database) as seed:
        assert seed.execute("SELECT service FROM audit.waiting ORDER BY id") == [(service,) for service in SERVICES]


@pytest.mark.parametrize(
    "argument",
    [
        'NULL, \'{"changed": ["reader@example.com"]}\'',
        "NULL, '[]'",
        "'[1]', NULL",
        f'NULL, \'{{"changed": "{"x" * 4000}"}}\'',
    ],
)
def test_the_database_itself_takes_no_address_and_no_long_text_into_the_audit_log(
    granted: Database, argument: str
) -> None:
    call = f"SELECT audit.record('layout.changed', 'user:1', 'user:1', NULL, 'layout', '1', NULL, {argument}, NULL)"
    with _as(granted, "publishing") as connection:
        assert isinstance(_attempt(connection, call), psycopg.errors.CheckViolation)
