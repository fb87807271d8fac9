"""Every operation of the services' API that changes something, each done once, for tests that look at what all of
them have in common.

Some need a state of things which only the services' own tests bring about: `NOT_HERE`.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from harness.system import System
from harness.waiting import eventually

NOT_HERE: Final = frozenset({
    "chooseWinner", "decideApproval", "decideDelivery", "decideUncertainDeliveries", "retryFailedDeliveries",
    "startImport", "cancelImport", "undoImport",
})  # fmt: skip


ANY_VERSION: Final = {"if-match": "*"}


class Visitor(Protocol):
    """Sends the requests. `secrets`: those that answers have shown."""

    secrets: list[str]

    async def do(self, operation: str, method: str, path: str, **request: Any) -> Any:
        """The answer's body."""


async def visit_every_operation(system: System, visitor: Visitor) -> None:
    await _subscribers(system, visitor)
    await _settings(system, visitor)
    await _content(system, visitor)
    await _sending(system, visitor)


async def _subscribers(system: System, visitor: Visitor) -> None:
    do = visitor.do
    await do(
        "createAttribute", "POST", "/api/v1/attributes", json={"name": "berth", "type": "text", "label": "Lovelace"}
    )
    attribute = await system.api.get("/api/v1/attributes/berth")
    await do(
        "changeAttribute",
        "PATCH",
        "/api/v1/attributes/berth",
        json={"label": "High water"},
        headers={"if-match": attribute.headers["etag"]},
    )
    person = await do(
        "createSubscriber",
        "POST",
        "/api/v1/subscribers",
        json={
            "email": "ada@harbour.example",
            "name": "Ada Lovelace",
            "attributes": {"berth": "berth four"},
            "tags": ["night-watch"],
        },
    )
    of_person = f"/api/v1/subscribers/{person['id']}"
    shown = await system.api.get(of_person)
    await do(
        "changeSubscriber", "PATCH", of_person, json={"name": "Augusta"}, headers={"if-match": shown.headers["etag"]}
    )
    items = [{"change": {"id": person["id"], "name": "Ada Lovelace"}}]
    await do("writeSubscribers", "POST", "/api/v1/subscribers/batch", json={"items": items})
    # Earlier than the time in which no second mail is sent.
    system.seed.execute("UPDATE subscriptions.subscription SET confirmation_queued_at = now() - interval '1 hour'")
    await do("sendConfirmationAgain", "POST", f"{of_person}/send-confirmation", json={"newsletter_id": 1})
    await do("unsubscribeSubscriber", "POST", f"{of_person}/unsubscribe", json={})
    await do("exportSubscriber", "GET", f"{of_person}/export")
    await do("exportSubscribers", "GET", "/api/v1/exports/subscribers", params={"format": "jsonl"})
    await do("eraseSubscriber", "POST", f"{of_person}/erase", json={})
    await do("removeAttribute", "DELETE", "/api/v1/attributes/berth")
    segment = await do(
        "createSegment",
        "POST",
        "/api/v1/segments",
        json={"name": "A private segment", "filter": {"field": "email", "op": "eq", "value": "grace@harbour.example"}},
    )
    of_segment = f"/api/v1/segments/{segment['id']}"
    kept = await system.api.get(of_segment)
    await do(
        "changeSegment", "PATCH", of_segment, json={"name": "Lovelace"}, headers={"if-match": kept.headers["etag"]}
    )
    await do("deleteSegment", "DELETE", of_segment)
    await do(
        "createImport",
        "POST",
        "/api/v1/imports",
        params={"consent_basis": "Look at this", "dry_run": "true"},
        content=b"email,name\ngrace@harbour.example,Augusta\n",
        headers={"content-type": "text/csv"},
    )


