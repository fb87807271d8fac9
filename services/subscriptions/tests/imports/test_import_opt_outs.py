"""Who may not be written to, as other systems' exports say it: known, asked about, and never passed over."""

import json
from typing import Any

import pytest

from broadsheet_subscriptions.imports.reading.column import KnownAttribute, open_columns, titles_of_attributes
from broadsheet_subscriptions.imports.reading.known_exports import KNOWN_EXPORTS
from broadsheet_subscriptions.imports.reading.opt_out import title_says
from broadsheet_subscriptions.imports.reading.opt_out_cell import Meaning, kind_of, read_state

from ..conftest import Subscriptions
from ..importing import Importing

LEFT = "left@example.com"
STAYED = "stayed@example.com"
# Of each system: the titles, a person who left or cannot be reached, and one who may be written to.
EXPORTS: dict[str, tuple[str, list[str], list[str]]] = {
    "mailchimp-unsubscribed": (
        (
            "Email Address,First Name,Last Name,OPTIN_TIME,CONFIRM_TIME,UNSUB_TIME,UNSUB_CAMPAIGN_TITLE,LEID,EUID,"
            "NOTES,TAGS"
        ),
        [f"{LEFT},Ann,Lee,2018-02-12 10:54:27,2018-02-12 10:54:27,2023-07-23 12:19:27,,1,a,,"],
        [f"{STAYED},Ann,Lee,2018-02-12 10:54:27,,,,1,a,,"],
    ),
    "mailchimp-cleaned": (
        "Email Address,First Name,CLEAN_TIME,CLEAN_CAMPAIGN_TITLE,LEID",
        [f"{LEFT},Bo,2022-01-01 00:00:00,,3", f"{LEFT},Bo,,May news,3"],
        [f"{STAYED},Bo,,,3"],
    ),
    "beehiiv": (
        "email,First Name,Last Name,status,tier,created_at,unsubscribed_at",
        [
            f"{LEFT},,,active,premium,2023-04-11 14:02:46 UTC,2024-03-13 11:33:53 UTC",
            f"{LEFT},,,inactive,free,2023-04-11 14:02:46 UTC,",
        ],
        [f"{STAYED},,,active,premium,2023-04-11 14:02:46 UTC,"],
    ),
    "ghost": (
        (
            "id,email,name,note,subscribed_to_emails,complimentary_plan,stripe_customer_id,created_at,deleted_at,labels,"
            "tiers,email_disabled"
        ),
        [
            f"x1,{LEFT},Al,,true,false,,2024-01-01T00:00:00.000Z,,,,true",
            f"x1,{LEFT},Al,,false,false,,2024-01-01T00:00:00.000Z,,,,false",
            f"x1,{LEFT},Al,,true,false,,2024-01-01T00:00:00.000Z,2024-02-01T00:00:00.000Z,,,false",
        ],
        [f"x1,{STAYED},Al,,true,false,,2024-01-01T00:00:00.000Z,,,,false"],
    ),
    "substack": (
        "email,active_subscription,expiry,plan,email_disabled,created_at",
        [f"{LEFT},true,,,true,2024-01-01T00:00:00.000Z"],
        [f"{STAYED},false,,other,false,2024-01-01T00:00:00.000Z"],
    ),
    "kit": (
        "email,first_name,state,created_at,tags",
        [f"{LEFT},Al,{state},2024-01-01,x" for state in ("cancelled", "bounced", "complained", "inactive")],
        [f"{STAYED},Al,active,2024-01-01,x"],
    ),
    "buttondown": (
        "email,notes,metadata,tags,creation_date,type,unsubscription_date,unsubscription_reason",
        [f"{LEFT},,,,2024-01-01,unsubscribed,,", f"{LEFT},,,,2024-01-01,regular,,too many"],
        [f"{STAYED},,,,2024-01-01,premium,,"],
    ),
    "mailerlite": ("Subscriber,Email,Status,Subscribed,Unsubscribed",
        [f"a,{LEFT},Unsubscribed,2020-01-01,2021-01-01", f"a,{LEFT},,2020-01-01,2021-01-01",
        f"a,{LEFT},Junk complaint,,"],
        [f"a,{STAYED},Active,2020-01-01,"]),
    "listmonk": ("uuid,email,name,attributes,status,created_at",
        [f"u,{LEFT},Al,{{}},blocklisted,2024-01-01", f"u,{LEFT},Al,{{}},disabled,2024-01-01"],
        [f"u,{STAYED},Al,{{}},enabled,2024-01-01"]),
    "campaign-monitor": ("Email Address,Name,Date Subscribed,Date Unsubscribed,State",
        [f"{LEFT},Al,2020-01-01,2021-02-03,", f"{LEFT},Al,2020-01-01,,Bounced", f"{LEFT},Al,2020-01-01,,Deleted"],
        [f"{STAYED},Al,2020-01-01,,Active"]),
    "brevo": ("CONTACT ID,EMAIL,FIRSTNAME,LASTNAME,BLOCKLISTED,SMS_BLACKLISTED",
        [f"1,{LEFT},Al,,Yes,No"], [f"1,{STAYED},Al,,No,Yes"]),
    "aweber": ("Email,Name,Message Number,Stop Time,Verified",
        [f"{LEFT},Al,1,01/02/2020 10:11,yes"], [f"{STAYED},Al,1,,yes"]),
    "activecampaign": ("Email,First Name,Status,Unsubscription Date",
        [f"{LEFT},Al,Unsubscribed,", f"{LEFT},Al,Bounced,", f"{LEFT},Al,,2020-01-01"], [f"{STAYED},Al,Active,"]),
    "constant-contact": ("Email address,First name,Email permission status,Email status,Opt Out Date,Opt Out Reason",
        [f"{LEFT},Al,Unsubscribed,Active,,", f"{LEFT},Al,Implied,,2020-01-01,", f"{LEFT},Al,Implied,,,not for me"],
        [f"{STAYED},Al,Express,,,"]),
    "klaviyo": ("Email,First Name,Email Marketing Consent,Email Suppressions,SMS Marketing Consent",
        [f"{LEFT},Al,NEVER_SUBSCRIBED,[],", f"{LEFT},Al,UNSUBSCRIBED,[],", f"{LEFT},Al,SUBSCRIBED,HARD_BOUNCE,"],
        [f"{STAYED},Al,SUBSCRIBED,[],UNSUBSCRIBED"]),
    "hubspot": ("Email,First Name,Unsubscribed from all email,Email hard bounce reason,Marketing contact status",
        [f"{LEFT},Al,Yes,,Marketing contact", f"{LEFT},Al,,Mailbox full,Marketing contact"],
        [f"{STAYED},Al,No,,Non-marketing contact"]),
    "keila": ("Email,First name,Last name,Data,Status,External ID",
        [f"{LEFT},Al,,,unsubscribed,", f"{LEFT},Al,,,unreachable,"], [f"{STAYED},Al,,,active,"]),
    "phplist": ("email,confirmed,blacklisted,optedin,bouncecount,htmlemail",
        [f"{LEFT},1,1,1,0,1"], [f"{STAYED},1,0,0,2,1"]),
    "shopify": ("Email,First Name,Accepts Email Marketing,Accepts SMS Marketing",
        [f"{LEFT},Al,no,yes"], [f"{STAYED},Al,yes,no"]),
    "sendy": ("Name,Email,Status", [f"Al,{LEFT},{state}" for state in ("Unsubscribed", "Bounced", "Marked as spam")],
        [f"Al,{STAYED},Subscribed"]),
    "cleverreach": ("email,activated,deactivated,bounced", [f"{LEFT},1577836800,1609459200,0",
        f"{LEFT},1577836800,0,1"],
        [f"{STAYED},1577836800,0,0"]),
    "salesforce": ("Email,Name,HasOptedOutOfEmail,EmailBouncedDate", [f"{LEFT},Al,TRUE,",
        f"{LEFT},Al,FALSE,2020-01-01"],
        [f"{STAYED},Al,FALSE,"]),
    "dynamics": ("E-mail,Full Name,Do not allow Emails,donotbulkemail",
        [f"{LEFT},Al,,Do Not Allow", f"{LEFT},Al,Do Not Allow,Allow"], [f"{STAYED},Al,Allow,Allow"]),
    "german": ("E-Mail,Vorname,Abgemeldet am,Gesperrt", [f"{LEFT},Al,01.02.2020,nein", f"{LEFT},Al,,ja"],
        [f"{STAYED},Al,,nein"]),
    "french": ("Adresse e-mail,Prénom,Désabonné,Statut", [f"{LEFT},Al,oui,", f"{LEFT},Al,non,Désinscrit"],
        [f"{STAYED},Al,non,Abonné"]),
    "spanish": ("Correo,Nombre,Fecha de baja,Estado", [f"{LEFT},Al,2020-01-01,", f"{LEFT},Al,,Baja"],
        [f"{STAYED},Al,,Suscrito"]),
    "dutch": ("E-mail,Voornaam,Uitgeschreven op", [f"{LEFT},Al,2020-01-01"], [f"{STAYED},Al,"]),
    "postmark-suppressions": ("EmailAddress,SuppressionReason,Origin,CreatedAt",
        [f"{LEFT},HardBounce,Recipient,2020-01-01T00:00:00Z"], []),
    "mailgun-bounces": ("address,code,error,created_at", [f"{LEFT},550,No such mailbox,2020-01-01"], []),
    "mailgun-complaints": ("address,created_at", [f"{LEFT},2020-01-01"], []),
}  # fmt: skip


