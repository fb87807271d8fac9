"""Triggers that run once for each statement: their queries fit one row as well as a million.

PL/pgSQL keeps the plan of a plain query for the life of its connection, and a plan made when a statement changed one
row walks through all new rows for each old one. Text given to EXECUTE is planned each time.
"""

import re

import psycopg

from harness.cluster import Database

_EXECUTED = re.compile(r"\$sql\$.*?\$sql\$", re.DOTALL)
_COMMENT = re.compile(r"--[^\n]*")
_SELECT = """
SELECT DISTINCT function.oid::regproc::text, function.prosrc, tgoldtable, tgnewtable
  FROM pg_trigger JOIN pg_proc AS function ON function.oid = tgfoid
 WHERE tgoldtable IS NOT NULL AND tgnewtable IS NOT NULL
"""


def queries_with_a_kept_plan(source: str) -> list[str]:
    return _COMMENT.sub("", _EXECUTED.sub("", source)).split(";")


def test_rows_before_and_after_are_joined_by_a_query_that_is_planned_each_time(database: Database) -> None:
    with psycopg.connect(database.owner_url) as connection:
        triggers = connection.execute(_SELECT).fetchall()
    assert {name for name, *_ in triggers} >= {
        "subscriptions.queue_subscription_webhooks",
        "subscriptions.count_growth",
    }
    kept = {
        name: query
        for name, source, old, new in triggers
        for query in queries_with_a_kept_plan(source)
        if re.search(rf"\b{old}\b", query) and re.search(rf"\b{new}\b", query)
    }
    assert kept == {}


def test_a_join_outside_execute_is_found() -> None:
    joined = "INSERT INTO a SELECT FROM new_rows JOIN old_rows USING (id)"
    assert any("old_rows" in query for query in queries_with_a_kept_plan(f"BEGIN {joined}; END"))
    assert not any("old_rows" in query for query in queries_with_a_kept_plan(f"EXECUTE $sql$ {joined} $sql$; RETURN"))
