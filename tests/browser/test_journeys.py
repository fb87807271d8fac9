"""From sign-up to the last setting, in headless Chromium, against real processes."""

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from broadsheet_local.system import LocalSystem
from harness.browser import PHONE, Tab, opened_tab
from harness.oracle import Oracle
from harness.seeding import Seed
from harness.steps import newest_link, newest_mail

pytestmark = pytest.mark.browser

READER = "reader@example.com"
NEW_PASSWORD = "ink, paper and seven presses"
OTHERS = 4_000


async def test_from_sign_up_to_log_out(
    processes: LocalSystem, browser: Browser, inbox: Oracle, stored: Seed, tmp_path: Path
) -> None:
    home = processes.addresses.gateway_url
    async with opened_tab(browser, viewport={"width": 1280, "height": 900}) as tab:
        await _sign_up(tab, home, tmp_path)
        link = await newest_link(inbox, READER, "/subscriptions/confirm")
        async with opened_tab(browser, java_script_enabled=False) as plain:
            await _confirm(plain, link, tmp_path)
            assert plain.complaints == []
        await _log_in(tab, home, processes, tmp_path)
        stored.subscribers(OTHERS, prefix="other")
        inbox.fault({"kind": "latency", "latency_ms": 1_000, "match": {"stream": "broadcast"}})
        await _publish(tab, tmp_path)
        await _watch_to_the_end(tab, home, tmp_path)
        await newest_mail(inbox, READER, "Hello Le Guin")
        await _change_password(tab, processes, tmp_path)
        await tab.page.get_by_role("button", name="Log out").click()
        await expect(tab.page.get_by_text("You have successfully logged out.")).to_be_visible()
        await tab.look(tmp_path / "13-logged-out.png")
        await tab.page.goto(f"{home}/admin/dashboard")
        assert tab.page.url == f"{home}/login"
        assert tab.complaints == []


async def _sign_up(tab: Tab, home: str, folder: Path) -> None:
    await tab.page.goto(home)
    await tab.look(folder / "01-home.png")
    await tab.page.get_by_label("Name").fill("Le Guin")
    await tab.page.get_by_label("E-mail address").fill(READER)
    await tab.page.get_by_role("button", name="Subscribe").click()
    await expect(tab.page.locator("h1")).to_contain_text("inbox")
    await tab.look(folder / "02-check-inbox.png")


async def _confirm(tab: Tab, link: str, folder: Path) -> None:
    await tab.page.goto(link)
    await tab.look(folder / "03-confirm.png")
    await tab.page.get_by_role("button", name="Confirm my subscription").click()
    await expect(tab.page.locator("h1")).to_have_text("Your subscription is confirmed")
    await tab.look(folder / "04-confirmed.png")


async def _log_in(tab: Tab, home: str, processes: LocalSystem, folder: Path) -> None:
    page = tab.page
    await page.goto(f"{home}/login")
    await tab.look(folder / "05-login.png")
    await page.get_by_label("User name").fill(processes.username)
    await page.get_by_label("Password").fill(processes.password)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator("h1")).to_have_text(f"Welcome {processes.username}")
    await expect(page.locator(".sending")).to_contain_text("Sending is running, with 1 sender.")
    await tab.look(folder / "06-dashboard-empty.png")


async def _publish(tab: Tab, folder: Path) -> None:
    page = tab.page
    await page.get_by_role("link", name="Quick publish").click()
    await tab.look(folder / "07-write.png")
    await page.get_by_label("Title").fill("A journey by press")
    await page.get_by_label("Plain text").fill("Hello {{ subscriber.name }}")
    await page.get_by_label("HTML", exact=True).fill("<h1>Hello {{ subscriber.name | escape }}</h1>")
    await page.get_by_role("button", name="Publish now").click()
    await expect(page.get_by_text("The newsletter issue has been accepted")).to_be_visible()
    await tab.look(folder / "08-accepted.png")


async def _watch_to_the_end(tab: Tab, home: str, folder: Path) -> None:
    page = tab.page
    await page.goto(f"{home}/admin/dashboard")
    await page.evaluate("() => { window.staysTheSamePage = true; }")
    settled = page.locator("[data-live=settled]")
    await expect(settled).to_have_text(re.compile(r"^[1-9][\d,]*$"))
    await tab.look(folder / "09-dashboard-sending.png")
    await expect(settled).to_have_text(f"{OTHERS + 1:,}", timeout=60_000)
    await expect(page.locator(".chip-sent")).to_be_visible(timeout=30_000)
    assert await page.evaluate("() => window.staysTheSamePage"), "the figures moved without loading the page anew"
    await tab.look(folder / "10-dashboard-sent.png")
    await page.get_by_role("link", name="A journey by press").click()
    await expect(page.locator("h1")).to_have_text("A journey by press")
    await tab.look(folder / "11-issue.png")


