"""A draft as publishing answers it, and a form of the editor."""

import re
from typing import Any

import httpx

from ...conftest import Gateway

NUMBER = 7
API = f"/api/v1/issues/{NUMBER}"
EDIT = f"/admin/issues/{NUMBER}/edit"
TAG = '"tag-of-version-3"'
TYPED = {
    "title": "Spring",
    "subject": "",
    "preheader": "What grows",
    "format": "markdown",
    "content": "# Spring\r\n\r\nDear reader,",
    "text_content": "",
    "layout_id": "",
    "segment_id": "",
    "slug": "",
    "in_archive": "",
    "ab_share_percent": "20",
    "ab_decide_by": "clicks",
    "ab_wait_minutes": "240",
    "ab_sample_min": "100",
}


def draft(**changes: Any) -> dict[str, Any]:
    return {
        "id": NUMBER,
        "newsletter_id": 1,
        "segment_id": None,
        "title": "Winter",
        "subject": None,
        "preheader": "",
        "format": "markdown",
        "slug": None,
        "in_archive": None,
        "status": "draft",
        "status_reason": None,
        "version": 3,
        "created_by": "user:1",
        "saved_by": "user:1",
        "created_at": "2026-01-02T03:04:05Z",
        "updated_at": "2026-01-02T03:04:05Z",
        "scheduled_at": None,
        "scheduled_local": None,
        "scheduled_time_zone": None,
        "in_reader_time_zone": False,
        "published_at": None,
        "finished_at": None,
        "parked": 0,
        "counts": {},
        "layout_id": None,
        "content": "# Winter",
        "text_content": None,
        "ab_test": None,
        "faults": [],
        **changes,
    }


def answer_draft(gateway: Gateway, **changes: Any) -> None:
    gateway.publishing.answer("GET", API, body=draft(**changes), etag=TAG)
    newsletter = {"id": 1, "name": "The Weekly", "from_name": "Weekly", "from_email": "weekly@example.com"}
    gateway.publishing.answer("GET", "/api/v1/newsletters/1", body=newsletter)
    gateway.publishing.answer(
        "GET", "/api/v1/layouts", body={"items": [{"id": 4, "name": "Two columns"}], "next_cursor": None}
    )
    gateway.subscriptions.answer(
        "GET", "/api/v1/segments", body={"items": [{"id": 9, "name": "Members"}], "next_cursor": None}
    )


def values_of(page: str) -> dict[str, str]:
    """What the page's inputs and textareas hold, as a browser would send them."""
    inputs = dict(re.findall(r'<input [^>]*name="([a-z_0-9]+)"[^>]*?value="([^"]*)"', page))
    areas = dict(re.findall(r'<textarea [^>]*name="([a-z_0-9]+)"[^>]*>\n(.*?)</textarea>', page, re.DOTALL))
    return inputs | areas


async def save(client: httpx.AsyncClient, token: str, **changes: str) -> httpx.Response:
    return await client.post(EDIT, data={**TYPED, "csrf_token": token, "etag": TAG, **changes})