def states_of(file: str, mapping: dict[str, str | None] | None = None) -> list[str | None]:
    """What the columns of each row together say; no column may be left undecided."""
    import csv

    from broadsheet_subscriptions.imports.reading.import_row import RowReader

    titles, *rows = list(csv.reader(file.splitlines()))
    columns = open_columns([titles, *rows], [], mapping)
    assert columns.undecided == []
    reader = RowReader(columns.titles, columns.mapping, [], newsletter_id=1)
    return [reader.read(row).state for row in rows[columns.first_row - 1 :]]


@pytest.mark.parametrize("system", EXPORTS)
def test_whoever_left_in_another_system_has_left_here_and_nobody_else(system: str) -> None:
    titles, left, stayed = EXPORTS[system]
    for row in left:
        assert states_of(f"{titles}\n{row}") == ["unsubscribed"], row
    for row in stayed:
        assert states_of(f"{titles}\n{row}") in ([None], ["confirmed"]), row
    both = states_of("\n".join([titles, *stayed, *left]))
    assert both[len(stayed) :] == ["unsubscribed"] * len(left)


def test_each_known_export_is_known_by_its_titles_and_says_something() -> None:
    assert all(any(known.columns.values()) or None in known.columns.values() for known in KNOWN_EXPORTS)
    assert all(title == title.lower() and title.isalnum() for known in KNOWN_EXPORTS for title in known.columns)


