"""A reader's life with a newsletter in German: subscribe, confirm, look at what is kept, leave; real processes."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, expect

from broadsheet_local.system import LocalSystem
from harness.browser import PHONE, Tab, opened_tab
from harness.oracle import Oracle
from harness.seeding import Seed
from harness.steps import newest_link, newest_mail
from harness.system import LINK
from harness.waiting import eventually

pytestmark = pytest.mark.browser

READER = "leserin@example.com"


@pytest.fixture
async def newsletter(processes: LocalSystem, stored: Seed) -> AsyncIterator[int]:
    """The default one, in German, with a colour in which no text could be read on paper; the gateway knows it."""
    columns = "name, description, language, accent_colour"
    [before] = stored.execute(f"SELECT id, {columns} FROM publishing.newsletter WHERE is_default")
    change = f"UPDATE publishing.newsletter SET ({columns}) = (%s, %s, %s, %s) WHERE is_default"
    home = processes.addresses.gateway_url
    stored.execute(change, ("Werkstattbrief", "Alte Maschinen, neu verstanden.", "de", "#ffd400"))
    await _until_language(home, "de")
    yield int(str(before[0]))
    stored.execute(change, before[1:])
    await _until_language(home, str(before[3]))


async def _until_language(home: str, language: str) -> None:
    """The gateway learns of a change when it asks for the newsletters again."""

    async def is_known() -> bool:
        return f'<html lang="{language}"' in (await client.get(home)).text

    async with httpx.AsyncClient() as client:
        await eventually(is_known, what="the gateway learns of the newsletter's language")


async def _press(tab: Tab, button: str, heading: str, picture: Path) -> None:
    await tab.page.get_by_role("button", name=button, exact=True).click()
    await _shows(tab, heading, picture)


async def _shows(tab: Tab, heading: str, picture: Path) -> None:
    await expect(tab.page.locator("h1")).to_have_text(heading)
    await expect(tab.page.locator("html")).to_have_attribute("lang", "de")
    assert await tab.fits(), f"{tab.page.url} is wider than the screen"
    await tab.page.screenshot(path=picture, full_page=True)


async def test_a_reader_in_german(
    processes: LocalSystem, browser: Browser, inbox: Oracle, stored: Seed, newsletter: int, tmp_path: Path
) -> None:
    home = processes.addresses.gateway_url
    async with opened_tab(browser, viewport=PHONE, locale="en-GB") as tab:
        await tab.page.goto(home)
        await _shows(tab, "Jede Ausgabe, einmal, in Ihrem Postfach", tmp_path / "61-form.png")
        colour = await tab.page.get_by_role("button", name="Abonnieren").evaluate("e => getComputedStyle(e).color")
        ground = await tab.page.get_by_role("button", name="Abonnieren").evaluate(
            "e => getComputedStyle(e).backgroundColor"
        )
        assert ground not in {colour, "rgb(255, 212, 0)"}, "made darker, so that it can be read"
        await tab.page.get_by_label("Name").fill("Lise")
        await tab.page.get_by_label("E-Mail-Adresse").fill(READER)
        await _press(tab, "Abonnieren", "Sehen Sie in Ihrem Postfach nach", tmp_path / "62-inbox.png")
        test_inbox = tab.page.get_by_role("link", name="Test-Postfach dieser Installation öffnen")
        await expect(test_inbox).to_have_attribute("href", re.compile(r"^http://127\.0\.0\.1:\d+"))

        link = await newest_link(inbox, READER, "/subscriptions/confirm")
        await tab.page.goto(link)
        await _shows(tab, "Ein letzter Schritt", tmp_path / "63-confirm.png")
        await _press(tab, "Mein Abonnement bestätigen", "Ihr Abonnement ist bestätigt", tmp_path / "64-confirmed.png")
        assert stored.execute(
            "SELECT wording_version FROM subscriptions.consent_event WHERE kind = 'requested' AND newsletter_id = %s",
            (newsletter,),
        ) == [(2,)]

        [(subscriber,)] = stored.execute("SELECT id FROM subscriptions.subscriber")
        stored.published_issue([int(str(subscriber))])
        issue = (await newest_mail(inbox, READER, "/unsubscribe/")).text
        assert "Sie erhalten diese E-Mail, weil Sie Werkstattbrief abonniert haben." in issue
        leave = next(one for one in LINK.findall(issue) if "/unsubscribe/" in one)

        await tab.page.goto(leave)
        await _shows(tab, "Abbestellen", tmp_path / "65-leave.png")
        await tab.page.get_by_role("link", name="sehen Sie, was Sie noch tun können").click()
        await _shows(tab, "Ihre Möglichkeiten", tmp_path / "66-choices.png")
        await _press(tab, "Link per E-Mail senden", "Sehen Sie in Ihrem Postfach nach", tmp_path / "67-mailed.png")
        own = (await newest_mail(inbox, READER, "/preferences/")).text
        assert "Der Link ist 1 Stunde gültig." in own
        await tab.page.goto(LINK.findall(own)[0])
        await _shows(tab, "Ihre Abonnements und Ihre Daten", tmp_path / "68-own.png")
        await tab.page.get_by_role("textbox", name="Name").fill("Lise M.")
        await _press(tab, "Namen ändern", "Ihre Abonnements und Ihre Daten", tmp_path / "69-name.png")
        await expect(tab.page.get_by_text("Ihr Name wurde geändert.")).to_be_visible()

        await tab.page.goto(leave)
        await _press(tab, "Jetzt abbestellen", "Sie sind abgemeldet", tmp_path / "70-left.png")
        assert stored.execute("SELECT state FROM subscriptions.subscription") == [("unsubscribed",)]
        assert tab.complaints == []


async def test_the_form_to_copy_is_copied_by_its_button(
    processes: LocalSystem, browser: Browser, inbox: Oracle, stored: Seed
) -> None:
    home = processes.addresses.gateway_url
    [(slug,)] = stored.execute("SELECT slug FROM publishing.newsletter WHERE is_default")
    permissions = ["clipboard-read", "clipboard-write"]
    async with opened_tab(browser, permissions=permissions) as tab:
        await tab.page.goto(f"{home}/newsletters/{slug}/embed")
        await tab.page.locator(".copy-place button").click()
        await expect(tab.page.get_by_role("status")).to_have_text(re.compile("Copied|Kopiert"))
        copied = await tab.page.evaluate("navigator.clipboard.readText()")
        assert copied == await tab.page.locator("#snippet").text_content()
        assert copied.startswith("<form method")
        assert tab.complaints == []
    async with opened_tab(browser, java_script_enabled=False) as plain:
        await plain.page.goto(f"{home}/newsletters/{slug}/embed")
        await expect(plain.page.locator("#snippet")).to_contain_text("<form method")
        assert await plain.page.get_by_role("button").count() == 0