async def _change_password(tab: Tab, processes: LocalSystem, folder: Path) -> None:
    page = tab.page
    await page.get_by_role("link", name="Account").click()
    await page.get_by_label("Current password").fill(processes.password)
    await page.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
    await page.get_by_label("New password, once more").fill(NEW_PASSWORD)
    await page.get_by_role("button", name="Change the password").click()
    await expect(page.get_by_text("Your password has been changed.")).to_be_visible()
    await tab.look(folder / "12-password.png")


async def test_by_keyboard_alone_on_a_narrow_screen(
    processes: LocalSystem, browser: Browser, inbox: Oracle, stored: Seed, tmp_path: Path
) -> None:
    home = processes.addresses.gateway_url
    async with opened_tab(browser, viewport=PHONE) as tab:
        await tab.page.goto(home)
        await tab.look(tmp_path / "21-home.png")
        await tab.type_and_submit({"#name": "Le Guin", "#email": READER})
        await expect(tab.page.locator("h1")).to_contain_text("inbox")
        await tab.look(tmp_path / "22-check-inbox.png")

        link = await newest_link(inbox, READER, "/subscriptions/confirm")
        await tab.page.goto(link)
        await tab.look(tmp_path / "23-confirm.png")
        await tab.press("main button", "Your subscription is confirmed")

        await tab.page.goto(f"{home}/login")
        await tab.type_and_submit({"#username": processes.username, "#password": processes.password})
        await expect(tab.page.locator("h1")).to_have_text(f"Welcome {processes.username}")
        await tab.look(tmp_path / "24-dashboard.png")
        await tab.tab_to("button[popovertarget='menu']")
        await tab.page.keyboard.press("Enter")
        await tab.press("a[href='/admin/newsletters']", "Quick publish")
        await tab.look(tmp_path / "25-write.png")
        await _publish_by_keyboard(tab, tmp_path)
        await newest_mail(inbox, READER, "/unsubscribe/")

        await tab.tab_to("button[popovertarget='menu']")
        await tab.page.keyboard.press("Enter")
        await tab.press("a[href='/admin/password']", "Change your password")
        await tab.look(tmp_path / "29-password.png")
        new = {"#new_password": NEW_PASSWORD, "#new_password_check": NEW_PASSWORD}
        await tab.type_and_submit({"#current_password": processes.password, **new})
        await expect(tab.page.get_by_text("Your password has been changed.")).to_be_visible()
        await tab.press("form[action='/admin/logout'] button", "Log in")
        await expect(tab.page.get_by_text("You have successfully logged out.")).to_be_visible()
        await tab.look(tmp_path / "30-logged-out.png")
        assert tab.complaints == []


async def _publish_by_keyboard(tab: Tab, folder: Path) -> None:
    for selector, value in {"#title": "By keyboard", "#text_content": "Text", "#html_content": "<p>HTML</p>"}.items():
        await tab.tab_to(selector)
        await tab.page.keyboard.type(value)
    await tab.press("main form button", "Quick publish")
    await expect(tab.page.get_by_text("The newsletter issue has been accepted")).to_be_visible()
    await tab.look(folder / "26-accepted.png")
    await tab.press("a[href='/admin/dashboard']", "Welcome admin")
    await expect(tab.page.locator(".chip-sent")).to_be_visible(timeout=30_000)
    await tab.look(folder / "27-dashboard-sent.png")
    await tab.press(".issue a", "By keyboard")
    await tab.look(folder / "28-issue.png")


async def test_the_link_in_an_issue_unsubscribes_without_scripts_and_without_a_login(
    processes: LocalSystem, browser: Browser, inbox: Oracle, stored: Seed, tmp_path: Path
) -> None:
    [reader] = stored.subscribers(1)
    stored.published_issue([reader])
    address = await newest_link(inbox, "reader-1@example.com", "/unsubscribe/[^/]+$")
    async with opened_tab(browser, java_script_enabled=False, viewport=PHONE) as tab:
        await tab.page.goto(address)
        await tab.look(tmp_path / "31-unsubscribe.png")
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
