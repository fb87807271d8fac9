"""Imports on a real database: what a file's rows become."""

import asyncio
from datetime import date
from typing import Any

import pytest

from broadsheet_subscriptions.imports.ask_for_confirmation import MAILS_A_BATCH
from harness.cluster import Database
from harness.importing import tidy_imports
from harness.waiting import eventually

from ..conftest import Subscriptions
from ..importing import BASIS, XLSX, Importing, workbook


async def test_a_file_of_people_becomes_subscribers_with_all_that_it_says_of_them(
    subscriptions: Subscriptions, importing: Importing
) -> None:
    importing.add_attribute("city", label="Town")
    importing.add_attribute("age", "number")
    found = await importing.run(
        "E-Mail,First Name,Last Name,Town,age,Tags,Other\r\n"
        'ada@example.com,Ada,Lovelace,"London, W1",36,"news, early",x\r\n'
        "BOB@Example.com,Bob,,,,,\r\n",
        tag=["fair"],
    )
    assert (found["status"], found["status_reason"]) == ("done", None)
    assert (found["counts"]["rows"], found["counts"]["created"]) == (2, 2)
    assert found["mapping"] == {
        "E-Mail": "email", "First Name": "first_name", "Last Name": "last_name", "Town": "attribute:city",
        "age": "attribute:age", "Tags": "tags", "Other": None,
    }  # fmt: skip
    assert importing.people() == [
        (
            "ada@example.com",
            "Ada Lovelace",
            {"city": "London, W1", "age": 36},
            ["news", "early", "fair"],
            "confirmed",
        ),
        ("BOB@example.com", "Bob", {}, ["fair"], "confirmed"),
    ]
    assert subscriptions.rows("SELECT consent_basis, created_by FROM subscriptions.import_job") == [(BASIS, "key:1")]
    assert subscriptions.rows("SELECT DISTINCT import_id FROM subscriptions.subscription") == [(found["id"],)]
    assert subscriptions.mails() == []


async def test_one_invalid_address_among_a_thousand_is_the_only_one_rejected(importing: Importing) -> None:
    lines = [f"reader-{number}@example.com" for number in range(1_000)]
    lines[499] = "nobody at example.com"
    found = await importing.run("\n".join(["email", *lines]))
    assert (found["status"], found["counts"]["created"], found["counts"]["rejected"]) == ("done", 999, 1)
    rejects = (await importing.rejects(found["id"])).splitlines()
    assert rejects[0] == "email,import_line,import_reason"
    assert rejects[1].startswith("nobody at example.com,501,")
    assert "nobody at example.com" not in [email for email, *_ in importing.people()]


async def test_the_address_is_freed_from_what_a_spreadsheet_leaves_around_it(importing: Importing) -> None:
    marks = ["\ufeff", "\u00a0", "\u200b", "\u2060", " \t"]
    rows = [f"{mark}reader-{number}@example.com{mark}" for number, mark in enumerate(marks)]
    found = await importing.run("\ufeff" + "\r\n".join(["\ufeffemail\u00a0", *rows]))
    assert (found["status"], found["counts"]["created"]) == ("done", len(marks))
    assert [email for email, *_ in importing.people()] == [f"reader-{n}@example.com" for n in range(len(marks))]


@pytest.mark.parametrize("delimiter", [";", "\t"], ids=["semicolon", "tab"])
async def test_a_file_of_two_columns_is_read_whatever_divides_them(importing: Importing, delimiter: str) -> None:
    found = await importing.run(f"Name{delimiter}E-Mail\nLovelace, Ada{delimiter}ada@example.com\n")
    assert (found["status"], found["file"]["delimiter"], found["counts"]["created"]) == ("done", delimiter, 1)
    assert importing.people("email, name") == [("ada@example.com", "Lovelace, Ada")]


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("name;town\nAda;Wien\n", "No column holds e-mail addresses. Columns found: “name”, “town”"),
        ("email\n", "The file has no rows."),
        ("\n\n", "The file has no rows."),
        ("", "The file is empty."),
        ("email,name\nada,Ada\nbob,Bob\n", "None of the 2 rows could be read"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\xff\xfe", "This is not a text file."),
        (b"PK\x03\x04nothing else", "The spreadsheet is damaged"),
    ],
    ids=["no-addresses", "titles-alone", "blank-lines", "empty", "all-bad", "picture", "half-a-zip"],
)
async def test_a_file_that_brings_nobody_in_has_failed_and_says_why(
    importing: Importing, file: str | bytes, said: str
) -> None:
    found = await importing.run(file)
    assert (found["status"], found["counts"]["created"]) == ("failed", 0)
    assert found["status_reason"].startswith(said)
    assert importing.people() == []


