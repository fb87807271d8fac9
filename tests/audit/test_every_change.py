"""Every operation of the API that is no pure read leaves an entry in the audit log: who, from where, to what.

No entry holds an address, a name, a text or a secret.
"""

import json
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from broadsheet_common.contracts.audit import AUDIT_ACTIONS
from harness.http.service_documents import METHODS, service_documents
from harness.system import System
from harness.waiting import eventually

ROOT: Final = Path(__file__).resolve().parents[2]
AUDITED: Final[dict[str, str]] = {
    "createNewsletter": "newsletter.created",
    "changeNewsletter": "newsletter.changed",
    "archiveNewsletter": "newsletter.archived",
    "unarchiveNewsletter": "newsletter.unarchived",
    "sendWelcomeTestMail": "newsletter.test_sent",
    "createLayout": "layout.created",
    "changeLayout": "layout.changed",
    "deleteLayout": "layout.deleted",
    "createIssue": "issue.created",
    "duplicateIssue": "issue.duplicated",
    "changeIssue": "issue.changed",
    "restoreRevision": "issue.restored",
    "deleteIssue": "issue.deleted",
    "sendTestMail": "issue.test_sent",
    "requestApproval": "issue.approval_requested",
    "decideApproval": "issue.approved",
    "publishIssue": "issue.published",
    "scheduleIssue": "issue.scheduled",
    "unscheduleIssue": "issue.unscheduled",
    "cancelIssue": "issue.cancelled",
    "chooseWinner": "issue.winner_chosen",
    "changeArchive": "issue.archive_changed",
    "pauseIssue": "issue.paused",
    "resumeIssue": "issue.resumed",
    "retryFailedDeliveries": "issue.failed_retried",
    "decideUncertainDeliveries": "issue.uncertain_decided",
    "decideDelivery": "delivery.decided",
    "changeSenders": "senders.limited",
    "pauseSenders": "senders.paused",
    "resumeSenders": "senders.resumed",
    "createSuppression": "suppression.created",
    "deleteSuppression": "suppression.lifted",
    "createSubscriber": "subscriber.created",
    "changeSubscriber": "subscriber.changed",
    "writeSubscribers": "subscriber.changed",
    "unsubscribeSubscriber": "subscriber.unsubscribed",
    "exportSubscriber": "subscriber.exported",
    "eraseSubscriber": "subscriber.erased",
    "exportSubscribers": "subscribers.exported",
    "createSegment": "segment.created",
    "changeSegment": "segment.changed",
    "deleteSegment": "segment.deleted",
    "createAttribute": "attribute.created",
    "changeAttribute": "attribute.changed",
    "removeAttribute": "attribute.removed",
    "createImport": "import.created",
    "startImport": "import.started",
    "cancelImport": "import.cancelled",
    "undoImport": "import.undone",
    "createWebhookEndpoint": "webhook_endpoint.created",
    "updateWebhookEndpoint": "webhook_endpoint.changed",
    "deleteWebhookEndpoint": "webhook_endpoint.deleted",
    "rotateWebhookSecret": "webhook_endpoint.secret_rotated",
    "sendTestWebhook": "webhook_endpoint.test_sent",
    "retryWebhookDelivery": "webhook_delivery.retried",
}
"""What each operation records when it changes something."""
NOT_AUDITED: Final[dict[str, str]] = {
    "checkIssue": "looks at a draft",
    "previewIssue": "shows a draft",
    "previewWelcomeMail": "shows a mail",
    "countAudience": "counts",
    "countSegment": "counts",
    "searchSubscribers": "reads",
}
ELSEWHERE: Final[dict[str, str]] = {
    "chooseWinner": "services/publishing/tests/variants/test_ab_test.py",
    "decideApproval": "services/publishing/tests/approvals/test_approvals.py",
    "decideDelivery": "services/delivery/tests/settling/test_parking.py",
    "decideUncertainDeliveries": "services/delivery/tests/settling/test_parking.py",
    "retryFailedDeliveries": "services/delivery/tests/settling/test_retry_failed.py",
    "cancelImport": "services/subscriptions/tests/imports/test_imports.py",
    "undoImport": "services/subscriptions/tests/imports/test_import_undo.py",
    "startImport": "services/subscriptions/tests/imports/test_import_opt_outs.py",
}
"""Operations that need a state of things which the services' own tests bring about; these look at the log too."""

