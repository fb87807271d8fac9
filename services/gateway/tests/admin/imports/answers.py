"""What the service for subscribers answers about imports, and the forms that the tests send."""

from typing import Any

import httpx

from ...conftest import Gateway, csrf_token_of

IMPORTS = "/admin/imports"
API = "/api/v1/imports"
COUNTS = {
    "rows": 1_234, "created": 1_000, "updated": 100, "unchanged": 50, "rejected": 4,
    "skipped": {"duplicate": 30, "unsubscribed": 40, "suppressed": 10, "too_many_tags": 0},
}  # fmt: skip
NOTHING = {
    "rows": 0, "created": 0, "updated": 0, "unchanged": 0, "rejected": 0,
    "skipped": {"duplicate": 0, "unsubscribed": 0, "suppressed": 0, "too_many_tags": 0},
}  # fmt: skip
STANDING = {"column": "Standing", "reason": "It may say who left.", "values": {"active": 812, "<former>": 44}}


def job(status: str = "checked", **changes: Any) -> dict[str, Any]:
    return {
        "id": 12, "newsletter_id": 3, "status": status, "status_reason": None, "dry_run": status == "checked",
        "consent_basis": "They ticked the box.", "state": "pending", "existing": "fill", "tags": ["fair"],
        "mapping": {"E-Mail": "email", "Standing": None},
        "file": {"format": "csv", "bytes": 2_000, "encoding": "utf-8", "delimiter": ";",
                 "columns": ["E-Mail", "Standing"], "is_kept": True},
        "bytes_read": 500, "counts": COUNTS, "undecided_columns": [], "remarks": [], "notes": [], "undo": None,
        "created_by": "user:1", "created_at": "2026-03-12T09:00:00Z", "started_at": "2026-03-12T09:00:01Z",
        "finished_at": "2026-03-12T09:01:00Z",
        **changes,
    }  # fmt: skip


async def send(client: httpx.AsyncClient, path: str, **form: str) -> httpx.Response:
    return await client.post(path, data={"csrf_token": await csrf_token_of(client), **form})


def posts(gateway: Gateway) -> list[str]:
    return [one.path for one in gateway.subscriptions.received if one.method == "POST"]
