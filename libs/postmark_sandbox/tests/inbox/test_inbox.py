"""The web inbox: its pages, what they escape, and a look at it in a browser."""

import os
import re
import shutil

import pytest
from playwright.sync_api import sync_playwright

from broadsheet_postmark_sandbox.inbox.views import Link, links_in
from broadsheet_postmark_sandbox.testing import SandboxDriver

HOSTILE = "<script>document.title='owned'</script>"
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def page(sandbox: SandboxDriver, path: str, status: int = 200) -> str:
    answer = sandbox.http.get(path, headers={"Accept": "text/html"})
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    return answer.text


def subjects(html: str) -> list[str]:
    return re.findall(r'<a href="/inbox/[0-9a-f-]{36}">([^<]*)</a>', html)


def test_an_empty_inbox_says_what_it_is_for(sandbox: SandboxDriver) -> None:
    assert "No mail yet" in page(sandbox, "/")


def test_the_list_is_newest_first_and_paged_both_ways(sandbox: SandboxDriver) -> None:
    sandbox.batch(*(sandbox.message(Subject=f"s{i}") for i in range(120)))
    seen: list[str] = []
    paths = ["/"]
    for path in paths:
        html = page(sandbox, path)
        seen += subjects(html)
        paths += re.findall(r'rel="next" href="([^"]+)"', html)
    assert seen == [f"s{i}" for i in reversed(range(120))]
    newer = re.search(r'rel="prev" href="([^"]+)"', page(sandbox, paths[-1]))
    assert newer is not None
    assert subjects(page(sandbox, newer[1]))[0] == "s69"


def test_the_list_can_be_searched_by_an_address_or_a_part_of_one(sandbox: SandboxDriver) -> None:
    sandbox.send(To="ada@mail.example", Subject="for ada")
    sandbox.send(To="adam@mail.example", Subject="for adam")
    sandbox.send(To="bob@mail.example", Cc="ada@mail.example", Subject="for both")
    assert subjects(page(sandbox, "/?recipient=ada@mail.example")) == ["for both", "for ada"]
    assert subjects(page(sandbox, "/?recipient=ADA")) == ["for both", "for adam", "for ada"]
    assert "No mail to" in page(sandbox, "/?recipient=zoe")
    assert subjects(page(sandbox, "/?before=nonsense")) == ["for both", "for adam", "for ada"]


def test_a_message_page_shows_everything_and_escapes_it(sandbox: SandboxDriver) -> None:
    sent = sandbox.send(
        Subject=f"Hi {HOSTILE}",
        TextBody=f"Text {HOSTILE} https://news.example/t",
        HtmlBody=f'<a href="https://news.example/confirm?x=1&amp;y=2">Confirm</a>{HOSTILE}',
        Headers=[{"Name": "X-Mark", "Value": HOSTILE}],
        Metadata={"issue": HOSTILE},
        Tag=HOSTILE,
        Attachments=[{"Name": "a.txt", "Content": "aGk=", "ContentType": "text/plain"}],
    ).json()["MessageID"]
    sandbox.event(type="Delivery", message_id=sent)
    html = page(sandbox, f"/inbox/{sent}")
    assert "<script" not in html
    for shown in ("X-Mark", "issue", "a.txt", "Delivered", "news@news.example", "Confirm", sent):
        assert shown in html
    assert 'href="https://news.example/confirm?x=1&amp;y=2"' in html
    assert "allow-same-origin" not in html
    assert "allow-scripts" not in html
    assert "<script" not in page(sandbox, "/")
    mail = sandbox.http.get(f"/inbox/{sent}/html")
    assert "sandbox allow-popups" in mail.headers["content-security-policy"]
    assert HOSTILE in mail.text
    source = sandbox.http.get(f"/inbox/{sent}/source")
    assert source.headers["content-type"].startswith("text/plain")
    assert "Subject: Hi" in source.text


@pytest.mark.parametrize("message_id", ["nope", "00000000-0000-4000-a000-000000000000"])
def test_an_unknown_message_has_a_page_that_says_so(sandbox: SandboxDriver, message_id: str) -> None:
    assert "No such message" in page(sandbox, f"/inbox/{message_id}", 404)
    assert sandbox.http.get(f"/inbox/{message_id}/html").status_code == 404
    assert sandbox.http.get(f"/inbox/{message_id}/source").status_code == 404


def test_the_faults_in_force_are_shown(sandbox: SandboxDriver) -> None:
    assert "No faults" in page(sandbox, "/inbox/faults")
    sandbox.faults({"kind": "drop_after", "name": HOSTILE, "probability": 0.25, "match": {"stream": "broadcast"}})
    html = page(sandbox, "/inbox/faults")
    assert "<script" not in html
    for shown in ("drop after", "25%", "stream broadcast", "0 of 0"):
        assert shown in html
    assert "1 fault is in force" in page(sandbox, "/")


def test_links_are_found_in_html_and_text_once() -> None:
    found = links_in(
        '<a href="https://x.example/a"><b>Read</b>  on</a> <a href="javascript:x">no</a> <a name="q">no</a>',
        "See https://x.example/a, or (https://x.example/b).",
    )
    assert found == [Link("Read on", "https://x.example/a"), Link("", "https://x.example/b")]
    assert links_in(None, None) == []


@pytest.mark.browser
def test_mail_is_found_and_read_in_a_browser_by_keyboard_without_scripts_running(sandbox: SandboxDriver) -> None:
    for who in ("ada", "bob"):
        sandbox.send(To=f"{who}@mail.example", Subject=f"Hello {who}", HtmlBody=f"<h1>Dear {who}</h1>{HOSTILE}")
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    path = next(found for name in names if (found := shutil.which(name)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        try:
            context = browser.new_context(viewport={"width": 375, "height": 740})
            tab = context.new_page()
            problems: list[str] = []
            tab.on("pageerror", lambda error: problems.append(str(error)))
            tab.goto(sandbox.running.base_url + "/")
            assert tab.get_by_role("row").count() == 3
            tab.get_by_label("Recipient").fill("bob")
            tab.keyboard.press("Enter")
            tab.get_by_role("link", name="Hello bob").focus()
            tab.keyboard.press("Enter")
            tab.wait_for_url("**/inbox/**")
            assert tab.get_by_role("heading", level=1).inner_text() == "Hello bob"
            frame = tab.frame_locator("iframe")
            assert frame.get_by_role("heading").inner_text() == "Dear bob"
            assert tab.title() == "Hello bob \u00b7 Postmark sandbox"
            for route in ("/", "/inbox/faults", "/?recipient=nobody", tab.url):
                tab.goto(route if route.startswith("http") else sandbox.running.base_url + route)
                width = tab.evaluate("document.documentElement.scrollWidth")
                assert width <= 375, route
            assert problems == []
        finally:
            browser.close()
