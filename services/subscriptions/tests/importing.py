"""Imports through the service's API, and what they leave in the database."""

import asyncio
import io
from collections.abc import Sequence
from typing import Any

import openpyxl
from httpx import Response

from harness.owner import AUDIT_LOG

from .conftest import Subscriptions

BASIS = "They ticked the box at the fair of 2026."
CSV = "text/csv"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
OVER = frozenset({"checked", "done", "failed", "cancelled", "undone"})
WAIT_S = 60


class Importing:
    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions

    def add_attribute(self, name: str, type_: str = "text", label: str | None = None) -> None:
        self._subscriptions.rows(
            "INSERT INTO subscriptions.attribute (name, type, label) VALUES (%s, %s, %s)", name, type_, label or name
        )

    async def upload(
        self, file: str | bytes, *, content_type: str = CSV, key: str | None = None, **options: Any
    ) -> Response:
        content = file.encode() if isinstance(file, str) else file
        headers = self._subscriptions.identity("write") | {"Content-Type": content_type}
        if key is not None:
            headers["Idempotency-Key"] = key
        query = {"consent_basis": BASIS, "state": "confirmed"} | options
        return await self._subscriptions.client.post("/api/v1/imports", content=content, params=query, headers=headers)

    async def post(self, path: str, body: object = None, **headers: str) -> Response:
        return await self._subscriptions.client.post(
            f"/api/v1/imports{path}", json={} if body is None else body,
            headers=self._subscriptions.identity("write") | headers,
        )  # fmt: skip

    async def get(self, path: str, **query: Any) -> Response:
        return await self._subscriptions.client.get(
            f"/api/v1/imports{path}", params=query, headers=self._subscriptions.identity("read")
        )

    async def ended(self, import_id: int) -> dict[str, Any]:
        async with asyncio.timeout(WAIT_S):
            while True:
                found: dict[str, Any] = (await self.get(f"/{import_id}")).json()
                if found["status"] in OVER:
                    assert _adds_up(found)
                    return found
                await asyncio.sleep(0.02)

    async def run(self, file: str | bytes, **options: Any) -> dict[str, Any]:
        response = await self.upload(file, **options)
        assert response.status_code == 202, response.text
        return await self.ended(response.json()["id"])

    async def rejects(self, import_id: int) -> str:
        response = await self.get(f"/{import_id}/rejects")
        assert response.status_code == 200
        return response.text

    def audited(self, import_id: int) -> list[str]:
        """The actions in the audit log about this import, in order."""
        rows = self._subscriptions.rows(
            f"SELECT action FROM {AUDIT_LOG} WHERE target_kind = 'import' AND target_id = %s ORDER BY at",
            str(import_id),
        )
        return [str(action) for (action,) in rows]

    def people(self, columns: str = "email, name, attributes, tags, state") -> list[tuple[Any, ...]]:
        return self._subscriptions.rows(
            f"SELECT {columns} FROM subscriptions.subscriber AS person "
            "LEFT JOIN subscriptions.subscription ON subscriber_id = person.id ORDER BY email_key, newsletter_id"
        )


def _adds_up(found: dict[str, Any]) -> bool:
    counts = found["counts"]
    parts = [counts[name] for name in ("created", "updated", "unchanged", "rejected")]
    return bool(counts["rows"] == sum(parts) + sum(counts["skipped"].values()))


def workbook(rows: Sequence[Sequence[object]]) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    for row in rows:
        sheet.append(list(row))
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()
