"""Mails about accounts arrive, and their links do what they say: an invitation, another address, a changed password."""

import re

import httpx

from broadsheet_gateway.access.rights import Grant
from harness.system import PASSWORD, System

NEW_PASSWORD = "quite another passphrase"
_LINK = re.compile(r"https?://[^/\s]+(/[^\s\"'<>]+)")


async def mails_to(system: System, address: str) -> list[str]:
    """The texts, in order."""
    await system.deliver_all_pending()
    return [message.text for message in system.oracle.messages() if message.to == address]


async def last_link(system: System, address: str) -> str:
    found = _LINK.search((await mails_to(system, address))[-1])
    assert found is not None
    return found[1]


async def test_an_invited_editor_makes_an_account_and_writes(system: System) -> None:
    [newsletter] = (await system.api.get("/api/v1/newsletters")).json()["items"]
    role = {"role": "editor", "newsletter_id": newsletter["id"]}
    made = await system.api.post("/api/v1/users/invitations", json={"email": "grace@example.com", "roles": [role]})
    assert made.status_code == 201, made.text
    link = await last_link(system, "grace@example.com")
    async with system.client() as grace:
        form = {"username": "grace", "name": "Grace", "password": NEW_PASSWORD, "password_check": NEW_PASSWORD}
        assert (await grace.post(link, data=form)).headers["location"] == "/admin/dashboard"
        issue = {"title": "Mine", "newsletter_id": newsletter["id"]}
        written = await grace.post("/api/v1/issues", json=issue)
        assert written.status_code == 201
        # Her own address takes test mails of it, and nobody else's does.
        for to, status in (("grace@example.com", 202), ("stranger@example.com", 422)):
            content = {"to": [to]}
            tag = (await grace.get(f"/api/v1/issues/{written.json()['id']}")).headers["etag"]
            await grace.patch(
                f"/api/v1/issues/{written.json()['id']}", json={"content": "Hello"}, headers={"if-match": tag}
            )
            sent = await grace.post(f"/api/v1/issues/{written.json()['id']}/test", json=content)
            assert sent.status_code == status, sent.text
    assert (await system.api.get("/api/v1/users/invitations")).json()["items"] == []


async def test_an_address_is_changed_from_both_mailboxes_and_the_old_one_is_told(system: System) -> None:
    await system.add_user("ada", Grant("analyst"))
    system.seed.execute(
        "UPDATE gateway.user_account SET email = 'old@example.com', email_key = 'old@example.com'"
        " WHERE username = 'ada'"
    )
    async with system.client() as ada:
        await _log_in(ada, "old@example.com", PASSWORD)
        assert (await ada.post("/admin/account/email", data={"email": "new@example.com"})).status_code == 303
        for address in ("old@example.com", "new@example.com"):
            assert (await ada.post(await last_link(system, address))).status_code == 200
        await _log_in(ada, "new@example.com", PASSWORD)
        form = {"current_password": PASSWORD, "new_password": NEW_PASSWORD, "new_password_check": NEW_PASSWORD}
        await ada.post("/admin/password", data=form)
        await _log_in(ada, "new@example.com", NEW_PASSWORD)
    assert "has another one now" in (await mails_to(system, "old@example.com"))[-1]
    assert "was changed just now" in (await mails_to(system, "new@example.com"))[-1]


async def _log_in(client: httpx.AsyncClient, name: str, password: str) -> None:
    answer = await client.post("/login", data={"username": name, "password": password})
    assert answer.headers["location"] == "/admin/dashboard"