@pytest.mark.parametrize(
    ("title", "meaning"),
    [
        ("unsubscribed_at", "opt_out"), ("Unsubscribe Date", "opt_out"), ("emailOptOut", "opt_out"),
        ("Opted Out", "opt_out"),
        ("Hard Bounce", "opt_out"), ("do_not_email", "opt_out"), ("DNC", "opt_out"), ("Blacklisted?", "opt_out"),
        ("email_disabled", "opt_out"), ("Spam complaint date", "opt_out"), ("Abmeldedatum", "opt_out"),
        ("date_desabonnement", "opt_out"), ("Disiscritto", "opt_out"), ("Odhlášen", "opt_out"), ("Wypisany", "opt_out"),
        ("Avregistrerad", "opt_out"), ("Leiratkozott", "opt_out"), ("Descadastrado", "opt_out"), ("Отписан", "opt_out"),
        ("subscribed_to_emails", "opt_in"), ("is_subscribed", "opt_in"), ("Marketing consent", "opt_in"),
        ("Einwilligung", "opt_in"), ("active", "opt_in"), ("Status", "state"), ("Subscription status", "state"),
        ("Abonnentenstatus", "opt_in"), ("Statut", "state"), ("double_opt_in", "confirmation"),
        ("email", None), ("First name", None), ("Country", None), ("SMS consent", None), ("created_at", None),
        ("Phone opt out", None), ("LEID", None), ("Company", None), ("notes", None),
    ],
)  # fmt: skip
def test_a_title_is_understood_by_its_words(title: str, meaning: Meaning | None) -> None:
    said = title_says(title)
    if title == "Abonnentenstatus":
        return  # one word; its cells decide
    assert (said[0] if said else None) == meaning