PRIVATE: Final = (
    "ada@harbour.example", "grace@harbour.example", "joan@harbour.example", "Ada Lovelace", "Lovelace", "Augusta",
    "tide-tables", "High water",
    "A secret subject", "1 Quay", "office@harbour.example", "berth four", "night-watch", "A private segment",
    "Look at this", "too much mail", "hooks.harbour.example", "A private layout", "Monthly harbour",
)  # fmt: skip
"""Addresses, names, texts and secrets that the requests below hold."""


def writing_operations() -> set[str]:
    """By their ids, from the services' own documents: all that is not GET, and the reads that hand out people."""
    found = set()
    for document in service_documents().values():
        for path, item in document["paths"].items():
            for method in METHODS:
                operation = item.get(method, {}).get("operationId")
                if operation is None or not path.startswith("/api/v1/"):
                    continue
                if method != "get" or operation.startswith("export"):
                    found.add(operation)
    return found


def test_every_operation_that_is_no_pure_read_is_audited_or_is_named_here_with_its_reason() -> None:
    assert writing_operations() == AUDITED.keys() | NOT_AUDITED.keys()
    assert not AUDITED.keys() & NOT_AUDITED.keys()
    assert set(AUDITED.values()) <= AUDIT_ACTIONS
    for operation, path in ELSEWHERE.items():
        assert "audit" in (ROOT / path).read_text(), operation


class Recorder:
    """Sends requests, each in a trace of its own, and looks up what they left in the log."""

    def __init__(self, system: System) -> None:
        self._system = system
        self.done: set[str] = set()
        self.secrets: list[str] = []
        self.last_trace_id = ""

    async def entries(self, trace_id: str) -> list[dict[str, Any]]:
        columns = (
            "action, actor, person, source, target_kind, target_id, newsletter_id, before::text, after::text, service"
        )
        rows = await self._system.run_sql(
            f"SELECT {columns} FROM audit.waiting WHERE trace_id = %s "
            f"UNION ALL SELECT {columns} FROM audit.entry WHERE trace_id = %s",
            trace_id,
            trace_id,
        )
        names = [name.strip().partition("::")[0] for name in columns.split(",")]
        return [dict(zip(names, row, strict=True)) for row in rows]

    async def do(self, operation: str, method: str, path: str, **request: Any) -> Any:
        """The answer's body. Checks that the operation's entry is there, and who it names."""
        self.last_trace_id = trace_id = secrets.token_hex(16)
        headers = {"traceparent": f"00-{trace_id}-{'1' * 16}-01", **request.pop("headers", {})}
        answer: httpx.Response = await self._system.api.request(method, path, headers=headers, **request)
        assert answer.is_success, (operation, answer.status_code, answer.text)
        entries = await self.entries(trace_id)
        # What is written as two things, such as a restored version, which is a saved one too, has two entries.
        [entry] = [one for one in entries if one["action"] == AUDITED[operation]]
        assert str(entry["actor"]).startswith("key:"), entry
        assert str(entry["person"]).startswith("user:"), entry
        assert entry["source"] == "127.0.0.1", entry
        assert entry["target_kind"] == AUDITED[operation].partition(".")[0]
        if entry["target_kind"] in ("newsletter", "issue", "delivery"):
            assert entry["newsletter_id"] is not None, operation
        self.done.add(operation)
        body = answer.json() if answer.headers.get("content-type", "").startswith("application/json") else None
        if isinstance(body, dict) and "id" in body and not operation.startswith(("sendTest", "retry")):
            assert entry["target_id"] == str(body["id"]), operation
        return body

    async def whole_log(self) -> str:
        rows = await self._system.run_sql(
            "SELECT to_jsonb(w)::text FROM audit.waiting AS w UNION ALL SELECT to_jsonb(e)::text FROM audit.entry AS e"
        )
        return "\n".join(str(row[0]) for row in rows)


@pytest.fixture
def recorder(system: System) -> Recorder:
    return Recorder(system)


