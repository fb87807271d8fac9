"""A batch leaves what the same single calls leave, row for row over all tables, and gives the same answers."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from litestar.testing import AsyncTestClient

from broadsheet_common.contracts.identity import IdentityMinter
from broadsheet_subscriptions.app import create_app
from harness.cluster import Cluster, Database
from harness.keys import identity_keys

from ..conftest import Subscriptions, settings_for

TRACE = {"traceparent": f"00-{'4' * 32}-{'1' * 16}-01"}
STATES = ("a-confirmed", "b-pending", "c-departed")
MASKED_TYPES = ("timestamp with time zone", "uuid")
"""Moments, and numbers drawn at random: only whether there is one is compared."""
MASKED_COLUMNS = frozenset({"sealed", "traceparent"})
"""A secret that is drawn at random; the part of a trace that is this request's own."""

UNORDERED = ("subscriptions.webhook_delivery", "id")
"""A chunk queues the events of its new subscriptions before those of the others."""


@asynccontextmanager
async def running(database: Database) -> AsyncGenerator[Subscriptions]:
    """As in production, but the tokens of confirmation links are numbers, so that rows can be compared."""
    numbers = count()
    app = create_app(settings_for(database), token_source=lambda: f"token-{next(numbers):030}", sends_webhooks=False)
    async with AsyncTestClient(app) as client:
        client.headers.update(TRACE)
        yield Subscriptions(app, client, IdentityMinter(identity_keys()[0]), database.owner_url)


async def furnish(subscriptions: Subscriptions) -> None:
    """People in every state, an attribute of each type, a second newsletter, and an endpoint for webhooks."""
    subscriptions.add_newsletter("second")
    for name, type_ in (("city", "text"), ("age", "number"), ("member", "boolean"), ("born", "date")):
        made = await subscriptions.api("POST", "attributes", {"name": name, "type": type_, "label": name})
        assert made.status_code == 201
    made = await subscriptions.client.post(
        "/api/v1/webhook-endpoints",
        json={"url": "https://hooks.example.com/", "events": ["subscriber.subscribed", "subscriber.confirmed"]},
        headers=subscriptions.identity("admin"),
    )
    assert made.status_code == 201, made.text
    for name in STATES:
        await subscriptions.sign_up(f"{name}@example.com")
    for token, name in enumerate(STATES):
        if name != "b-pending":
            await subscriptions.public("confirmations", token=f"token-{token:030}")
    await subscriptions.public("unsubscribes", token=subscriptions.unsubscribe_token("c-departed@example.com"))
    subscriptions.end_cool_down()
    await subscriptions.sign_up("recent@example.com")


def items_for(subscriptions: Subscriptions, tags: dict[int, str]) -> list[dict[str, Any]]:
    """Addresses are in order, those that exist come first, and whoever gets no mail comes last: in this order a
    statement numbers rows and draws tokens.
    """
    ids = dict(subscriptions.rows("SELECT email_key, id FROM subscriptions.subscriber"))
    confirmed, pending, recent = (ids[f"{name}@example.com"] for name in ("a-confirmed", "b-pending", "recent"))
    return [
        {"create": {"email": "a-confirmed@example.com", "name": "Other", "newsletter_id": 2, "tags": ["not taken"]}},
        {"create": {"email": "b-pending@example.com", "name": "Other", "attributes": {"age": 1}}},
        {"create": {"email": "c-departed@example.com", "name": "Other"}},
        {"create": {"email": "Dora@example.com", "name": "Dora"}},
        {"create": {"email": "eve@example.com", "name": "Eve", "newsletter_id": 77}},
        {"create": {"email": "fred@example.com", "name": "Fred", "attributes": {"age": "old", "size": 3}}},
        {"create": {
            "email": "gail@example.com", "name": "Gail", "newsletter_id": 2, "tags": ["b", "a", "b"],
            "attributes": {"city": "Zürich", "age": 3.5, "member": True, "born": "1990-01-02"},
        }},
        {"create": {"email": "no address", "name": ""}},
        {"change": {"id": recent, "name": "  Re\u0301cent  One ", "tags": ["y", "x"]}},
        {"change": {"id": 77, "name": "Nobody"}},
        {"change": {"id": recent, "attributes": {"age": 4, "city": "Oslo", "member": False}}},
        {"change": {"id": recent, "attributes": {"age": None, "born": "2000-02-29"}, "tags": []}},
        {"change": {"id": pending, "if_match": '"old"', "name": "Nobody"}},
        {"change": {"id": confirmed, "if_match": tags[confirmed], "name": "No longer what it was"}},
        {"change": {"id": pending, "name": "", "tags": ["", "x"], "attributes": {"size": 1}}},
        {"change": {"id": recent}},
        {"create": {"email": "dora@example.com", "name": "Second", "newsletter_id": 2}},
        {"create": {"email": "dora+tag@example.com", "name": "Third", "tags": ["third"]}},
        {"create": {"email": "dora@example.com", "name": "Fourth"}},
        {"create": {"email": "recent@example.com", "name": "Other"}},
    ]  # fmt: skip