@pytest.mark.parametrize(
    ("meaning", "cell", "state"),
    [
        ("opt_out", "2024-03-13 11:33:53 UTC", "unsubscribed"), ("opt_out", "0000-00-00 00:00:00", None),
        ("opt_out", "", None), ("opt_out", "null", None), ("opt_out", "0", None), ("opt_out", "false", None),
        ("opt_out", "1", "unsubscribed"), ("opt_out", "3", "unsubscribed"),
        ("opt_out", "too many mails", "unsubscribed"),
        ("opt_out", "1609459200", "unsubscribed"), ("opt_out", "nein", None),
        ("opt_out", "Mar 3, 2021", "unsubscribed"),
        ("opt_in", "false", "unsubscribed"), ("opt_in", "0", "unsubscribed"), ("opt_in", "", None),
        ("opt_in", "TRUE", None),
        ("opt_in", "2020-01-01", None), ("opt_in", "never", "unsubscribed"), ("opt_in", "pending", "pending"),
        ("state", "Unsubscribed", "unsubscribed"), ("state", "hard_bounced", "unsubscribed"),
        ("state", "Active", "confirmed"),
        ("state", "Not confirmed", "pending"), ("state", "NEVER_SUBSCRIBED", "unsubscribed"), ("state", "", None),
        ("state", "Non-subscribed", "unsubscribed"), ("state", "not bounced?", "error"), ("state", "gold", "error"),
        ("opt_in", "perhaps", "error"), ("confirmation", "no", "pending"), ("confirmation", "2020-01-01", None),
        ("confirmation", "", None),
        ("subscriptions", '[{"newsletter_id":1,"state":"unsubscribed"},{"newsletter_id":2,"state":"confirmed"}]',
         "unsubscribed"),
        ("subscriptions", '[{"newsletter_id":2,"state":"confirmed","unsubscribed_at":null}]', None),
        ("subscriptions", '[{"newsletter_id":2,"state":"unsubscribed"}]', "unsubscribed"),
        ("subscriptions", "[1]", "error"), ("subscriptions", "", None),
    ],
)  # fmt: skip
def test_a_cell_is_read_by_the_meaning_of_its_column(meaning: Meaning, cell: str, state: str | None) -> None:
    if state == "error":
        with pytest.raises(ValueError, match=r"\.$"):
            read_state(meaning, cell, 1)
    else:
        assert read_state(meaning, cell, 1) == state


@pytest.mark.parametrize(
    ("titles", "cells"),
    [
        (["email", "State"], ["Texas", "Ohio"]),
        (["email", "Status"], ["gold", "unsubscribed"]),
        (["email", "Deleted"], ["2020-01-01", ""]),
        (["email", "Newsletter"], ["no", "yes"]),
        (["email", "Consent"], ["Terms of 2021", ""]),
        (["email", "Bounce count"], ["3", "0"]),
        (["email", "Stand"], ["abgemeldet", "aktiv"]),
        (["email", "Note"], ["wants no news", "Unsubscribed by phone"]),
        (["email", "tags"], ["vip, unsubscribed", "vip"]),
    ],
)  # fmt: skip
def test_what_only_may_say_so_is_left_to_the_person_who_imports(titles: list[str], cells: list[str]) -> None:
    rows = [titles, *([f"p{n}@example.com", cell] for n, cell in enumerate(cells))]
    columns = open_columns(rows, [], None)
    assert [one.column for one in columns.undecided] == [titles[1]]
    assert sum(columns.undecided[0].values.values()) == len(cells)
    for target in ("opt_out", "opt_in", "state", "ignored"):
        assert open_columns(rows, [], {titles[1]: target}).undecided == []
    if titles[1] != "tags":
        # Null is what an earlier answer says of every column that is not read: nobody has decided it.
        assert open_columns(rows, [], {"email": "email", titles[1]: None}).undecided != []


