"""Sample data of the page of the audit log."""

from datetime import UTC, datetime

import msgspec

from broadsheet_gateway.admin.audit.filter_form import ACTIONS
from broadsheet_gateway.admin.audit.views import AuditFilter, AuditPage, EntryRow
from broadsheet_gateway.pages.views import PageView, SignedIn


def audit_samples(signed_in: SignedIn) -> dict[str, PageView]:
    published = EntryRow(
        number=1204,
        at=datetime(2026, 3, 12, 9, 30, tzinfo=UTC),
        action="issue.published",
        actor="key Web shop (key:3)",
        person="admin (user:1)",
        source="203.0.113.7",
        target="issue 14",
        newsletter="newsletter 1",
        before="",
        after='{"audience": 20000}',
        hash="5f" * 32,
        is_chained=True,
    )
    signed = msgspec.structs.replace(
        published,
        number=1203,
        action="user.signed_in",
        actor="admin (user:1)",
        person="",
        target="user 1",
        newsletter="",
        before='{"changed": ["name", "postal_address"]}',
        after="",
    )
    page = AuditPage(
        signed_in=signed_in,
        entries=(published, signed),
        actions=ACTIONS,
        end=f"1204:{'5f' * 32}",
        next_query="?cursor=djE6MTIwMw",
    )
    return {
        "audit": page,
        "audit-broken": msgspec.structs.replace(
            page, entries=(published, msgspec.structs.replace(signed, is_chained=False))
        ),
        "audit-none": AuditPage(signed_in=signed_in, entries=(), actions=ACTIONS),
        "audit-nothing-found": AuditPage(
            signed_in=signed_in,
            entries=(),
            actions=ACTIONS,
            filter=AuditFilter(since="2026-03-01", action="issue.published", actor="user:9"),
            export_query="?actor=user%3A9",
            end=page.end,
        ),
        "audit-errors": msgspec.structs.replace(
            page,
            filter=AuditFilter(since="2026-03-01", until="2026-02-01", action="x"),
            errors={"since": "This is no day.", "until": "This is no day.", "action": "There is no such action."},
        ),
    }
