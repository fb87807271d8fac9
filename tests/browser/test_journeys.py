"""From sign-up to the last setting, in headless Chromium, against real processes."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from broadsheet_local.system import LocalSystem
from harness.browser import Tab, opened_tab
from harness.oracle import Oracle
from harness.seeding import Seed
from harness.system import LINK
from harness.waiting import eventually

pytestmark = pytest.mark.browser

READER = "reader@example.com"
NEW_PASSWORD = "ink, paper and seven presses"
OTHERS = 4_000
PHONE = {"width": 360, "height": 740}


async def _mail(inbox: Oracle, to: str, stream: str) -> str:
    """The text of the newest mail to the address on the stream, once it is there."""

    def found() -> list[str]:
        return [mail.text for mail in inbox.messages() if (mail.to, mail.stream) == (to, stream)]

    await eventually(lambda: bool(found()), within_s=30, what=f"a mail to {to}")
    return found()[-1]


async def test_from_sign_up_to_log_out(
    processes: LocalSystem, browser: Browser, inbox: Oracle, stored: Seed, tmp_path: Path
) -> None:
    home = processes.addresses.gateway_url
    async with opened_tab(browser, viewport={"width": 1280, "height": 900}) as tab:
        look = _camera(tab, tmp_path)
        await _sign_up(tab, home, look)
        [link] = LINK.findall(await _mail(inbox, READER, "outbound"))
        async with opened_tab(browser, java_script_enabled=False) as plain:
            await _confirm(plain, link, _camera(plain, tmp_path))
            assert plain.complaints == []
        await _log_in(tab, home, processes, look)
        stored.subscribers(OTHERS, prefix="other")
        inbox.fault({"kind": "latency", "latency_ms": 1_000, "match": {"stream": "broadcast"}})
        await _publish(tab, look)
        await _watch_to_the_end(tab, home, look)
        assert "Hello Le Guin" in await _mail(inbox, READER, "broadcast")
        await _change_password(tab, processes, look)
        await tab.page.get_by_role("button", name="Log out").click()
        await expect(tab.page.get_by_text("You have successfully logged out.")).to_be_visible()
        await look("13-logged-out")
        await tab.page.goto(f"{home}/admin/dashboard")
        assert tab.page.url == f"{home}/login"
        assert tab.complaints == []


Look = Callable[[str], Awaitable[None]]


def _camera(tab: Tab, folder: Path) -> Look:
    """Takes a picture of the page, and sees that nothing sticks out of it."""

    async def look(name: str) -> None:
        await tab.page.screenshot(path=folder / f"{name}.png", full_page=True)
        assert await tab.fits(), f"{tab.page.url} is wider than the screen"

    return look


async def _sign_up(tab: Tab, home: str, look: Look) -> None:
    await tab.page.goto(home)
    await look("01-home")
    await tab.page.get_by_label("Name").fill("Le Guin")
    await tab.page.get_by_label("E-mail address").fill(READER)
    await tab.page.get_by_role("button", name="Subscribe").click()
    await expect(tab.page.locator("h1")).to_contain_text("inbox")
    await look("02-check-inbox")


async def _confirm(plain: Tab, link: str, look: Look) -> None:
    await plain.page.goto(link)
    await look("03-confirm")
    await plain.page.get_by_role("button", name="Confirm my subscription").click()
    await expect(plain.page.locator("h1")).to_have_text("Your subscription is confirmed")
    await look("04-confirmed")


async def _log_in(tab: Tab, home: str, processes: LocalSystem, look: Look) -> None:
    page = tab.page
    await page.goto(f"{home}/login")
    await look("05-login")
    await page.get_by_label("User name").fill(processes.username)
    await page.get_by_label("Password").fill(processes.password)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator("h1")).to_have_text(f"Welcome {processes.username}")
    await expect(page.locator(".sending")).to_contain_text("Sending is running, with 1 sender.")
    await look("06-dashboard-empty")


async def _publish(tab: Tab, look: Look) -> None:
    page = tab.page
    await page.get_by_role("link", name="Quick publish").click()
    await look("07-write")
    await page.get_by_label("Title").fill("A journey by press")
    await page.get_by_label("Plain text").fill("Hello {{ subscriber.name }}")
    await page.get_by_label("HTML", exact=True).fill("<h1>Hello {{ subscriber.name | escape }}</h1>")
    await page.get_by_role("button", name="Publish now").click()
    await expect(page.get_by_text("The newsletter issue has been accepted")).to_be_visible()
    await look("08-accepted")


async def _watch_to_the_end(tab: Tab, home: str, look: Look) -> None:
    page = tab.page
    await page.goto(f"{home}/admin/dashboard")
    await page.evaluate("() => { window.staysTheSamePage = true; }")
    settled = page.locator("[data-live=settled]")
    await expect(settled).to_have_text(re.compile(r"^[1-9][\d,]*$"))
    await look("09-dashboard-sending")
    await expect(settled).to_have_text(f"{OTHERS + 1:,}", timeout=60_000)
    await expect(page.locator(".chip-sent")).to_be_visible(timeout=30_000)
    assert await page.evaluate("() => window.staysTheSamePage"), "the figures moved without loading the page anew"
    await look("10-dashboard-sent")
    await page.get_by_role("link", name="A journey by press").click()
    await expect(page.locator("h1")).to_have_text("A journey by press")
    await look("11-issue")


async def _change_password(tab: Tab, processes: LocalSystem, look: Look) -> None:
    page = tab.page
    await page.get_by_role("link", name="Account").click()
    await page.get_by_label("Current password").fill(processes.password)
    await page.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
    await page.get_by_label("New password, once more").fill(NEW_PASSWORD)
    await page.get_by_role("button", name="Change the password").click()
    await expect(page.get_by_text("Your password has been changed.")).to_be_visible()
    await look("12-password")


async def test_by_keyboard_alone_on_a_narrow_screen(
    processes: LocalSystem, browser: Browser, inbox: Oracle, stored: Seed, tmp_path: Path
) -> None:
    home = processes.addresses.gateway_url
    async with opened_tab(browser, viewport=PHONE) as tab:
        look = _camera(tab, tmp_path)
        await tab.page.goto(home)
        await look("21-home")
        await _submit(tab, {"#name": "Le Guin", "#email": READER})
        await expect(tab.page.locator("h1")).to_contain_text("inbox")
        await look("22-check-inbox")

        [link] = LINK.findall(await _mail(inbox, READER, "outbound"))
        await tab.page.goto(link)
        await look("23-confirm")
        await _press(tab, "main button", "Your subscription is confirmed")

        await tab.page.goto(f"{home}/login")
        await _submit(tab, {"#username": processes.username, "#password": processes.password})
        await expect(tab.page.locator("h1")).to_have_text(f"Welcome {processes.username}")
        await look("24-dashboard")
        await tab.tab_to("button[popovertarget='menu']")
        await tab.page.keyboard.press("Enter")
        await _press(tab, "a[href='/admin/newsletters']", "Quick publish")
        await look("25-write")
        await _publish_by_keyboard(tab, look)
        await _mail(inbox, READER, "broadcast")

        await tab.tab_to("button[popovertarget='menu']")
        await tab.page.keyboard.press("Enter")
        await _press(tab, "a[href='/admin/password']", "Change your password")
        await look("29-password")
        new = {"#new_password": NEW_PASSWORD, "#new_password_check": NEW_PASSWORD}
        await _submit(tab, {"#current_password": processes.password, **new})
        await expect(tab.page.get_by_text("Your password has been changed.")).to_be_visible()
        await _press(tab, "form[action='/admin/logout'] button", "Log in")
        await expect(tab.page.get_by_text("You have successfully logged out.")).to_be_visible()
        await look("30-logged-out")
        assert tab.complaints == []


async def _publish_by_keyboard(tab: Tab, look: Look) -> None:
    for selector, value in {"#title": "By keyboard", "#text_content": "Text", "#html_content": "<p>HTML</p>"}.items():
        await tab.tab_to(selector)
        await tab.page.keyboard.type(value)
    await _press(tab, "main form button", "Quick publish")
    await expect(tab.page.get_by_text("The newsletter issue has been accepted")).to_be_visible()
    await look("26-accepted")
    await _press(tab, "a[href='/admin/dashboard']", "Welcome admin")
    await expect(tab.page.locator(".chip-sent")).to_be_visible(timeout=30_000)
    await look("27-dashboard-sent")
    await _press(tab, ".issue a", "By keyboard")
    await look("28-issue")


async def test_the_link_in_an_issue_unsubscribes_without_scripts_and_without_a_login(
    processes: LocalSystem, browser: Browser, inbox: Oracle, stored: Seed, tmp_path: Path
) -> None:
    [reader] = stored.subscribers(1)
    stored.published_issue([reader])
    [address] = LINK.findall(await _mail(inbox, "reader-1@example.com", "broadcast"))
    async with opened_tab(browser, java_script_enabled=False, viewport=PHONE) as tab:
        await tab.page.goto(address)
        await tab.page.screenshot(path=tmp_path / "31-unsubscribe.png", full_page=True)
        assert await tab.fits()
        assert stored.execute("SELECT state FROM subscriptions.subscription") == [("confirmed",)]
        await tab.page.get_by_role("button", name="Unsubscribe me").click()
        await expect(tab.page.locator("h1")).to_have_text("You are unsubscribed")
        await tab.page.screenshot(path=tmp_path / "32-unsubscribed.png", full_page=True)
        assert stored.execute("SELECT state FROM subscriptions.subscription") == [("unsubscribed",)]
        assert tab.complaints == []


async def test_errors_and_documentation_are_pages_too(
    processes: LocalSystem, browser: Browser, inbox: Oracle, tmp_path: Path
) -> None:
    home = processes.addresses.gateway_url
    async with opened_tab(browser, viewport=PHONE) as tab:
        for name, path in (("41-missing", "/nothing"), ("42-docs", "/docs"), ("43-bad-link", "/subscriptions/confirm")):
            await tab.page.goto(home + path)
            assert await tab.heading()
            assert await tab.fits(), path
            await tab.page.screenshot(path=tmp_path / f"{name}.png", full_page=name != "42-docs")
        await tab.page.goto(home)
        await tab.page.get_by_label("Name").fill("<script>")
        await tab.page.get_by_label("E-mail address").fill("reader@example")
        await tab.page.locator("form").evaluate("form => form.setAttribute('novalidate', '')")
        await tab.page.get_by_role("button", name="Subscribe").click()
        await expect(tab.page.get_by_role("alert")).to_be_visible()
        await tab.page.screenshot(path=tmp_path / "44-invalid.png", full_page=True)
        assert await tab.fits()
        # The statuses themselves are what was asked for; anything else would be a fault of the page.
        expected = re.compile(r"^(404|400): |Failed to load resource: the server responded with a status of 40[04]")
        assert [one for one in tab.complaints if not expected.search(one)] == []


async def _press(tab: Tab, selector: str, heading: str) -> None:
    """Reach it with Tab and press Enter; the page that follows has this heading."""
    await tab.tab_to(selector)
    await tab.page.keyboard.press("Enter")
    await expect(tab.page.locator("h1")).to_have_text(heading)


async def _submit(tab: Tab, values: dict[str, str]) -> None:
    """Type into each field and press Enter in the last."""
    for selector, value in values.items():
        await tab.tab_to(selector)
        await tab.page.keyboard.type(value)
    await tab.page.keyboard.press("Enter")