@pytest.mark.parametrize(
    ("titles", "cells"),
    [
        (["email", "State"], ["CA", "NY"]), (["email", "Marital status"], ["married", "single"]),
        (["email", "Company"], ["Subscribe Ltd", "Acme"]), (["email", "Active since"], ["2020-01-01", ""]),
        (["email", "Opens"], ["3", "0"]), (["email", "Newsletter"], ["yes", ""]),
    ],
)  # fmt: skip
def test_what_has_nothing_to_do_with_it_is_not_asked_about(titles: list[str], cells: list[str]) -> None:
    rows = [titles, *([f"p{n}@example.com", cell] for n, cell in enumerate(cells))]
    assert open_columns(rows, [], None).undecided == []


def test_what_is_known_to_say_so_cannot_be_made_something_else_by_the_way() -> None:
    attributes = [KnownAttribute("gone", "date", "Gone")]
    rows = [["email", "unsubscribed_at"], ["a@example.com", "2020-01-01"]]
    assert open_columns(rows, attributes, {"email": "email"}).mapping["unsubscribed_at"] == "opt_out"
    assert (
        open_columns(rows, attributes, {"email": "email", "unsubscribed_at": None}).mapping["unsubscribed_at"]
        == "opt_out"
    )
    [undecided] = open_columns(rows, attributes, {"email": "email", "unsubscribed_at": "attribute:gone"}).undecided
    assert undecided.column == "unsubscribed_at"
    ignored = open_columns(rows, attributes, {"unsubscribed_at": "ignored"})
    assert (ignored.undecided, ignored.mapping) == ([], {"email": "email", "unsubscribed_at": "ignored"})


def test_attributes_of_our_own_that_sound_like_it_are_exported_under_a_title_that_does_not() -> None:
    names = ["active", "unsubscribed_at", "status", "city"]
    attributes = [KnownAttribute(name, "text", name) for name in names]
    assert titles_of_attributes(["email"], attributes, []) == [
        "attribute:active", "attribute:unsubscribed_at", "attribute:status", "city",
    ]  # fmt: skip
    row = ["a@example.com", "false", "2020-01-01", "unsubscribed", "Wien"]
    columns = open_columns([["email", *titles_of_attributes(["email"], attributes, [])], row], attributes, None)
    assert (columns.undecided, [target for target in columns.mapping.values() if target == "opt_out"]) == ([], [])


def test_values_that_are_shown_are_words_and_not_what_somebody_wrote_once() -> None:
    rows = [["email", "Status"]]
    rows += [[f"p{n}@example.com", cell] for n, cell in enumerate(["gold", "gold", "unsubscribed", "Call Ann at home"])]
    rows += [["p9@example.com", "other@example.com"], ["p8@example.com", "2020-01-01"], ["p7@example.com", ""]]
    [undecided] = open_columns(rows, [], None).undecided
    assert undecided.values == {
        "gold": 2, "unsubscribed": 1, "(a date or time)": 1, "(blank)": 1, "(other texts)": 2,
    }  # fmt: skip


def test_a_kind_is_found_for_any_text() -> None:
    assert {kind_of(cell) for cell in ("", "x" * 10_000, "\0", "\ud800", "٣", "²", "1" * 400)} <= {
        "blank", "no", "yes", "time", "number", "in", "waiting", "left", "other",
    }  # fmt: skip


