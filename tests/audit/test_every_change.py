"""Every operation of the API that is no pure read leaves an entry in the audit log: who, from where, to what.

No entry holds an address, a name, a text or a secret.
"""

import json
import secrets
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from broadsheet_common.contracts.audit import AUDIT_ACTIONS
from harness.http.every_operation import NOT_HERE, visit_every_operation
from harness.http.service_documents import METHODS, service_documents
from harness.owner import AUDIT_LOG
from harness.system import System

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
    "sendConfirmationAgain": "subscriber.confirmation_sent_again",
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
    "previewSignUpMail": "shows a mail",
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
    assert ELSEWHERE.keys() == NOT_HERE
    for operation, path in ELSEWHERE.items():
        assert "audit" in (ROOT / path).read_text(), operation


class Recorder:
    """Sends requests, each in a trace of its own, and looks up what they left in the log."""

    def __init__(self, system: System) -> None:
        self._system = system
        self.done: set[str] = set()
        self.secrets: list[str] = []

    async def entries(self, trace_id: str) -> list[dict[str, Any]]:
        columns = (
            "action, actor, person, source, target_kind, target_id, newsletter_id, before::text, after::text, service"
        )
        rows = await self._system.run_sql(
            f"SELECT {columns} FROM {AUDIT_LOG} WHERE trace_id = %s ORDER BY at",
            trace_id,
        )
        names = [name.strip().partition("::")[0] for name in columns.split(",")]
        return [dict(zip(names, row, strict=True)) for row in rows]

    async def do(self, operation: str, method: str, path: str, **request: Any) -> Any:
        """The answer's body. Checks that the operation's entry is there, and who it names."""
        trace_id = secrets.token_hex(16)
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
        rows = await self._system.run_sql(f"SELECT to_jsonb(audit_log)::text FROM {AUDIT_LOG}")
        return "\n".join(str(row[0]) for row in rows)


@pytest.fixture
def recorder(system: System) -> Recorder:
    return Recorder(system)


async def test_each_operation_leaves_its_entry_and_nothing_private_with_it(system: System, recorder: Recorder) -> None:
    await visit_every_operation(system, recorder)
    assert recorder.done == AUDITED.keys() - ELSEWHERE.keys()
    log = await recorder.whole_log()
    assert "issue.published" in log
    for private in [*PRIVATE, *recorder.secrets, system.api_key]:
        assert private not in log, private


async def test_each_item_of_a_batch_that_is_written_leaves_its_entry_and_one_that_is_refused_leaves_none(
    system: System, recorder: Recorder
) -> None:
    made = await system.api.post("/api/v1/subscribers", json={"email": "ada@harbour.example", "name": "Ada"})
    items = [
        {"change": {"id": made.json()["id"], "name": "Ada Lovelace", "tags": ["night-watch"]}},
        {"create": {"email": "joan@harbour.example", "name": "Joan", "newsletter_id": 1}},
        {"create": {"email": "grace@harbour.example", "name": ""}},
    ]
    trace_id = secrets.token_hex(16)
    answer = await system.api.post(
        "/api/v1/subscribers/batch",
        json={"items": items},
        headers={"traceparent": f"00-{trace_id}-{'1' * 16}-01"},
    )
    results = answer.json()["items"]
    assert [one["status"] for one in results] == [200, 201, 422]
    entries = await recorder.entries(trace_id)
    told = [(one["action"], one["target_id"], one["newsletter_id"], json.loads(one["after"])) for one in entries]
    assert told == [
        ("subscriber.changed", str(made.json()["id"]), None, {"changed": ["name", "tags"]}),
        ("subscriber.created", str(results[1]["subscriber"]["id"]), 1, {"is_new": True}),
    ]
    for entry in entries:
        assert (entry["source"], entry["service"]) == ("127.0.0.1", "subscriptions")
        assert entry["actor"].startswith("key:")
        assert entry["person"].startswith("user:")


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
