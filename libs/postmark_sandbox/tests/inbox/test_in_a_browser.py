"""The inbox in headless Chromium: reading by keyboard, new mail, hostile mails, small screens, axe."""

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from broadsheet_postmark_sandbox.testing import SandboxDriver

pytestmark = pytest.mark.browser

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE: Any = {"width": 360, "height": 740}
DESK: Any = {"width": 1440, "height": 900}
RULES = {"resultTypes": ["violations"], "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
HOSTILE_HTML = """<!doctype html><script>top.document.title='owned'; fetch('/_sandbox/messages')</script>
<img src=x onerror="parent.document.title='owned'"><svg onload="document.title='owned'"></svg>
<form action="/_sandbox/reset" method="post"><button id="send">Send</button></form>
<meta http-equiv="refresh" content="0;url=javascript:alert(1)"><base href="https://evil.example/">
<iframe src="/"></iframe><object data="/"></object><a href="javascript:alert(1)" id="js">x</a>
<style>@import url(https://evil.example/x.css);</style><p id="end">The end</p>"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    path = next(found for name in names if (found := shutil.which(name)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport=DESK)
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


def open_mail(sandbox: SandboxDriver, tab: Page, view: str = "html", **fields: object) -> str:
    message_id: str = sandbox.send(**fields).json()["MessageID"]
    tab.goto(f"{sandbox.running.base_url}/inbox/{message_id}?view={view}")
    return message_id


def test_mail_is_found_and_read_by_keyboard(sandbox: SandboxDriver, tab: Page) -> None:
    for who in ("ada", "bob", "cleo"):
        sandbox.send(To=f"{who}@mail.example", Subject=f"Hello {who}", HtmlBody=f"<h1>Dear {who}</h1>")
    tab.goto(sandbox.running.base_url + "/")
    for key in ("j", "j", "j", "k"):
        tab.keyboard.press(key)
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/inbox/**")
    assert tab.get_by_role("heading", level=1).inner_text() == "Hello bob"
    assert tab.frame_locator("iframe").get_by_role("heading").inner_text() == "Dear bob"
    tab.keyboard.press("j")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("heading", level=1)).to_have_text("Hello ada")
    tab.wait_for_load_state()  # of the script that listens to the keys
    tab.keyboard.press("/")
    tab.keyboard.type("j cleo")
    assert tab.get_by_label("Recipient, or a part").input_value() == "j cleo", "letters typed in a field move nothing"
    tab.get_by_label("Recipient, or a part").fill("cleo")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/?recipient=cleo*")
    assert tab.locator("a.row").count() == 1


def test_reading_works_without_scripts(sandbox: SandboxDriver, chromium: Browser) -> None:
    sandbox.send(Subject="Hello", HtmlBody="<h1>Dear reader</h1>")
    context = chromium.new_context(viewport=PHONE, java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(sandbox.running.base_url + "/")
        page.locator("a.row").click()
        expect(page.frame_locator("iframe").get_by_role("heading")).to_have_text("Dear reader")
        page.get_by_role("link", name="Plain text").click()
        expect(page.locator("pre")).to_have_text("Hello")
        page.get_by_role("link", name="Events (0)").click()
        page.get_by_role("button", name="Open").click()
        expect(page.get_by_text("Opened")).to_be_visible()
        page.get_by_role("link", name="All mail").click()
        expect(page.locator("a.row")).to_be_visible()
    finally:
        context.close()


def test_new_mail_appears_by_itself_and_the_focus_stays(sandbox: SandboxDriver, tab: Page) -> None:
    sandbox.send(Subject="First", To="ada@mail.example")
    tab.goto(sandbox.running.base_url + "/?recipient=ada")
    tab.keyboard.press("j")
    sandbox.send(Subject="Not for her", To="bob@mail.example")
    sandbox.send(Subject="Second", To="ada@mail.example")
    expect(tab.locator("a.row")).to_have_count(2)
    expect(tab.locator("a.row").first).to_contain_text("Second")
    expect(tab.locator("#news")).to_have_text("1 new mail")
    expect(tab.locator("#total")).to_have_text("3")
    assert "First" in tab.evaluate("document.activeElement.textContent")


def test_a_hostile_mail_runs_nothing_sends_nothing_and_has_no_origin(sandbox: SandboxDriver, tab: Page) -> None:
    asked: list[str] = []
    tab.on("requestfinished", lambda request: asked.append(request.url))
    message_id = open_mail(sandbox, tab, Subject="Hostile", HtmlBody=HOSTILE_HTML)
    frame = tab.frame_locator("iframe")
    expect(frame.locator("#end")).to_be_visible()
    frame.locator("#send").click()
    tab.wait_for_timeout(500)
    assert tab.title() == "Hostile · Postmark sandbox"
    assert frame.locator("#end").evaluate("() => self.origin") == "null"
    assert [one for one in asked if "_sandbox" in one or "evil" in one] == [], "the policy blocks them"
    assert [row["message_id"] for row in sandbox.accepted()] == [message_id], "nothing was reset"
    tab.goto(f"{sandbox.running.base_url}/inbox/{message_id}/html")
    assert tab.title() == "", "opened alone, its scripts do not run either"
    assert tab.evaluate("() => self.origin") == "null"


def test_remote_pictures_are_asked_for_without_a_referrer(sandbox: SandboxDriver, tab: Page) -> None:
    seen: list[dict[str, str]] = []

    def answer(route: Route) -> None:
        seen.append(route.request.headers)
        route.abort()

    tab.context.route("https://pictures.example/*", answer)
    open_mail(sandbox, tab, HtmlBody='<img src="https://pictures.example/p.png" alt="p"><p id="end">x</p>')
    expect(tab.frame_locator("iframe").locator("#end")).to_be_visible()
    assert len(seen) == 1
    assert "referer" not in seen[0]


def test_a_mail_is_shown_in_light_and_in_dark(sandbox: SandboxDriver, chromium: Browser) -> None:
    html = (
        '<!doctype html><html><head><meta name="color-scheme" content="light dark"><style>p{color:#010101}'
        "@media (prefers-color-scheme: dark){p{color:#fefefe}}</style></head><body><p>Hi</p></body></html>"
    )
    # What a test says of colours goes before what the page says of its frame.
    context = chromium.new_context(color_scheme="null")
    try:
        tab = context.new_page()
        for view, colour in (("html", "rgb(1, 1, 1)"), ("dark", "rgb(254, 254, 254)")):
            open_mail(sandbox, tab, view, HtmlBody=html)
            expect(tab.frame_locator("iframe").locator("p")).to_have_css("color", colour)
    finally:
        context.close()


def test_text_of_another_direction_does_not_turn_the_page_round(sandbox: SandboxDriver, tab: Page) -> None:
    open_mail(
        sandbox,
        tab,
        "links",
        Subject="\u202eevil\u202d \u05e9\u05dc\u05d5\u05dd",
        From='"\u202eexe.ysae" <news@news.example>',
        HtmlBody='<a href="https://x.example/\u202egnp.exe">\u202egnp.exe</a>',
    )
    box = tab.locator("bdi", has_text="https://x.example/").first
    assert box.evaluate("b => getComputedStyle(b).unicodeBidi") == "isolate"
    assert tab.get_by_role("heading", level=1).evaluate("h => h.dir") == "auto"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_and_is_accessible(sandbox: SandboxDriver, chromium: Browser, scheme: Any) -> None:
    sandbox.send(
        To="a.very.long.name.that.goes.on@a-host-name-that-goes-on.example, bob@mail.example",
        Subject="A subject with averylongwordthatgoesonandonandonandonandonandonandon",
        TextBody="Hello https://x.example/",
        HtmlBody='<html lang="en"><head><title>x</title></head><body><div>' * 50 + '<a href="https://x.example/">A</a>',
        Tag="issue-1",
        Headers=[{"Name": "X-Long", "Value": "x" * 500}],
        Metadata={"a": "b"},
        Attachments=[{"Name": "a.txt", "Content": "aGk=", "ContentType": "text/plain"}],
    )
    message_id = sandbox.accepted()[0]["message_id"]
    sandbox.event(type="Delivery", message_id=message_id)
    mail = f"/inbox/{message_id}"
    views = ("html", "dark", "text", "links", "headers", "source", "attachments", "events")
    paths = ["/", "/?recipient=nobody", "/inbox/faults", "/inbox/none", *(f"{mail}?view={view}" for view in views)]
    context = chromium.new_context(color_scheme=scheme)
    try:
        page = context.new_page()
        problems: list[str] = []
        page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
        for path in paths:
            for size in (PHONE, DESK):
                page.set_viewport_size(size)
                page.goto(sandbox.running.base_url + path)
                assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], (path, size)
                page.evaluate(Axe().axe_script)
                found = page.evaluate("options => axe.run(document, options)", {**RULES, "iframes": False})
                assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == [], path
        assert [one for one in problems if "404" not in one] == []
    finally:
        context.close()