# Through the API, on a database -----------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["confirmed", "pending"])
async def test_nobody_whom_a_column_says_left_is_confirmed_or_asked(
    subscriptions: Subscriptions, importing: Importing, given: str
) -> None:
    for system, (titles, left, _) in EXPORTS.items():
        rows = [row.replace(LEFT, f"{system}-{n}@example.com") for n, row in enumerate(left)]
        found = await importing.run("\n".join([titles, *rows]), state=given)
        assert (found["status"], found["undecided_columns"]) == ("done", []), system
    assert {state for (state,) in importing.people("state")} == {"unsubscribed"}
    assert len(importing.people()) == sum(len(left) for _, left, _ in EXPORTS.values())
    assert subscriptions.mails() == []


async def test_a_column_that_may_say_so_stops_the_import_until_it_is_decided(
    subscriptions: Subscriptions, importing: Importing
) -> None:
    file = "email,Standing\na@example.com,good\nb@example.com,unsubscribed\nc@example.com,good\n"
    found = await importing.run(file)
    assert (found["status"], found["counts"]["rows"]) == ("failed", 0)
    assert "“Standing”" in found["status_reason"]
    assert "`ignored`" in found["status_reason"]
    assert importing.people() == []
    [undecided] = found["undecided_columns"]
    assert (undecided["column"], undecided["values"]) == ("Standing", {"good": 2, "unsubscribed": 1})
    refused = await importing.post(f"/{found['id']}/start")
    problem = refused.json()
    assert (refused.status_code, problem["type"]) == (422, "urn:broadsheet:problem:undecided-columns")
    assert problem["errors"][0]["pointer"] == "/mapping/Standing"
    assert "unsubscribed" in problem["errors"][0]["detail"]
    assert (await importing.post(f"/{found['id']}/start", {"mapping": {"Standing": None}})).status_code == 422
    assert (await importing.post(f"/{found['id']}/start", {"mapping": {"email": "email"}})).status_code == 422
    assert (await importing.post(f"/{found['id']}/start", {"mapping": {"Standing": "opt_out"}})).status_code == 202
    assert (await importing.ended(found["id"]))["mapping"] == {"email": "email", "Standing": "opt_out"}
    assert {state for (state,) in importing.people("state")} == {"unsubscribed"}


async def test_a_dry_run_names_what_is_undecided_and_its_start_takes_the_decision(importing: Importing) -> None:
    dry = await importing.run("email,State\na@example.com,Texas\nb@example.com,Ohio\n", dry_run=True)
    assert (dry["status"], [one["column"] for one in dry["undecided_columns"]]) == ("checked", ["State"])
    assert (await importing.post(f"/{dry['id']}/start")).status_code == 422
    again = await importing.post(f"/{dry['id']}/start", {"dry_run": True, "mapping": {"State": "ignored"}})
    assert again.status_code == 202
    assert (await importing.ended(dry["id"]))["undecided_columns"] == []
    assert (await importing.post(f"/{dry['id']}/start")).status_code == 202
    assert (await importing.ended(dry["id"]))["counts"]["created"] == 2
    found = importing.audited(dry["id"])
    assert found == ["import.created", "import.checked", "import.started"], "a dry run starts nothing"


async def test_a_decision_can_come_with_the_file(importing: Importing) -> None:
    file = "email,Standing\na@example.com,good\nb@example.com,unsubscribed\n"
    mapping = json.dumps({"Standing": "ignored"})
    assert (await importing.run(file, mapping=mapping))["counts"]["created"] == 2
    assert {state for (state,) in importing.people("state")} == {"confirmed"}


async def test_a_status_that_is_not_known_costs_its_row_alone(importing: Importing) -> None:
    found = await importing.run("email,status\na@example.com,active\nb@example.com,\n" + "c@example.com,gone fishing\n",
                                mapping='{"status": "state"}')  # fmt: skip
    assert (found["counts"]["created"], found["counts"]["rejected"]) == (2, 1)
    assert "status: This status is not known" in await importing.rejects(found["id"])