async def test_who_left_or_is_suppressed_is_not_brought_back_whatever_the_file_says(
    subscriptions: Subscriptions, importing: Importing
) -> None:
    importing.add_attribute("city")
    second = subscriptions.add_newsletter("second")
    await subscriptions.subscribe_and_confirm("left@example.com")
    await subscriptions.public("unsubscribes", token=subscriptions.unsubscribe_token("left@example.com"))
    await subscriptions.subscribe_and_confirm("kept@example.com")
    subscriptions.rows(
        "INSERT INTO delivery.suppression (message_stream, email_key, reason, source) "
        "VALUES ('broadcast', 'bounced@example.com', 'HardBounce', 'Recipient')"
    )
    before = importing.people()
    file = (
        "email,status,city\nLEFT@example.com,,Wien\nleft@example.com,confirmed,Wien\nkept@example.com,pending,\n"
        "kept@example.com,unsubscribed,\nbounced@example.com,confirmed,Wien\nnew@example.com,unsubscribed,\n"
    )
    for newsletter_id in (1, second):
        found = await importing.run(file, existing="overwrite", newsletter_id=newsletter_id)
        counts = found["counts"]
        assert counts["skipped"]["unsubscribed"] == (2 if newsletter_id == 1 else 3)
        assert counts["skipped"]["suppressed"] == 1
        if newsletter_id == 1:
            assert (counts["unchanged"], counts["created"], counts["skipped"]["duplicate"]) == (1, 1, 1)
            assert importing.people()[:-1] == before
            assert importing.people()[-1] == ("new@example.com", "", {}, [], "unsubscribed")
    states = importing.people("email, newsletter_id, state")
    assert ("left@example.com", second, "confirmed") not in states
    # Who has another newsletter here, and left none, may be brought to a second one; but no more than any of the file's
    # rows says.
    assert ("kept@example.com", second, "unsubscribed") in states


@pytest.mark.parametrize(
    ("existing", "name", "attributes", "tags", "counted"),
    [
        ("skip", "Ada", {"city": "Wien"}, ["old", "fair"], "updated"),
        ("fill", "Ada", {"city": "Wien", "age": 36}, ["old", "fair"], "updated"),
        ("overwrite", "Ada Lovelace", {"city": "London", "age": 36}, ["news", "fair"], "updated"),
    ],
)
async def test_what_becomes_of_people_who_are_here_is_as_it_was_said(
    subscriptions: Subscriptions, importing: Importing, existing: str, name: str, attributes: object, tags: object,
    counted: str,
) -> None:  # fmt: skip
    importing.add_attribute("city")
    importing.add_attribute("age", "number")
    await subscriptions.subscribe_and_confirm("ada@example.com")
    subscriptions.rows("""UPDATE subscriptions.subscriber SET attributes = '{"city": "Wien"}', tags = '{old}'""")
    file = "email,name,city,age,tags\nada@example.com,Ada Lovelace,London,36,news\n"
    found = await importing.run(file, existing=existing, tag=["fair"])
    assert found["counts"][counted] == 1
    assert importing.people() == [("ada@example.com", name, attributes, tags, "confirmed")]
    again = await importing.run(file, existing=existing, tag=["fair"])
    assert (again["counts"]["unchanged"], again["counts"]["updated"]) == (1, 0)
    blank = await importing.run("email,name,city,age,tags\nada@example.com,,,,\n", existing=existing)
    assert blank["counts"]["unchanged"] == 1
    assert importing.people() == [("ada@example.com", name, attributes, tags, "confirmed")]


async def test_of_an_address_that_comes_twice_the_first_row_counts_in_one_batch_and_across_batches(
    importing: Importing,
) -> None:
    filler = [f"reader-{number}@example.com,{'x' * 200}" for number in range(6_000)]
    rows = ["ada@example.com,First", "ADA@example.com,Second", *filler, "ada@example.com,Third", "bad row,x"]
    found = await importing.run("\n".join(["email,name", *rows]))
    counts = found["counts"]
    assert (counts["created"], counts["skipped"]["duplicate"], counts["rejected"]) == (6_001, 2, 1)
    assert importing.people("email, name")[0] == ("ada@example.com", "First")


