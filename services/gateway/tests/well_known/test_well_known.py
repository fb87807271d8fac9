"""The addresses that programs look for: where to report a weakness, and where to change a password."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from broadsheet_gateway.well_known.security_txt import parse_contacts, security_txt

from ..conftest import Gateway, MakeGateway

NOW = datetime(2026, 11, 27, 5, 30, tzinfo=UTC)


@pytest.fixture
async def visitor(gateway: Gateway) -> httpx.AsyncClient:
    return await gateway.client()


def fields(text: str) -> list[tuple[str, str]]:
    """Names and values, in order; fails where a line is no field (RFC 9116, 4)."""
    assert text.endswith("\n")
    found = [line.split(": ", 1) for line in text.splitlines()]
    assert all(len(field) == 2 for field in found), found
    return [(name, value) for name, value in found]


def test_a_file_says_whom_to_ask_until_when_and_where_it_belongs() -> None:
    text = security_txt(
        ("mailto:security@example.com", "https://example.com/report"),
        policy="https://example.com/policy",
        public_url="https://news.example.com",
        now=NOW,
    )
    assert fields(text) == [
        ("Contact", "mailto:security@example.com"),
        ("Contact", "https://example.com/report"),
        ("Expires", "2027-05-26T00:00:00Z"),
        ("Canonical", "https://news.example.com/.well-known/security.txt"),
        ("Policy", "https://example.com/policy"),
    ]


@pytest.mark.parametrize(
    "raw",
    ["security@example.com", "http://example.com/report", "https://", "mailto:", "javascript:alert(1)",
     "mailto:a@example.com\nExpires: 2000-01-01T00:00:00Z", "mailto:a@example.com b"],
)  # fmt: skip
def test_what_is_no_address_to_report_to_is_refused(raw: str) -> None:
    with pytest.raises(ValueError, match="is not a mailto:, tel: or https: address"):
        parse_contacts(f"mailto:ok@example.com, {raw}")


async def test_the_file_is_served_where_a_contact_is_set(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(security_contact="mailto:security@example.com, tel:+1-201-555-0123")
    visitor = await gateway.client()
    answer = await visitor.get("/.well-known/security.txt")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    found = dict(fields(answer.text))
    expires = datetime.fromisoformat(found["Expires"])
    assert timedelta(days=100) < expires - datetime.now(UTC) < timedelta(days=365)
    assert found["Contact"] == "tel:+1-201-555-0123", "the last of two"
    head = await visitor.head("/.well-known/security.txt")
    assert (head.status_code, head.content) == (200, b"")


async def test_without_a_contact_there_is_no_file(visitor: httpx.AsyncClient) -> None:
    assert (await visitor.get("/.well-known/security.txt")).status_code == 404


async def test_a_password_manager_finds_the_page_that_changes_a_password(visitor: httpx.AsyncClient) -> None:
    answer = await visitor.get("/.well-known/change-password")
    assert (answer.status_code, answer.headers["location"]) == (302, "/admin/password")
    missing = await visitor.get("/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200")
    assert missing.status_code == 404
