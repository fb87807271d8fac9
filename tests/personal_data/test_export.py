"""What is held on a person is shown whole: compared with the catalogue, so that no column is forgotten."""

import re

from broadsheet_subscriptions.personal_data.records import RECORDS
from harness.seeding import Seed
from harness.system import System

from .marker import AUDIENCE_ISSUE_ID, EMAIL, KEY, NAME, OLD_EMAIL, OTHER, own_page_after_change, plant

SHOWN_BY_DELIVERY = {
    "delivery.delivery.subscriber_id": "deliveries",
    "delivery.delivery.seq": "deliveries",
    "delivery.delivery_outcome.seq": "deliveries",
    "delivery.outcome_history.seq": "deliveries",
    "delivery.single_mail.seq": "deliveries",
    "delivery.departure.seq": "deliveries",
    "delivery.provider_event.seq": "provider_events",
    "delivery.issue_engagement.members": "engagement_by_issue",
    "delivery.daily_engagement.members": "engagement_by_day",
    "delivery.provider_event.email_key": "provider_events",
    "delivery.single_mail.to_email": "single_mails",
    "delivery.single_mail.subscriber_id": "single_mails",
    "delivery.suppression.email_key": "suppressions",
}
"""Columns of delivery that say whom a row is about, and the section that shows the row."""
SHOWN_ELSEWHERE = {
    "subscriptions.subscriber_tag.subscriber_id": "the subscriber's tags turned round, by triggers",
    "subscriptions.unsettled_mail.consent_event_id": "a queue of consents",
    "delivery.engagement_queue.seq": "of events that are shown",
}
"""Columns of rows that say nothing of their own."""
LEADS_TO_NOBODY = {
    "delivery.erasure.subscriber_id": "of somebody who was erased",
    "delivery.erasure.email_key": "of somebody who was erased, until it is finished",
    "delivery.erased_address.address_hash": "of somebody who was erased",
    "delivery.erased_suppression.address_hash": "of somebody who was erased",
    "subscriptions.erasure.subscriber_id": "of somebody who was erased",
    "publishing.fan_out.cursor_subscriber_id": "how far a list was read",
    "publishing.newsletter.from_email": "the sender",
    "publishing.newsletter.postal_address": "the sender",
    "gateway.user_account.email": "somebody who works here",
    "gateway.user_account.email_key": "somebody who works here",
    "gateway.email_change.new_email": "somebody who works here",
    "gateway.email_change.new_email_key": "somebody who works here",
    "gateway.email_change.old_email_key": "somebody who works here",
    "gateway.invitation.email": "somebody who is to work here",
    "gateway.invitation.email_key": "somebody who is to work here",
}
_ABOUT = re.compile(r"(^|_)(subscriber|email|address|person|recipient|mailbox|members)(_|$)|^seq$")


def _columns(seed: Seed) -> list[str]:
    """Of every table: those whose name speaks of a person or an address, or that refer to a person's rows, if only
    through other tables.
    """
    rows = seed.execute(
        """
        WITH RECURSIVE theirs (relation) AS (
            SELECT 'subscriptions.subscriber'::regclass::oid
            UNION SELECT conrelid FROM pg_constraint JOIN theirs ON confrelid = relation WHERE contype = 'f'
        )
        SELECT nspname, relname, attname,
               EXISTS (SELECT FROM pg_constraint
                        WHERE contype = 'f' AND conrelid = pg_class.oid AND attnum = ANY (conkey)
                          AND confrelid IN (SELECT relation FROM theirs)) AS refers
          FROM pg_attribute
          JOIN pg_class ON pg_class.oid = attrelid
          JOIN pg_namespace ON pg_namespace.oid = relnamespace
         WHERE relkind IN ('r', 'p') AND NOT relispartition AND attnum > 0 AND NOT attisdropped
           AND nspname IN ('subscriptions', 'publishing', 'delivery', 'gateway')
         ORDER BY 1, 2, attnum
        """
    )
    return [
        f"{schema}.{table}.{column}" for schema, table, column, refers in rows if refers or _ABOUT.search(str(column))
    ]


def test_every_column_that_says_whom_a_row_is_about_is_in_the_export_or_has_a_reason(seed: Seed) -> None:
    listed = {f"{record.table}.{column}" for record in RECORDS for column in (*record.columns, *record.withheld)}
    known = listed | SHOWN_BY_DELIVERY.keys() | SHOWN_ELSEWHERE.keys() | LEADS_TO_NOBODY.keys()
    found = _columns(seed)
    assert len(found) > 12
    assert [column for column in found if column not in known] == []