async def test_a_dry_run_counts_what_the_run_then_does_and_touches_nobody(
    subscriptions: Subscriptions, importing: Importing
) -> None:
    importing.add_attribute("age", "number")
    await subscriptions.subscribe_and_confirm("here@example.com")
    await subscriptions.subscribe_and_confirm("left@example.com")
    await subscriptions.public("unsubscribes", token=subscriptions.unsubscribe_token("left@example.com"))
    before = importing.people()
    filler = [f"reader-{number}@example.com,1,{'x' * 200}" for number in range(6_000)]
    rows = ["here@example.com,3,", "left@example.com,3,", "new@example.com,3,", "bad example.com,3,", *filler]
    rows += ["new@example.com,4,", "here@example.com,4,", "left@example.com,4,"]
    dry = await importing.run("\n".join(["email,age,other", *rows]), dry_run=True)
    assert dry["status"] == "checked"
    assert importing.people() == before
    assert "bad example.com,3,,5," in await importing.rejects(dry["id"])
    started = await importing.post(f"/{dry['id']}/start")
    assert started.status_code == 202
    run = await importing.ended(dry["id"])
    assert run["status"] == "done"
    assert run["counts"] == dry["counts"]
    assert run["counts"]["skipped"] == {"duplicate": 2, "unsubscribed": 2, "suppressed": 0, "too_many_tags": 0}
    assert (await importing.rejects(dry["id"])).count("bad example.com") == 1


async def test_a_mapping_can_be_told_before_or_after_a_look_at_the_columns(importing: Importing) -> None:
    importing.add_attribute("city")
    file = "Kontakt,Mail,Ort\nada@example.com,old@example.com,Wien\n"
    dry = await importing.run(file, dry_run=True)
    assert dry["mapping"] == {"Kontakt": None, "Mail": "email", "Ort": None}
    mapping = {"Kontakt": "email", "Ort": "attribute:city"}
    wrong = await importing.post(f"/{dry['id']}/start", {"mapping": {"Contact": "email"}})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/mapping")
    assert (await importing.post(f"/{dry['id']}/start", {"mapping": mapping})).status_code == 202
    assert (await importing.ended(dry["id"]))["mapping"] == mapping | {"Mail": None}
    assert importing.people() == [("ada@example.com", "", {"city": "Wien"}, [], "confirmed")]


async def test_a_spreadsheet_is_imported_as_a_csv_file_is(importing: Importing) -> None:
    importing.add_attribute("born", "date")
    file = workbook([["E-Mail", "Name", "born"], ["ada@example.com", "Ada", date(1815, 12, 10)], ["bob", "Bob", None]])
    found = await importing.run(file, content_type=XLSX)
    assert (found["status"], found["file"]["format"], found["counts"]["rejected"]) == ("done", "xlsx", 1)
    assert importing.people() == [("ada@example.com", "Ada", {"born": "1815-12-10"}, [], "confirmed")]
    assert "bob,Bob,,3," in await importing.rejects(found["id"])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "windows-1252", "utf-8-sig"])
async def test_names_arrive_as_they_were_written_in_any_encoding(importing: Importing, encoding: str) -> None:
    found = await importing.run("email;name\nzoe@example.com;Zoë Ångström\n".encode(encoding))
    assert found["status"] == "done"
    assert importing.people("email, name") == [("zoe@example.com", "Zoë Ångström")]


async def test_rejects_can_be_mended_and_fed_back_as_they_are(importing: Importing) -> None:
    importing.add_attribute("note")
    importing.add_attribute("age", "number")
    first = await importing.run(
        'email;name;age;note\nada example.com;Ada;30;"=1+1, ""quoted"";\nand more"\nbob@example.com;Bob;3;\'=2\n'
    )
    rejects = await importing.rejects(first["id"])
    assert rejects.splitlines()[0] == "email,name,age,note,import_line,import_reason"
    assert "'=1+1" in rejects
    second = await importing.run(rejects.replace("ada example", "ada@example"))
    assert (second["counts"]["created"], second["counts"]["rejected"]) == (1, 0)
    assert importing.people("email, attributes") == [
        ("ada@example.com", {"age": 30, "note": '=1+1, "quoted";\nand more'}),
        ("bob@example.com", {"age": 3, "note": "=2"}),
    ]


