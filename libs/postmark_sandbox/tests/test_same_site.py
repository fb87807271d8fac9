"""Pages of other sites can neither change what the sandbox does nor read its mail through a name of their own."""

import pytest

from broadsheet_postmark_sandbox.testing import SandboxDriver, running_sandbox_sync

CHANGES = (
    ("POST", "/_sandbox/reset"),
    ("DELETE", "/_sandbox/messages"),
    ("PUT", "/_sandbox/faults"),
    ("DELETE", "/_sandbox/faults"),
    ("PUT", "/_sandbox/settings"),
    ("POST", "/_sandbox/events"),
    ("POST", "/email"),
    ("POST", "/email/batch"),
)
FROM_ELSEWHERE = (
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:1"},
)


@pytest.mark.parametrize("headers", FROM_ELSEWHERE, ids=str)
@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_a_page_of_another_site_changes_nothing(
    sandbox: SandboxDriver, method: str, path: str, headers: dict[str, str]
) -> None:
    sandbox.send(To="kept@mail.example")
    # As a form or a script may send it without the server being asked first.
    answer = sandbox.http.request(method, path, headers={**headers, "Content-Type": "text/plain"}, content=b"{}")
    assert answer.status_code == 403
    assert answer.json()["detail"] == "a page of another site must not make changes here"
    assert len(sandbox.accepted()) == 1


def test_the_sandboxs_own_pages_and_programs_may_change_it(sandbox: SandboxDriver) -> None:
    own = str(sandbox.http.base_url).rstrip("/")
    for headers in ({}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": own}):
        assert sandbox.http.post("/_sandbox/reset", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8025", "127.0.0.1.evil.example", "localhost.evil", "a b"]
)
@pytest.mark.parametrize("path", ["/", "/_sandbox/messages", "/messages/outbound"])
def test_a_name_of_somebody_else_that_leads_here_reads_nothing(sandbox: SandboxDriver, path: str, host: str) -> None:
    answer = sandbox.http.get(path, headers={"Host": host})
    assert answer.status_code in {400, 421}
    if answer.status_code == 421:
        assert "--allow-host" in answer.json()["detail"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8025", "127.0.0.1:1", "[::1]:8025", "192.0.2.7"])
def test_addresses_and_localhost_are_the_sandboxs_own(sandbox: SandboxDriver, host: str) -> None:
    assert sandbox.http.get("/_sandbox/health", headers={"Host": host}).status_code == 200


def test_a_name_may_be_allowed() -> None:
    with running_sandbox_sync(allowed_hosts=("postmark-sandbox",)) as running, SandboxDriver(running) as driver:
        for host, status in (("postmark-sandbox:8025", 200), ("Postmark-Sandbox", 200), ("another", 421)):
            assert driver.http.get("/_sandbox/health", headers={"Host": host}).status_code == status