def test_every_column_of_a_table_that_is_exported_is_shown_or_withheld_for_a_reason(seed: Seed) -> None:
    for record in RECORDS:
        schema, _, table = record.table.partition(".")
        columns = seed.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s",
            (schema, table),
        )
        assert {str(name) for (name,) in columns} == {*record.columns, *record.withheld}, record.table
        assert all(record.withheld.values())


def test_what_goes_with_the_subscribers_row_refers_to_it(seed: Seed) -> None:
    """A table that says so and has no foreign key that cascades would be left behind."""
    for record in RECORDS:
        rows = seed.execute(
            "SELECT confdeltype::text FROM pg_constraint WHERE contype = 'f' AND conrelid = %s::regclass",
            (record.table,),
        )
        if record.erased_by == "the subscriber's row" and record.section != "subscriber":
            assert {str(kind) for (kind,) in rows} & {"c", "n"}, record.table


async def test_the_operator_and_the_person_are_shown_the_same_and_all_of_it(system: System) -> None:
    person = await plant(system)
    # What became of the sign-up mails is noted in the background; from here on, no more of it.
    await system.run_sql("UPDATE subscriptions.unsettled_mail SET look_at = 'infinity'")
    operators = await system.api.get(f"/api/v1/subscribers/{person}/export")
    assert operators.status_code == 200, operators.text
    shown = operators.json()
    records = shown["records"]
    assert records.keys() == {record.section for record in RECORDS} | set(SHOWN_BY_DELIVERY.values())
    assert shown["truncated"] == []
    assert [(one["email"], one["name"]) for one in records["subscriber"]] == [(EMAIL, NAME)]
    assert [one["state"] for one in records["subscriptions"]] == ["confirmed", "pending"]
    assert {(one["old_email"], one["new_email"]) for one in records["address_changes"]} >= {(OLD_EMAIL, EMAIL)}
    assert [one["outcome"] for one in records["deliveries"]] == ["suppressed", "accepted"]
    assert {one["type"] for one in records["provider_events"]} == {"Delivery", "Open", "Bounce"}
    assert {one["kind"] for one in records["suppressions"]} == {"inactive", "manual"}
    assert {one["email"] for one in records["single_mails"]} == {OLD_EMAIL, EMAIL}
    assert {one["kind"] for one in records["single_mails"]} == {
        "confirmation", "preferences_link", "address_change", "address_notice",
    }  # fmt: skip
    consents = [(one["kind"], one["source"]) for one in records["consents"] if one["source"] != "system"]
    assert consents == [("requested", "form"), ("confirmed", "link"), ("requested", "api")]
    assert [one["mails"] for one in records["sign_up_mail_counts"]] == [1, 1]
    assert [one["issue_id"] for one in records["audiences"]] == [AUDIENCE_ISSUE_ID]
    assert [one["event"] for one in records["engagement_by_issue"]] == ["opened", "received"]
    assert {one["event"] for one in records["engagement_by_day"]} == {"opened", "received"}
    assert [one["type"] for one in records["webhook_deliveries"]] == ["subscriber.subscribed", "subscriber.confirmed"]
    assert f"Welcome, {OLD_EMAIL}" in [one["answer"] for one in records["webhook_attempts"]]
    [subscriber] = records["subscriber"]
    assert subscriber["attributes"] == {"nickname": NAME, "second_address": EMAIL}
    assert subscriber["tags"] == [f"friend of {NAME}"]
    assert OTHER not in operators.text

    page = await own_page_after_change(system)
    download = await system.visitor.post(f"{page}/download")
    assert download.status_code == 200
    assert download.headers["content-type"].startswith("application/json")
    assert download.headers["content-disposition"] == 'attachment; filename="my-data.json"'
    own = download.json()
    operators = await system.api.get(f"/api/v1/subscribers/{person}/export")
    assert own.keys() == operators.json().keys()
    assert own["records"] == operators.json()["records"]


async def test_no_credential_is_in_the_export(system: System) -> None:
    person = await plant(system)
    text = (await system.api.get(f"/api/v1/subscribers/{person}/export")).text
    for mail in system.oracle.messages():
        for part in ("/preferences/", "/change-of-address/", "subscription_token="):
            if part in mail.text:
                token = mail.text.partition(part)[2].split()[0]
                assert len(token) > 30
                assert token not in text
    assert "html_body" not in text
    assert KEY in text.lower()


async def test_nobody_is_not_found_and_an_id_out_of_range_is_a_bad_request(system: System) -> None:
    assert (await system.api.get("/api/v1/subscribers/987654321/export")).status_code == 404
    assert (await system.api.get(f"/api/v1/subscribers/{2**63}/export")).status_code == 400
    assert (await system.api.post("/api/v1/subscribers/987654321/erase", json={})).status_code == 404
    assert (await system.api.post("/api/v1/subscribers/1/erase", json={"x": 1})).status_code == 400