async def test_pending_people_are_asked_to_confirm_no_faster_than_the_pace(
    subscriptions: Subscriptions, importing: Importing
) -> None:
    file = "\n".join(["email", *(f"reader-{number}@example.com" for number in range(50))])
    found = await importing.run(file, state="pending")
    assert found["counts"]["created"] == 50
    await eventually(lambda: len(subscriptions.mails()) == MAILS_A_BATCH, what="the first batch is asked")
    # 20 mails at 600 a minute: the next batch in two seconds, by the database's clock.
    ((wait_s,),) = subscriptions.rows(
        "SELECT extract(epoch FROM next_at - confirmation_queued_at)::float8 FROM subscriptions.import_mail_pace, "
        "subscriptions.subscription WHERE confirmation_queued_at IS NOT NULL LIMIT 1"
    )
    assert wait_s == 2.0
    while len(subscriptions.mails()) < 50:
        subscriptions.rows("UPDATE subscriptions.import_mail_pace SET next_at = now()")
        await asyncio.sleep(0.05)
    assert len({to for to, *_ in subscriptions.mails()}) == 50
    assert subscriptions.rows("SELECT DISTINCT kind, source, actor, mail FROM subscriptions.consent_event") == [
        ("requested", "import", f"import:{found['id']}", "confirmation")
    ]
    # They are counted by the pace, and hold up nobody's sign-up.
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.mailbox_quota") == [(0,)]
    assert (await subscriptions.public("confirmations", token=subscriptions.tokens()[0])).status_code == 200


async def test_an_import_that_is_called_off_asks_nobody_any_more(
    subscriptions: Subscriptions, importing: Importing
) -> None:
    dry = await importing.run("email\nada@example.com\n", state="pending", dry_run=True)
    assert (await importing.post(f"/{dry['id']}/cancel")).json()["status"] == "cancelled"
    assert (await importing.post(f"/{dry['id']}/cancel")).status_code == 200
    assert (await importing.post(f"/{dry['id']}/start")).status_code == 409
    assert importing.audited(dry["id"]) == ["import.created", "import.cancelled"]
    assert (await importing.post(f"/{dry['id']}/undo")).status_code == 409
    assert subscriptions.mails() == []


async def test_each_step_of_an_import_takes_a_key(importing: Importing) -> None:
    """Repeated when the import is long past the step, it gets the first answer."""
    dry = await importing.run("email\nada@example.com\n", dry_run="true")
    stopped = await importing.run("email\nbob@example.com\n", dry_run="true")
    for import_id, verb, status in (
        (dry["id"], "start", 202),
        (dry["id"], "undo", 202),
        (stopped["id"], "cancel", 200),
    ):
        headers = {"Idempotency-Key": verb}
        first = await importing.post(f"/{import_id}/{verb}", **headers)
        assert first.status_code == status, first.text
        await importing.ended(import_id)
        again = await importing.post(f"/{import_id}/{verb}", **headers)
        assert (again.status_code, again.content) == (status, first.content)
    reused = await importing.post(f"/{dry['id']}/start", **{"Idempotency-Key": "undo"})
    assert (reused.status_code, reused.json()["type"]) == (422, "urn:broadsheet:problem:idempotency-key-reused")


async def test_the_same_key_gives_the_first_answer_again_and_imports_once(
    subscriptions: Subscriptions, importing: Importing, database: Database
) -> None:
    file = "email\nada@example.com\n"
    first = await importing.upload(file, key="a")
    second = await importing.upload(file, key="a")
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    other = await importing.upload("email\nbob@example.com\n", key="a")
    assert (other.status_code, other.json()["type"]) == (422, "urn:broadsheet:problem:idempotency-key-reused")
    await importing.ended(first.json()["id"])
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.import_job WHERE status NOT IN ('uploading')") == [
        (1,)
    ]
    subscriptions.rows("UPDATE subscriptions.import_job SET created_at = now() - interval '2 days'")
    assert await tidy_imports(database) > 0
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.import_piece") == [(0,)]