def everything(subscriptions: Subscriptions) -> dict[str, list[str]]:
    """Every row of every table, as text."""
    columns: dict[str, list[str]] = {}
    for table, column, type_ in subscriptions.rows(
        """
        SELECT format('%%I.%%I', nspname, relname), attname, format_type(atttypid, NULL)
          FROM pg_attribute
          JOIN pg_class ON pg_class.oid = attrelid
          JOIN pg_namespace ON pg_namespace.oid = relnamespace
         WHERE relkind = 'r' AND attnum > 0 AND NOT attisdropped
           AND nspname NOT LIKE 'pg\\_%%' AND nspname <> 'information_schema'
         ORDER BY 1, attnum
        """
    ):
        is_masked = type_ in MASKED_TYPES or column in MASKED_COLUMNS or (table, column) == UNORDERED
        shown = f'"{column}" IS NULL' if is_masked else f'"{column}"::text'
        columns.setdefault(table, []).append(f"'{column}', {shown}")
    return {
        table: [
            str(row)
            for (row,) in subscriptions.rows(
                f"SELECT jsonb_build_object({', '.join(those)}) AS one FROM {table} ORDER BY 1"
            )
        ]
        for table, those in columns.items()
    }


def plain(value: Any) -> Any:
    """The answer without its moments and its path."""
    if isinstance(value, dict):
        return {
            name: bool(member) if name.endswith("_at") else plain(member)
            for name, member in value.items()
            if name != "instance"
        }
    return [plain(one) for one in value] if isinstance(value, list) else value


async def one_by_one(subscriptions: Subscriptions, items: list[dict[str, Any]]) -> list[tuple[int, Any]]:
    answers = []
    for item in items:
        kind, body = next(iter(item.items()))
        headers = subscriptions.identity("write")
        if kind == "create":
            answer = await subscriptions.client.post("/api/v1/subscribers", json=body, headers=headers)
        else:
            headers |= {"If-Match": body.get("if_match", "*")}
            sent = {name: value for name, value in body.items() if name not in {"id", "if_match"}}
            path = f"/api/v1/subscribers/{body['id']}"
            answer = await subscriptions.client.patch(path, json=sent, headers=headers)
        shown = answer.json()
        for error in shown.get("errors", []):
            error["pointer"] = f"/{kind}{error['pointer']}"
        answers.append((answer.status_code, plain(shown)))
    return answers


async def together(subscriptions: Subscriptions, items: list[dict[str, Any]]) -> list[tuple[int, Any]]:
    answer = await subscriptions.client.post(
        "/api/v1/subscribers/batch", json={"items": items}, headers=subscriptions.identity("write")
    )
    assert answer.status_code == 200, answer.text
    return [(one["status"], plain(one["subscriber"] or one["problem"])) for one in answer.json()["items"]]


async def test_a_batch_leaves_and_answers_what_the_same_single_calls_do(cluster: Cluster) -> None:
    found = []
    for send in (one_by_one, together):
        with cluster.database() as database:
            async with running(database) as subscriptions:
                await furnish(subscriptions)
                before = everything(subscriptions)
                tags = {
                    subscriber_id: (await subscriptions.get(f"/{subscriber_id}")).headers["etag"]
                    for (subscriber_id,) in subscriptions.rows("SELECT id FROM subscriptions.subscriber")
                }
                answers = await send(subscriptions, items_for(subscriptions, tags))
                found.append((before, answers, everything(subscriptions)))
    (before, single_answers, single), (before_too, batch_answers, batch) = found
    assert before == before_too
    assert [status for status, _ in single_answers] == [
        200, 200, 200, 201, 422, 422, 201, 422, 200, 404, 200, 200, 412, 412, 422, 200, 200, 201, 200, 200,
    ]  # fmt: skip
    assert batch_answers == single_answers
    for table in single:
        assert batch[table] == single[table], table
    changed = {table for table in single if single[table] != before[table]}
    # The comparison is of something: each of these has rows that the calls have made.
    assert changed >= {
        "subscriptions.subscriber", "subscriptions.subscription", "subscriptions.subscriber_tag",
        "subscriptions.confirmation_token", "subscriptions.mailbox_quota", "subscriptions.consent_event",
        "subscriptions.unsettled_mail", "subscriptions.webhook_delivery", "delivery.single_mail", "audit.waiting",
    }  # fmt: skip
