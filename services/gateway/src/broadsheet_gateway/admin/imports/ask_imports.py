"""What the pages ask of imports, and the file that they pass on."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final
from urllib.parse import urlencode

from broadsheet_common.http.pagination import Page
from broadsheet_common.http.problems import ProblemError
from broadsheet_gateway.accounts.current_session import LoginNeededError
from broadsheet_gateway.admin.imports.import_form import tags_of
from broadsheet_gateway.admin.imports.import_views import Attribute, Import, ImportSample
from broadsheet_gateway.admin.imports.reject_views import REJECTS_SHOWN, RejectedRow, RejectReason, RejectReasons
from broadsheet_gateway.admin.imports.views import TypedImport
from broadsheet_gateway.admin.service_calls import Query, ServiceCalls, or_none

IMPORTS_SHOWN: Final = 20
_PATH: Final = "/api/v1/imports"


async def ask_imports(calls: ServiceCalls, *, cursor: str | None) -> Page[Import]:
    return await calls.get("subscriptions", _PATH, Page[Import], {"limit": IMPORTS_SHOWN, "cursor": cursor})


async def ask_import(calls: ServiceCalls, import_id: int) -> Import:
    """Raises `NotFoundError` when there is no such import."""
    return await calls.get("subscriptions", f"{_PATH}/{import_id}", Import)


async def ask_attributes(calls: ServiceCalls) -> tuple[Attribute, ...] | None:
    """None: they could not be asked. There are at most 200."""
    found = await or_none(calls.get("subscriptions", "/api/v1/attributes", Page[Attribute]))
    return tuple(found.items) if found is not None else None


async def ask_first_rows(calls: ServiceCalls, job: Import) -> tuple[tuple[str, ...], ...] | None:
    """At most five, of the columns that the import has. None: they could not be asked."""
    found = await or_none(calls.get("subscriptions", f"{_PATH}/{job.id}/sample", ImportSample))
    if found is None:
        return None
    return found.rows if found.columns == job.columns else ()


async def ask_rejected_rows(calls: ServiceCalls, import_id: int, *, cursor: str, reason: str) -> Page[RejectedRow]:
    """Raises as `ServiceCalls.get` does."""
    query: Query = {"limit": REJECTS_SHOWN, "cursor": cursor, "reason": reason}
    return await calls.get("subscriptions", f"{_PATH}/{import_id}/rejected-rows", Page[RejectedRow], query)


async def ask_reject_reasons(calls: ServiceCalls, import_id: int) -> tuple[RejectReason, ...]:
    """The commonest first; none if they could not be asked."""
    found = await or_none(calls.get("subscriptions", f"{_PATH}/{import_id}/reject-reasons", RejectReasons))
    return found.items if found is not None else ()


async def send_mended(
    calls: ServiceCalls,
    job: Import,
    content: bytes,
    *,
    mapping: dict[str, str],
    idempotency_key: str,
    upload_s: float,
) -> Import:
    """A dry run of a file of corrected rows, with all that was said of the import that rejected them. Raises what
    `ServiceCalls.upload` raises.
    """
    query = [
        ("consent_basis", job.consent_basis),
        ("state", job.state),
        ("existing", job.existing),
        ("dry_run", "true"),
        *(("tag", tag) for tag in job.tags),
        ("newsletter_id", str(job.newsletter_id)),
        ("mapping", json.dumps(mapping)),
    ]

    async def pieces() -> AsyncIterator[bytes]:
        yield content

    return await calls.upload(
        "subscriptions",
        f"{_PATH}?{urlencode(query)}",
        Import,
        content=pieces(),
        content_type="text/csv; charset=utf-8",
        upload_s=upload_s,
        idempotency_key=idempotency_key,
    )


async def upload(
    calls: ServiceCalls,
    typed: TypedImport,
    content: AsyncIterator[bytes],
    *,
    newsletter_id: int | None,
    idempotency_key: str,
    upload_s: float,
    when_all_is_there: Callable[[], Awaitable[None]],
) -> Import:
    """A dry run of the file: nobody is imported before somebody has seen how it is read. `when_all_is_there` is asked
    before the service learns that the file is whole; where it raises, the service forgets the file.

    Raises what `content` and `when_all_is_there` raise, and what `ServiceCalls.upload` raises.
    """
    query = [
        ("consent_basis", typed.consent_basis),
        ("state", typed.state),
        ("existing", typed.existing),
        ("dry_run", "true"),
        *(("tag", tag) for tag in tags_of(typed)),
        *((("newsletter_id", str(newsletter_id)),) if newsletter_id is not None else ()),
    ]
    passed = _Passed(content, when_all_is_there)
    try:
        return await calls.upload(
            "subscriptions",
            f"{_PATH}?{urlencode(query)}",
            Import,
            content=passed.pieces(),
            # The service finds out by itself whether it is a spreadsheet.
            content_type=f"text/csv; charset={typed.charset}" if typed.charset else "application/octet-stream",
            upload_s=upload_s,
            idempotency_key=idempotency_key,
        )
    except ProblemError as error:
        if passed.failure is not None:
            raise passed.failure from error
        raise


class _Passed:
    """A file on its way to a service; it keeps why it broke off, which the HTTP client would hide."""

    def __init__(self, content: AsyncIterator[bytes], when_all_is_there: Callable[[], Awaitable[None]]) -> None:
        self._content = content
        self._when_all_is_there = when_all_is_there
        self.failure: ProblemError | LoginNeededError | None = None

    async def pieces(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._content:
                yield piece
            await self._when_all_is_there()
        except (ProblemError, LoginNeededError) as error:
            self.failure = error
            raise
