"""What stands in a file of people, and what becomes of it in mails and on pages."""

import csv
import html
import io
import re

from harness.system import System
from harness.waiting import eventually

NAMES = {
    "quotes@example.com": 'Ann "Al" Lee, Jr.',
    "slash@example.com": "AC/DC (live) <al@example.com>",
    "script@example.com": "<script>alert(1)</script>",
    "merge@example.com": "{{ unsubscribe_url }}{% raw %}",
    "lines@example.com": "Bob\r\nBcc: eve@example.com",
    "slashes@example.com": "a\\b\\r\\n",
}
_ONE_LINE = {address: name.replace("\r\n", " ") for address, name in NAMES.items()}


async def _import_all(system: System) -> None:
    file = io.StringIO()
    csv.writer(file).writerows([("email", "name"), *NAMES.items()])
    query = {"consent_basis": "They asked for it.", "state": "confirmed"}
    answer = await system.api.post(
        "/api/v1/imports", content=file.getvalue().encode(), params=query, headers={"Content-Type": "text/csv"}
    )
    assert answer.status_code == 202, answer.text
    await eventually(lambda: system.seed.count("subscriptions.import_job", "status = 'done'") == 1, what="it is done")


async def test_a_name_of_any_kind_is_neutral_in_subjects_in_html_and_in_headers(system: System) -> None:
    """An address line holds no name; a subject is one line whatever is merged into it; HTML shows it as text."""
    await _import_all(system)
    issue = {
        "title": "For {{ subscriber.name }}", "format": "html", "content": "<p>Dear {{ subscriber.name }}.</p>",
        "text_content": "Dear {{ subscriber.name }}.", "publish": True,
    }  # fmt: skip
    assert (await system.api.post("/api/v1/issues", json=issue)).status_code == 201
    await system.fan_outs_finished()
    await system.deliver_all_pending()
    mails = {mail.to: mail for mail in system.newsletter_mails()}
    assert mails.keys() == NAMES.keys()
    for address, name in _ONE_LINE.items():
        mail = mails[address]
        assert mail.subject == f"For {name}"
        assert len(mail.subject.splitlines()) == 1
        assert f"Dear {name}." in mail.text
        shown = re.search(r"<p>Dear (.*?)\.</p>", mail.html)
        assert shown is not None
        assert "<" not in shown[1]
        assert html.unescape(shown[1]) == name


async def test_a_name_of_any_kind_is_text_in_the_api_and_in_the_list(system: System) -> None:
    await _import_all(system)
    listed = (await system.api.get("/api/v1/subscribers")).json()["items"]
    assert {one["email"]: one["name"] for one in listed} == _ONE_LINE