async def _settings(system: System, visitor: Visitor) -> None:
    do = visitor.do
    newsletter = await do(
        "createNewsletter",
        "POST",
        "/api/v1/newsletters",
        json={"name": "Monthly harbour", "postal_address": "1 Quay", "from_email": "office@harbour.example"},
    )
    of_newsletter = f"/api/v1/newsletters/{newsletter['id']}"
    shown = await system.api.get(of_newsletter)
    await do(
        "changeNewsletter",
        "PATCH",
        of_newsletter,
        json={
            "name": "Monthly harbour, once more",
            "track_opens": True,
            "welcome_mail": {"enabled": True, "subject": "A secret subject", "content": "High water"},
        },
        headers={"if-match": shown.headers["etag"]},
    )
    await do(
        "sendWelcomeTestMail", "POST", f"{of_newsletter}/welcome-mail/test", json={"to": ["office@harbour.example"]}
    )
    await do("archiveNewsletter", "POST", f"{of_newsletter}/archive")
    await do("unarchiveNewsletter", "POST", f"{of_newsletter}/unarchive")
    layout = await do(
        "createLayout",
        "POST",
        "/api/v1/layouts",
        json={"name": "A private layout", "format": "html", "source": LAYOUT},
    )
    of_layout = f"/api/v1/layouts/{layout['id']}"
    kept = await system.api.get(of_layout)
    await do(
        "changeLayout", "PATCH", of_layout, json={"name": "tide-tables"}, headers={"if-match": kept.headers["etag"]}
    )
    await do("deleteLayout", "DELETE", of_layout)
    endpoint = await do(
        "createWebhookEndpoint",
        "POST",
        "/api/v1/webhook-endpoints",
        json={
            "url": "http://127.0.0.1:49151/tide-tables",
            "events": ["subscriber.confirmed"],
            "description": "hooks.harbour.example",
        },
    )
    visitor.secrets.append(endpoint["secret"])
    of_endpoint = f"/api/v1/webhook-endpoints/{endpoint['id']}"
    await do(
        "updateWebhookEndpoint",
        "PATCH",
        of_endpoint,
        json={"description": "Lovelace", "enabled": True},
        headers=ANY_VERSION,
    )
    rotated = await do("rotateWebhookSecret", "POST", f"{of_endpoint}/rotate-secret", json={})
    visitor.secrets.append(rotated["secret"])
    sent = await do("sendTestWebhook", "POST", f"{of_endpoint}/test")
    await eventually(_settled(system, sent["id"]), what="the test message was tried")
    await do("retryWebhookDelivery", "POST", f"/api/v1/webhook-deliveries/{sent['id']}/retry")
    await do("deleteWebhookEndpoint", "DELETE", of_endpoint)


def _settled(system: System, delivery_id: int) -> Any:
    async def settled() -> bool:
        shown = await system.api.get(f"/api/v1/webhook-deliveries/{delivery_id}")
        return bool(shown.json()["attempts"])

    return settled


async def _content(system: System, visitor: Visitor) -> None:
    do = visitor.do
    await system.confirmed_subscriber("grace@harbour.example", "Ada Lovelace")
    issue = await do(
        "createIssue",
        "POST",
        "/api/v1/issues",
        json={"title": "High water", "content": "tide-tables", "subject": "A secret subject"},
    )
    of_issue = f"/api/v1/issues/{issue['id']}"
    shown = await system.api.get(of_issue)
    await do(
        "changeIssue",
        "PATCH",
        of_issue,
        json={"content": "tide-tables, once more"},
        headers={"if-match": shown.headers["etag"]},
    )
    shown = await system.api.get(of_issue)
    await do("restoreRevision", "POST", f"{of_issue}/revisions/1/restore", headers={"if-match": shown.headers["etag"]})
    await do("sendTestMail", "POST", f"{of_issue}/test", json={"to": ["grace@harbour.example"]})
    await do("requestApproval", "POST", f"{of_issue}/approval", json={"note": "Look at this"})
    await do("duplicateIssue", "POST", f"{of_issue}/duplicate")
    in_a_month = datetime.now(UTC) + timedelta(days=30)
    await do("scheduleIssue", "POST", f"{of_issue}/schedule", json={"at": in_a_month.isoformat()})
    await do("unscheduleIssue", "DELETE", f"{of_issue}/schedule")
    spare = (await system.api.post("/api/v1/issues", json={"title": "Lovelace"})).json()
    await do("deleteIssue", "DELETE", f"/api/v1/issues/{spare['id']}")
    await do("publishIssue", "POST", f"{of_issue}/publish", json={})
    await do("changeArchive", "POST", f"{of_issue}/archive", json={"in_archive": not shown.json()["in_archive"]})
    await do("pauseIssue", "POST", f"{of_issue}/pause", json={"reason": "too much mail"})
    await do("resumeIssue", "POST", f"{of_issue}/resume")
    await do("cancelIssue", "POST", f"{of_issue}/cancel")


async def _sending(system: System, visitor: Visitor) -> None:
    do = visitor.do
    await do("changeSenders", "PATCH", "/api/v1/senders", json={"messages_per_s_max": 100}, headers=ANY_VERSION)
    await do("changeSenders", "PATCH", "/api/v1/senders", json={"messages_per_s_max": None}, headers=ANY_VERSION)
    await do("pauseSenders", "POST", "/api/v1/senders/pause", json={"reason": "too much mail"})
    await do("resumeSenders", "POST", "/api/v1/senders/resume")
    suppression = await do(
        "createSuppression",
        "POST",
        "/api/v1/suppressions",
        json={"email": "ada@harbour.example", "stream": "broadcast", "note": "too much mail"},
    )
    await do("deleteSuppression", "DELETE", f"/api/v1/suppressions/{suppression['id']}")


LAYOUT: Final = """<!doctype html><html lang="en"><head><title>tide-tables</title></head>
<body>{{ content }}<p>{{ newsletter.postal_address }}
<a href="{{ unsubscribe_url }}">Unsubscribe</a></p></body></html>"""
