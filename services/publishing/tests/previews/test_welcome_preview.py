"""The welcome mail before it is sent: as a reader gets it, also while it is being written, and as a test mail."""

from ..conftest import Publishing
from .test_test_mail import queued, verified

SAVED = {"enabled": False, "subject": "Welcome, {{ subscriber.name }}", "content": "# Hello\n\nYou are *in*."}
PATH = "newsletters/1/welcome-mail"


async def save(publishing: Publishing, **fields: object) -> None:
    answer = await publishing.patch("newsletters/1", {"welcome_mail": SAVED | fields})
    assert answer.status_code == 200, answer.text


async def test_it_is_shown_as_it_will_be_sent_though_it_is_off(publishing: Publishing) -> None:
    await save(publishing)
    shown = await publishing.post(f"{PATH}/preview", {})
    assert shown.status_code == 200, shown.text
    mail = shown.json()
    assert (mail["subject"], mail["from"]) == ("Welcome, Ada Lovelace", "Broadsheet <news@example.com>")
    assert "<em>in</em>" in mail["html"]
    assert "https://news.example.com/unsubscribe/test" in mail["html"]
    assert "https://news.example.com/unsubscribe/test" in mail["text"]
    headers = {header["name"]: header["value"] for header in mail["headers"]}
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert headers["Feedback-ID"].startswith("welcome:newsletter:")
    assert mail["html_bytes"] == len(mail["html"].encode())


async def test_it_is_shown_as_somebody_gets_it_and_as_it_is_being_written(publishing: Publishing) -> None:
    await save(publishing)
    publishing.add_confirmed(1)
    ((subscriber_id, email),) = publishing.rows("SELECT id, email FROM subscriptions.subscriber")
    written = {"content": "Dear {{ subscriber.name }} at {{ newsletter.name }}"}
    shown = (await publishing.post(f"{PATH}/preview", {"subscriber_id": subscriber_id, "welcome_mail": written})).json()
    assert (shown["to"], shown["subject"]) == (email, "Welcome, Reader")
    assert "Dear Reader at" in shown["text"]
    sample = {"name": "Grace", "email": "grace@example.com"}
    shown = (await publishing.post(f"{PATH}/preview", {"sample": sample, "welcome_mail": {"subject": "Hi"}})).json()
    assert (shown["to"], shown["subject"]) == ("grace@example.com", "Hi")
    assert "You are" in shown["text"]
    kept = (await publishing.get("newsletters/1")).json()["welcome_mail"]
    assert (kept["subject"], kept["content"]) == (SAVED["subject"], SAVED["content"]), "nothing was saved"


async def test_what_is_no_mail_is_refused_at_its_place(publishing: Publishing) -> None:
    empty = await publishing.post(f"{PATH}/preview", {})
    assert empty.status_code == 422
    assert [error["pointer"] for error in empty.json()["errors"]] == ["/welcome_mail/content"]
    for text, pointer in (
        ({"subject": "{{ nobody }}", "content": "x"}, "/welcome_mail/subject"),
        ({"subject": "x", "content": "{{ issue.title }}"}, "/welcome_mail/content"),
        ({"subject": "x", "content": "{{ subscriber.name | slice: -1, 'x' }}"}, "/welcome_mail/content"),
    ):
        answer = await publishing.post(f"{PATH}/preview", {"welcome_mail": text})
        assert (answer.status_code, {error["pointer"] for error in answer.json()["errors"]}) == (422, {pointer})


async def test_who_and_what_is_not_there_is_said(publishing: Publishing) -> None:
    await save(publishing)
    nobody = await publishing.post(f"{PATH}/preview", {"subscriber_id": 99})
    assert (nobody.status_code, nobody.json()["errors"][0]["pointer"]) == (422, "/subscriber_id")
    both = await publishing.post(f"{PATH}/preview", {"subscriber_id": 1, "sample": {}})
    assert (both.status_code, both.json()["errors"][0]["pointer"]) == (422, "/sample")
    for path, body in (("preview", {}), ("test", {"to": ["news@example.com"]})):
        assert (await publishing.post(f"newsletters/99/welcome-mail/{path}", body)).status_code == 404


async def test_a_test_mail_goes_to_who_agreed_and_welcomes_nobody(publishing: Publishing) -> None:
    await save(publishing, enabled=True)
    reader = verified(publishing)
    answer = await publishing.post(f"{PATH}/test", {"to": [reader, "news@example.com"]})
    assert (answer.status_code, answer.json()) == (202, {"sent": 2, "subject": "Welcome, Ada Lovelace"})
    assert [mail for mail in queued(publishing) if mail[0] == "test"] == [
        ("test", reader, "[Test] Welcome, Ada Lovelace"),
        ("test", "news@example.com", "[Test] Welcome, Ada Lovelace"),
    ]
    refused = await publishing.post(f"{PATH}/test", {"to": ["stranger@example.com"]})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/to/0")


async def test_the_same_request_sends_once(publishing: Publishing) -> None:
    await save(publishing)
    for _ in range(2):
        answer = await publishing.post(f"{PATH}/test", {"to": ["news@example.com"]}, key="once")
        assert answer.status_code == 202
    assert len(queued(publishing)) == 1
    await publishing.post(f"{PATH}/test", {"to": ["news@example.com"]})
    assert len(queued(publishing)) == 2
