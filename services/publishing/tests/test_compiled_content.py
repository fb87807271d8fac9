"""What delivery renders of an issue: its compiled content, its versions, and who writes it during a deployment."""

import psycopg
import pytest

from harness.cluster import Database
from harness.seeding import Seed

DRAFT = (
    "INSERT INTO publishing.issue (newsletter_id, title, html_content, text_content, created_by) "
    "VALUES (1, 'Title', '<p>html</p>', 'text', 'user:1') RETURNING id"
)
PUBLISH = "UPDATE publishing.issue SET status = 'published', published_at = now() WHERE id = %s"
COMPILED = (
    "INSERT INTO publishing.compiled_content (issue_id, variant, title, subject, html_content, text_content) "
    "VALUES (%s, %s, 'Compiled', 'Compiled', NULL, 'compiled')"
)
CONTENTS = "SELECT variant, title, subject, html_content, text_content FROM publishing.published_contents"


def _version(seed: Seed) -> int:
    [(version,)] = seed.execute("SELECT content_version FROM publishing.published_contents WHERE variant = 1")
    return int(str(version))


def test_what_a_replica_of_the_version_before_publishes_is_rendered_as_written(seed: Seed) -> None:
    [(issue_id,)] = seed.execute(DRAFT)
    assert seed.execute("SELECT 1 FROM publishing.compiled_content") == []
    seed.execute(PUBLISH, (issue_id,))
    assert seed.execute(CONTENTS) == [(1, "Title", "Title", "<p>html</p>", "text")]


@pytest.mark.parametrize("order", ["before", "after"])
def test_whoever_compiles_in_the_transaction_that_publishes_is_not_overruled(
    database: Database, seed: Seed, order: str
) -> None:
    with psycopg.connect(database.url_for("publishing")) as publishing:
        row = publishing.execute(DRAFT).fetchone()
        assert row is not None
        if order == "after":
            publishing.execute(PUBLISH, row)
        for variant in (1, 2):
            publishing.execute(COMPILED, (row[0], variant))
        if order == "before":
            publishing.execute(PUBLISH, row)
    assert seed.execute(CONTENTS + " ORDER BY variant") == [
        (1, "Compiled", "Compiled", None, "compiled"),
        (2, "Compiled", "Compiled", None, "compiled"),
    ]


def test_nothing_is_compiled_of_an_issue_that_is_not_published(seed: Seed) -> None:
    [(issue_id,)] = seed.execute(DRAFT)
    seed.execute("UPDATE publishing.issue SET status = 'cancelled' WHERE id = %s", (issue_id,))
    assert seed.execute("SELECT 1 FROM publishing.compiled_content") == []
    seed.execute(COMPILED, (issue_id, 1))
    assert seed.execute(CONTENTS) == []


@pytest.mark.parametrize("changed", ["title", "subject", "preheader", "html_content", "text_content", "web_path"])
def test_every_change_of_content_has_a_version_of_its_own(seed: Seed, changed: str) -> None:
    [(issue_id,)] = seed.execute(DRAFT)
    seed.execute(PUBLISH, (issue_id,))
    before = _version(seed)
    seed.execute(f"UPDATE publishing.compiled_content SET {changed} = '/changed'")
    assert _version(seed) == before + 1
    seed.execute(f"UPDATE publishing.compiled_content SET {changed} = '/changed', compiled_at = now()")
    assert _version(seed) == before + 1


def test_another_newsletter_of_a_published_issue_is_a_change_too(seed: Seed) -> None:
    [(issue_id,)] = seed.execute(DRAFT)
    seed.execute(PUBLISH, (issue_id,))
    before = _version(seed)
    [(newsletter_id,)] = seed.execute(
        "INSERT INTO publishing.newsletter (slug, name) VALUES ('other', 'Other') RETURNING id"
    )
    seed.execute("UPDATE publishing.issue SET newsletter_id = %s", (newsletter_id,))
    assert _version(seed) > before


@pytest.mark.parametrize("column", ["track_opens", "track_links"])
def test_what_is_tracked_belongs_to_the_version_of_a_newsletter(seed: Seed, column: str) -> None:
    read = f"SELECT sender_version, {column} FROM publishing.published_newsletters WHERE newsletter_id = 1"
    [(before, is_tracked)] = seed.execute(read)
    assert is_tracked is False
    seed.execute(f"UPDATE publishing.newsletter SET {column} = true WHERE id = 1")
    assert seed.execute(read) == [(int(str(before)) + 1, True)]


def test_the_language_of_the_footer_belongs_to_the_version_of_a_newsletter(seed: Seed) -> None:
    read = "SELECT sender_version, language FROM publishing.published_newsletters WHERE newsletter_id = 1"
    [(before, language)] = seed.execute(read)
    assert language == "en"
    seed.execute("UPDATE publishing.newsletter SET language = 'de' WHERE id = 1")
    assert seed.execute(read) == [(int(str(before)) + 1, "de")]


@pytest.mark.parametrize(
    "fault", [{"variant": 5}, {"variant": 0}, {"html_content": ""}, {"web_path": "archive/x"}], ids=str
)
def test_content_that_no_mail_can_have_is_not_stored(seed: Seed, fault: dict[str, object]) -> None:
    [(issue_id,)] = seed.execute(DRAFT)
    seed.execute(COMPILED, (issue_id, 1))
    [(column, value)] = fault.items()
    with pytest.raises(psycopg.errors.CheckViolation):
        seed.execute(f"UPDATE publishing.compiled_content SET {column} = %s", (value,))


def test_publishing_sees_the_attributes_that_are_there_and_not_those_that_were_removed(
    database: Database, seed: Seed
) -> None:
    seed.execute(
        "INSERT INTO subscriptions.attribute (name, type, label, removed_at) "
        "VALUES ('city', 'text', 'City', NULL), ('age', 'number', 'Age', now())"
    )
    with psycopg.connect(database.url_for("publishing")) as publishing:
        found = publishing.execute("SELECT name, type FROM subscriptions.published_attributes").fetchall()
    assert found == [("city", "text")]
