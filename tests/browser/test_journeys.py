"""From sign-up to the last setting, in headless Chromium, against real processes."""

import re
from pathlib import Path

import pytest
from broadsheet_local.system import LocalSystem
from playwright.async_api import Browser, expect

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
        page = tab.page
        await page.goto(home)
        await page.screenshot(path=tmp_path / "01-home.png", full_page=True)
        await page.get_by_label("Name").fill("Le Guin")
        await page.get_by_label("E-mail address").fill(READER)
        await page.get_by_role("button", name="Subscribe").click()
        await expect(page.locator("h1")).to_contain_text("inbox")
        await page.screenshot(path=tmp_path / "02-check-inbox.png", full_page=True)

        [link] = LINK.findall(await _mail(inbox, READER, "outbound"))
        async with opened_tab(browser, java_script_enabled=False) as plain:
            await plain.page.goto(link)
            await plain.page.screenshot(path=tmp_path / "03-confirm.png", full_page=True)
            await plain.page.get_by_role("button", name="Confirm my subscription").click()
            await expect(plain.page.locator("h1")).to_have_text("Your subscription is confirmed")
            await plain.page.screenshot(path=tmp_path / "04-confirmed.png", full_page=True)
            assert plain.complaints == []

        stored.subscribers(OTHERS, prefix="other")
        inbox.fault({"kind": "latency", "latency_ms": 1_500, "match": {"stream": "broadcast"}})
        await page.goto(f"{home}/login")
        await page.screenshot(path=tmp_path / "05-login.png", full_page=True)
        await page.get_by_label("User name").fill(processes.username)
        await page.get_by_label("Password").fill(processes.password)
        await page.get_by_role("button", name="Log in").click()
        await expect(page.locator("h1")).to_have_text(f"Welcome {processes.username}")
        await page.screenshot(path=tmp_path / "06-dashboard-empty.png", full_page=True)

        await page.get_by_role("link", name="Write an issue").first.click()
        await page.screenshot(path=tmp_path / "07-write.png", full_page=True)
        await page.get_by_label("Title").fill("A journey by press")
        await page.get_by_label("Plain text").fill("Hello {{ subscriber.name }}")
        await page.get_by_label("HTML", exact=True).fill("<h1>Hello {{ subscriber.name | escape }}</h1>")
        await page.get_by_role("button", name="Publish now").click()
        await expect(page.get_by_text("The newsletter issue has been accepted")).to_be_visible()
        await page.screenshot(path=tmp_path / "08-accepted.png", full_page=True)

        await page.goto(f"{home}/admin/dashboard")
        await page.evaluate("() => { window.staysTheSamePage = true; }")
        settled = page.locator("[data-live=settled]")
        await expect(settled).to_have_text(re.compile(r"^[1-9][\d,]*$"))
        await page.screenshot(path=tmp_path / "09-dashboard-sending.png", full_page=True)
        await expect(settled).to_have_text(f"{OTHERS + 1:,}", timeout=60_000)
        await expect(page.locator(".chip-sent")).to_be_visible(timeout=30_000)
        assert await page.evaluate("() => window.staysTheSamePage"), "the figures moved without loading the page anew"
        await page.screenshot(path=tmp_path / "10-dashboard-sent.png", full_page=True)
        await page.get_by_role("link", name="A journey by press").click()
        await expect(page.locator("h1")).to_have_text("A journey by press")
        await page.screenshot(path=tmp_path / "11-issue.png", full_page=True)
        assert "Hello Le Guin" in await _mail(inbox, READER, "broadcast")

        await page.get_by_role("link", name="Password").click()
        await page.get_by_label("Current password").fill(processes.password)
        await page.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
        await page.get_by_label("New password, once more").fill(NEW_PASSWORD)
        await page.get_by_role("button", name="Change the password").click()
        await expect(page.get_by_text("Your password has been changed.")).to_be_visible()
        await page.screenshot(path=tmp_path / "12-password.png", full_page=True)
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_text("You have successfully logged out.")).to_be_visible()
        await page.screenshot(path=tmp_path / "13-logged-out.png", full_page=True)
        await page.goto(f"{home}/admin/dashboard")
        assert page.url == f"{home}/login"
        assert tab.complaints == []


async def test_by_keyboard_alone_on_a_narrow_screen(
    processes: LocalSystem, browser: Browser, inbox: Oracle, stored: Seed, tmp_path: Path
) -> None:
    home = processes.addresses.gateway_url
    async with opened_tab(browser, viewport=PHONE) as tab:
        page = tab.page

        async def look(name: str) -> None:
            await page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
            assert await tab.fits(), f"{page.url} is wider than the screen"

        await page.goto(home)
        await look("21-home")
        await _type_into(tab, {"#name": "Le Guin", "#email": READER})
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_contain_text("inbox")
        await look("22-check-inbox")

        [link] = LINK.findall(await _mail(inbox, READER, "outbound"))
        await page.goto(link)
        await look("23-confirm")
        await tab.tab_to("main button")
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_have_text("Your subscription is confirmed")

        await page.goto(f"{home}/login")
        await _type_into(tab, {"#username": processes.username, "#password": processes.password})
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_have_text(f"Welcome {processes.username}")
        await look("24-dashboard")

        await tab.tab_to("a[href='/admin/newsletters']")
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_have_text("Write an issue")
        await look("25-write")
        await _type_into(tab, {"#title": "By keyboard", "#text_content": "Text", "#html_content": "<p>HTML</p>"})
        await tab.tab_to("main form button")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("The newsletter issue has been accepted")).to_be_visible()
        await look("26-accepted")

        await tab.tab_to("a[href='/admin/dashboard']")
        await page.keyboard.press("Enter")
        await expect(page.locator(".chip-sent")).to_be_visible(timeout=30_000)
        await look("27-dashboard-sent")
        await tab.tab_to(".issue a")
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_have_text("By keyboard")
        await look("28-issue")
        await _mail(inbox, READER, "broadcast")

        await tab.tab_to("a[href='/admin/password']")
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_have_text("Change your password")
        await look("29-password")
        await _type_into(
            tab,
            {
                "#current_password": processes.password,
                "#new_password": NEW_PASSWORD,
                "#new_password_check": NEW_PASSWORD,
            },
        )
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Your password has been changed.")).to_be_visible()
        await tab.tab_to("form[action='/admin/logout'] button")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("You have successfully logged out.")).to_be_visible()
        await look("30-logged-out")
        assert tab.complaints == []


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


async def _type_into(tab: Tab, values: dict[str, str]) -> None:
    for selector, value in values.items():
        await tab.tab_to(selector)
        await tab.page.keyboard.type(value)