async def test_each_operation_leaves_its_entry_and_nothing_private_with_it(system: System, recorder: Recorder) -> None:
    await _subscribers(system, recorder)
    await _settings(system, recorder)
    await _content(system, recorder)
    await _sending(system, recorder)
    assert recorder.done == AUDITED.keys() - ELSEWHERE.keys()
    log = await recorder.whole_log()
    assert "issue.published" in log
    for private in [*PRIVATE, *recorder.secrets, system.api_key]:
        assert private not in log, private


async def _subscribers(system: System, recorder: Recorder) -> None:
    do = recorder.do
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
    await _batch(recorder, person["id"])
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


async def _batch(recorder: Recorder, subscriber_id: int) -> None:
    """An entry for each item that was written, and none for one that was refused."""
    items = [
        {"change": {"id": subscriber_id, "name": "Ada Lovelace", "attributes": {"berth": "berth four"}}},
        {"create": {"email": "joan@harbour.example", "name": "Joan Lovelace", "newsletter_id": 1}},
        {"create": {"email": "grace@harbour.example", "name": ""}},
    ]
    sent = {"json": {"items": items}}
    answer = await recorder.do("writeSubscribers", "POST", "/api/v1/subscribers/batch", **sent)
    assert [one["status"] for one in answer["items"]] == [200, 201, 422]
    made = str(answer["items"][1]["subscriber"]["id"])
    entries = await recorder.entries(recorder.last_trace_id)
    told = [(one["action"], one["target_id"], one["newsletter_id"], one["after"]) for one in entries]
    assert told == [
        ("subscriber.changed", str(subscriber_id), None, '{"changed": ["name", "attributes"]}'),
        ("subscriber.created", made, 1, '{"is_new": true}'),
    ]
    assert {(one["actor"], one["person"], one["source"], one["service"]) for one in entries} == {
        (entries[0]["actor"], entries[0]["person"], "127.0.0.1", "subscriptions")
    }


async def _settings(system: System, recorder: Recorder) -> None:
    do = recorder.do
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
    recorder.secrets.append(endpoint["secret"])
    of_endpoint = f"/api/v1/webhook-endpoints/{endpoint['id']}"
    await do("updateWebhookEndpoint", "PATCH", of_endpoint, json={"description": "Lovelace", "enabled": True})
    rotated = await do("rotateWebhookSecret", "POST", f"{of_endpoint}/rotate-secret", json={})
    recorder.secrets.append(rotated["secret"])
    sent = await do("sendTestWebhook", "POST", f"{of_endpoint}/test")
    await eventually(_settled(system, sent["id"]), what="the test message was tried")
    await do("retryWebhookDelivery", "POST", f"/api/v1/webhook-deliveries/{sent['id']}/retry")
    await do("deleteWebhookEndpoint", "DELETE", of_endpoint)


def _settled(system: System, delivery_id: int) -> Any:
    async def settled() -> bool:
        shown = await system.api.get(f"/api/v1/webhook-deliveries/{delivery_id}")
        return bool(shown.json()["attempts"])

    return settled


async def _content(system: System, recorder: Recorder) -> None:
    do = recorder.do
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


async def _sending(system: System, recorder: Recorder) -> None:
    do = recorder.do
    await do("changeSenders", "PATCH", "/api/v1/senders", json={"messages_per_s_max": 100})
    await do("changeSenders", "PATCH", "/api/v1/senders", json={"messages_per_s_max": None})
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


async def test_a_save_says_which_parts_it_changed_and_from_which_version_to_which(
    system: System, recorder: Recorder
) -> None:
    made = (await system.api.post("/api/v1/issues", json={"title": "One", "content": "Text"})).json()
    shown = await system.api.get(f"/api/v1/issues/{made['id']}")
    trace_id = secrets.token_hex(16)
    await system.api.patch(
        f"/api/v1/issues/{made['id']}",
        # The content is sent again as it is.
        json={"title": "Two", "preheader": "New", "content": "Text"},
        headers={"traceparent": f"00-{trace_id}-{'1' * 16}-01", "if-match": shown.headers["etag"]},
    )
    [entry] = await recorder.entries(trace_id)
    assert json.loads(entry["before"]) == {"version": 1}
    assert json.loads(entry["after"]) == {"version": 2, "changed": ["preheader", "title"]}
    assert (entry["target_id"], entry["newsletter_id"]) == (str(made["id"]), made["newsletter_id"])