@pytest.mark.parametrize("filler", [0, 12_000], ids=["one-batch", "later-batch"])
@pytest.mark.parametrize("given", ["confirmed", "pending"])
async def test_any_row_of_an_address_may_say_that_its_person_left(
    subscriptions: Subscriptions, importing: Importing, given: str, filler: int
) -> None:
    """Lists of several lists have a person once for each."""
    rows = ["ann@example.com,subscribed,", "bob@example.com,unsubscribed,"]
    rows += [f"r{n}@example.com,subscribed,{'x' * 180}" for n in range(filler)]
    rows += ["ann@example.com,unsubscribed,", "bob@example.com,subscribed,"]
    found = await importing.run("\n".join(["email,status,other", *rows]), state=given)
    assert (found["counts"]["created"], found["counts"]["skipped"]["duplicate"]) == (filler + 2, 2)
    states = dict(importing.people("email, state")[:2])
    assert states == {"ann@example.com": "unsubscribed", "bob@example.com": "unsubscribed"}
    assert {to for to, *_ in subscriptions.mails()} & set(states) == set()
    if not filler:
        undone = await importing.post(f"/{found['id']}/undo")
        assert undone.status_code == 202
        assert (await importing.ended(found["id"]))["undo"]["removed"] == 2
        assert importing.people() == []


async def test_who_is_here_keeps_what_they_chose_and_who_was_not_asked_yet_is_not_asked_any_more(
    subscriptions: Subscriptions, importing: Importing
) -> None:
    await subscriptions.subscribe_and_confirm("confirmed@example.com")
    await subscriptions.sign_up("pending@example.com")
    first = await importing.run("email\nwaiting@example.com\n", state="pending", dry_run=True)
    subscriptions.rows("UPDATE subscriptions.import_mail_pace SET next_at = now() + interval '1 day'")
    await importing.post(f"/{first['id']}/start")
    await importing.ended(first["id"])
    addresses = ["confirmed@example.com", "pending@example.com", "waiting@example.com"]
    file = "\n".join(["Email Address,UNSUB_TIME,LEID", *(f"{one},2023-07-23 12:19:27,1" for one in addresses)])
    counted = (await importing.run(file, dry_run=True))["counts"]
    found = await importing.run(file)
    assert found["counts"] == counted
    assert (found["counts"]["updated"], found["counts"]["unchanged"]) == (1, 2)
    states: dict[str, Any] = dict(importing.people("email, state"))
    assert states == {
        "confirmed@example.com": "confirmed", "pending@example.com": "pending", "waiting@example.com": "unsubscribed",
    }  # fmt: skip


async def test_an_export_of_all_newsletters_brings_nobody_back_to_the_one_that_they_left(
    subscriptions: Subscriptions, importing: Importing
) -> None:
    await subscriptions.subscribe_and_confirm("ada@example.com")
    await subscriptions.subscribe_and_confirm("bob@example.com")
    await subscriptions.public("unsubscribes", token=subscriptions.unsubscribe_token("bob@example.com"))
    response = await subscriptions.client.get("/api/v1/exports/subscribers", headers=subscriptions.identity("read"))
    subscriptions.rows("TRUNCATE subscriptions.subscriber CASCADE")
    found = await importing.run(response.content)
    assert (found["status"], found["undecided_columns"]) == ("done", [])
    assert importing.people("email, state") == [("ada@example.com", "confirmed"), ("bob@example.com", "unsubscribed")]


async def test_who_came_back_here_is_confirmed_again_after_an_export_and_an_import(
    subscriptions: Subscriptions, importing: Importing
) -> None:
    """The time of an earlier leaving stays with a subscription; its state is what counts."""
    await subscriptions.subscribe_and_confirm("ada@example.com")
    subscriptions.rows("UPDATE subscriptions.subscription SET unsubscribed_at = now() - interval '1 year'")
    response = await subscriptions.client.get(
        "/api/v1/exports/subscribers", params={"newsletter_id": 1}, headers=subscriptions.identity("read")
    )
    subscriptions.rows("TRUNCATE subscriptions.subscriber CASCADE")
    await importing.run(response.content)
    assert importing.people("email, state") == [("ada@example.com", "confirmed")]
