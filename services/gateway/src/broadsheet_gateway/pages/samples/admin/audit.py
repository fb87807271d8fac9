"""Sample data of the page of the audit log."""

from datetime import UTC, datetime

import msgspec

from broadsheet_gateway.admin.audit.views import AuditFilter, AuditPage, EntryRow
from broadsheet_gateway.pages.views import PageView, SignedIn


def audit_samples(signed_in: SignedIn) -> dict[str, PageView]:
    published = EntryRow(
        number=1204,
        at=datetime(2026, 3, 12, 9, 30, tzinfo=UTC),
        action="issue.published",
        sentence=("Published ", ""),
        target="“Queues that account for everybody”",
        target_path="/admin/issues/14",
        target_code="issue 14",
        actor="API key Web shop",
        actor_code="key:3",
        person="admin",
        person_code="user:1",
        source="203.0.113.7",
        newsletter="The Systems Letter",
        before="",
        after='{"audience": 20000}',
        hash="5f" * 32,
        is_chained=True,
    )
    signed = msgspec.structs.replace(
        published,
        number=1203,
        action="user.signed_in",
        sentence=("Signed in", ""),
        target="",
        target_path="",
        target_code="user 1",
        actor="admin",
        actor_code="user:1",
        person="",
        person_code="",
        newsletter="",
        before='{"changed": ["name", "postal_address"]}',
        after="",
    )
    sent_again = msgspec.structs.replace(
        published,
        number=1202,
        action="subscriber.confirmation_sent_again",
        sentence=("Had the confirmation sent again to ", ""),
        target="somebody.with.a.rather.long.address@department.university.example",
        target_path="/admin/subscribers/41",
        target_code="subscriber 41",
        after="",
    )
    page = AuditPage(
        signed_in=signed_in,
        entries=(published, signed, sent_again),
        end=f"1204:{'5f' * 32}",
        next_query="?cursor=djE6MTIwMw",
    )
    return {
        "audit": page,
        "audit-broken": msgspec.structs.replace(
            page, entries=(published, msgspec.structs.replace(signed, is_chained=False))
        ),
        "audit-none": AuditPage(signed_in=signed_in, entries=()),
        "audit-nothing-found": AuditPage(
            signed_in=signed_in,
            entries=(),
            filter=AuditFilter(since="2026-03-01", action="issue.published", actor="user:9"),
            export_query="?actor=user%3A9",
            end=page.end,
        ),
        "audit-errors": msgspec.structs.replace(
            page,
            filter=AuditFilter(since="2026-03-01", until="2026-02-01", action="x", target_kind="y"),
            errors={
                "since": "This is not a date. Write it as in 2027-01-31.",
                "until": "This is not a date. Write it as in 2027-01-31.",
                "action": "There is no such action.",
                "target_kind": "There is no such kind.",
            },
        ),
    }
