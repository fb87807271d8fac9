"""Issues as publishing answers them, the first event of a stream as delivery does, and users with one role."""

from typing import Any

import httpx
import msgspec

from ..conftest import Answer, Gateway, RecordingService, csrf_token_of

COUNTS = {
    "audience": 10, "pending": 1, "in_flight": 2, "accepted": 3, "failed": 1, "suppressed": 1, "excluded": 0,
    "uncertain": 2, "cancelled": 0,
}  # fmt: skip


def issue(**changes: Any) -> dict[str, Any]:
    return {
        "id": 7,
        "newsletter_id": 1,
        "title": "The first issue",
        "status": "sending",
        "status_reason": None,
        "created_by": "user:1",
        "created_at": "2026-01-02T03:04:05Z",
        "updated_at": "2026-01-02T03:04:05Z",
        "published_at": "2026-01-02T03:04:05Z",
        "finished_at": None,
        "counts": COUNTS,
        "format": "html",
        "content": "<p>Hello</p>",
        "text_content": "Hello",
        **changes,
    }


def newsletter(**changes: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "name": "The Weekly",
        "slug": "weekly",
        "time_zone": "Europe/Paris",
        "is_default": True,
        "is_ready": True,
        "missing": [],
        "has_archive": True,
        "requires_approval": False,
        **changes,
    }


def answer_stream(service: RecordingService, path: str, event: str, data: object) -> None:
    """A stream with one event, as our services write it."""
    body = b"retry: 2000\n\nid: 1\nevent: " + event.encode() + b"\ndata: " + msgspec.json.encode(data) + b"\n\n"
    service.answers["GET", path] = Answer(200, body, {"content-type": "text/event-stream"})


async def post(client: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    """A form of the client's session."""
    return await client.post(path, data={"csrf_token": await csrf_token_of(client), **fields})


async def signed_in_as(gateway: Gateway, role: str, newsletter_id: int | None = None) -> httpx.AsyncClient:
    """A user with one role, for every newsletter or for one."""
    client = await gateway.signed_in(role)
    gateway.sql(
        "UPDATE gateway.user_role SET role = %s, newsletter_id = %s "
        "WHERE user_id = (SELECT id FROM gateway.user_account WHERE username = %s)",
        role,
        newsletter_id,
        role,
    )
    return client
