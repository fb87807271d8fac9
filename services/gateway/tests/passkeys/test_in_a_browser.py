"""Passkeys in headless Chromium with its virtual authenticator, under the gateway's content security policy."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import msgspec
import pytest
from playwright.async_api import expect

from broadsheet_common.process.settings import HttpUrl
from broadsheet_gateway.app import create_app
from broadsheet_gateway.pages import Pages
from broadsheet_gateway.settings import GatewaySettings
from harness.browser import Tab, opened_tab, running_browser
from harness.http.carried import CarriedByHttpx
from harness.http.served_app import serving_app
from harness.ports import held_port

from ..conftest import PASSWORD, SERVICES, Gateway, RecordingService

pytestmark = pytest.mark.browser
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def url(gateway: Gateway, settings: GatewaySettings, pages: Pages) -> Iterator[str]:
    """Of a gateway on a port of its own, with a host name: what passkeys need."""
    del gateway  # empties the database
    with held_port() as port:
        public_url = HttpUrl.parse(f"http://localhost:{port}")
        services: dict[Any, Any] = {
            name: CarriedByHttpx(httpx.ASGITransport(RecordingService(name))) for name in SERVICES
        }
        app = create_app(msgspec.structs.replace(settings, public_url=public_url), upstreams=services, pages=pages)
        with serving_app(app, port=port):
            yield str(public_url)


@pytest.fixture
async def tab() -> AsyncIterator[Tab]:
    async with running_browser() as browser, opened_tab(browser) as opened:
        yield opened


async def add_authenticator(tab: Tab, **changes: object) -> tuple[Any, str]:
    session = await tab.page.context.new_cdp_session(tab.page)
    await session.send("WebAuthn.enable")
    made = await session.send("WebAuthn.addVirtualAuthenticator", {"options": {**AUTHENTICATOR, **changes}})
    return session, made["authenticatorId"]


async def log_in(tab: Tab, url: str) -> None:
    await tab.page.goto(f"{url}/login")
    await tab.page.fill("#username", "author")
    await tab.page.fill("#password", PASSWORD)
    await tab.page.get_by_role("button", name="Log in", exact=True).click()
    await expect(tab.page).to_have_url(f"{url}/admin/dashboard")


async def test_a_passkey_is_added_signs_in_confirms_and_is_removed(gateway: Gateway, url: str, tab: Tab) -> None:
    await gateway.add_user()
    session, authenticator = await add_authenticator(tab)
    await log_in(tab, url)
    await tab.page.goto(f"{url}/admin/account/passkeys")
    await expect(tab.page.get_by_text("This needs a browser")).to_be_hidden()
    await tab.page.fill("#name", "This laptop")
    await tab.page.get_by_role("button", name="Add a passkey").click()
    await expect(tab.page.get_by_text("Your passkey is added")).to_be_visible()
    kept = await session.send("WebAuthn.getCredentials", {"authenticatorId": authenticator})
    assert [(one["rpId"], one["isResidentCredential"]) for one in kept["credentials"]] == [("localhost", True)]
    # The same device is told that it has one already.
    await tab.page.fill("#name", "Once more")
    await tab.page.get_by_role("button", name="Add a passkey").click()
    await expect(tab.page.get_by_text("This device has a passkey of yours already.")).to_be_visible()

    await tab.page.get_by_role("button", name="Log out").click()
    await tab.page.get_by_role("button", name="Log in with a passkey").click()
    await expect(tab.page).to_have_url(f"{url}/admin/dashboard")
    await tab.page.goto(f"{url}/admin/confirm?next=/admin/account/passkeys")
    await tab.page.get_by_role("button", name="Use a passkey").click()
    await expect(tab.page).to_have_url(f"{url}/admin/account/passkeys")

    await tab.page.get_by_role("button", name="Remove").click()
    await expect(tab.page.get_by_text("The passkey is removed")).to_be_visible()
    await tab.page.get_by_role("button", name="Log out").click()
    await tab.page.get_by_role("button", name="Log in with a passkey").click()
    await expect(tab.page.get_by_text("That passkey was not taken")).to_be_visible()
    # The dashboard's figures come from services that say nothing here; nothing else is complained about.
    silent = ("dashboard", "favicon", "EventSource")
    assert [one for one in tab.complaints if not any(word in one for word in silent)] == []


async def test_an_authenticator_that_does_not_verify_its_user_signs_nobody_in(
    gateway: Gateway, url: str, tab: Tab
) -> None:
    await gateway.add_user()
    await add_authenticator(tab, isUserVerified=False)
    await log_in(tab, url)
    await tab.page.goto(f"{url}/admin/account/passkeys")
    await tab.page.fill("#name", "This laptop")
    await tab.page.get_by_role("button", name="Add a passkey").click()
    await expect(tab.page.get_by_text("Nothing came of it. Try again.")).to_be_visible()
    assert gateway.sql("SELECT 1 FROM gateway.passkey") == []


async def test_without_scripts_the_password_still_signs_in(gateway: Gateway, url: str) -> None:
    await gateway.add_user()
    async with running_browser() as browser, opened_tab(browser, java_script_enabled=False) as tab:
        await tab.page.goto(f"{url}/login")
        await expect(tab.page.get_by_role("button", name="Log in with a passkey")).to_be_hidden()
        await log_in(tab, url)
        await tab.page.goto(f"{url}/admin/account/passkeys")
        await expect(tab.page.get_by_text("This needs a browser")).to_be_visible()