async def test_a_file_goes_when_its_import_is_over_and_rejects_after_their_time(
    subscriptions: Subscriptions, importing: Importing, database: Database
) -> None:
    done = await importing.run("email\nada@example.com\nbad\n")
    checked = await importing.run("email\nada@example.com\nbad\n", dry_run=True)
    await tidy_imports(database)
    assert subscriptions.rows("SELECT import_id FROM subscriptions.import_piece") == [(checked["id"],)]
    assert (await importing.get(f"/{done['id']}")).json()["file"]["is_kept"] is False
    assert (await importing.rejects(done["id"])).count("bad") == 1
    subscriptions.rows("UPDATE subscriptions.import_job SET finished_at = now() - interval '31 days'")
    await tidy_imports(database)
    for table in ("import_piece", "import_sample", "import_reject", "import_seen"):
        assert subscriptions.rows(f"SELECT count(*) FROM subscriptions.{table}") == [(0,)]
    assert (await importing.post(f"/{checked['id']}/start")).status_code == 409


@pytest.mark.parametrize(
    ("options", "status", "pointer"),
    [
        ({"consent_basis": " "}, 422, "/consent_basis"),
        ({"consent_basis": ""}, 400, "/consent_basis"),
        ({"consent_basis": "a\0"}, 400, "/consent_basis"),
        ({"consent_basis": "x" * 2_001}, 400, "/consent_basis"),
        ({"state": "unsubscribed"}, 400, "/state"),
        ({"existing": "delete"}, 400, "/existing"),
        ({"tag": ["ok", ""]}, 422, "/tags/1"),
        ({"tag": ["a\0"]}, 400, "/tag"),
        ({"mapping": "{"}, 400, "/mapping"),
        ({"mapping": "[]"}, 400, "/mapping"),
        ({"mapping": '{"a": "nothing"}'}, 422, "/mapping"),
        ({"mapping": '{"a\\u0000": "email"}'}, 422, "/mapping"),
        ({"mapping": '{"\\ud800": "email"}'}, 400, "/mapping"),
        ({"mapping": "{}"}, 422, "/mapping"),
        ({"newsletter_id": 77}, 422, "/newsletter_id"),
        ({"newsletter_id": 2**63}, 400, "/newsletter_id"),
        ({"dry_run": "perhaps"}, 400, "/dry_run"),
    ],
    ids=str,
)
async def test_options_that_make_no_sense_are_refused_and_nothing_is_kept(
    subscriptions: Subscriptions, importing: Importing, options: dict[str, Any], status: int, pointer: str
) -> None:
    response = await importing.upload("email\nada@example.com\n", **options)
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    assert [problem["pointer"] for problem in response.json()["errors"]] == [pointer]
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.import_job") == [(0,)]


async def test_other_requests_that_make_no_sense_are_refused(importing: Importing) -> None:
    for content_type in ("application/json", "multipart/form-data; boundary=x", ""):
        response = await importing.upload("email\n", content_type=content_type)
        assert (response.status_code, response.json()["type"]) == (415, "urn:broadsheet:problem:unsupported-media-type")
    for path in ("/1", f"/{2**63 - 1}", "/1/rejects"):
        assert (await importing.get(path)).status_code == 404
    assert (await importing.get(f"/{2**63}")).status_code == 400
    for verb in ("start", "cancel", "undo"):
        assert (await importing.post(f"/1/{verb}")).status_code == 404
    found = await importing.run("email\nada@example.com\n")
    assert (await importing.post(f"/{found['id']}/start")).json()["type"] == "urn:broadsheet:problem:import-state"
    assert (await importing.post(f"/{found['id']}/start", {"state": "left"})).status_code == 400
    assert (await importing.post(f"/{found['id']}/cancel")).status_code == 409


async def test_the_list_is_newest_first_in_pages(importing: Importing) -> None:
    ids = [(await importing.run(f"email\nreader-{number}@example.com\n"))["id"] for number in range(3)]
    first = (await importing.get("", limit=2)).json()
    second = (await importing.get("", limit=2, cursor=first["next_cursor"])).json()
    assert [item["id"] for item in first["items"] + second["items"]] == ids[::-1]
    assert second["next_cursor"] is None


async def test_titles_with_unstorable_characters_are_kept_as_far_as_they_can_be(importing: Importing) -> None:
    found = await importing.run("email,na\0me\x07\nada@example.com,Ada\n")
    assert (found["status"], found["counts"]["created"]) == ("done", 1), found
    assert "na\ufffdme\x07" in found["file"]["columns"]


async def test_a_reason_that_repeats_what_a_file_holds_can_be_kept_whatever_that_is(importing: Importing) -> None:
    found = await importing.run("e\0x\x07,na\u2028me\nnobody,Ada\n")
    assert found["status"] == "failed"
    assert "“e\ufffdx\ufffd”, “na\ufffdme”" in found["status_reason"]
