"""A test mail: sent through Postmark, marked, and its links act for nobody."""

from harness.system import System


async def test_its_links_lead_to_a_page_that_says_so(system: System) -> None:
    [reader] = system.seed.subscribers(1)
    email = system.seed.execute("SELECT email FROM subscriptions.subscriber WHERE id = %s", (reader,))[0][0]
    body = {"title": "The news", "content": "Hello {{ subscriber.name }}\n\n[Leave]({{ unsubscribe_url }})"}
    issue_id = (await system.api.post("/api/v1/issues", json=body)).json()["id"]
    answer = await system.api.post(f"/api/v1/issues/{issue_id}/test", json={"to": [email]})
    assert answer.status_code == 202, answer.text
    await system.delivery.send_all_due()
    [mail] = system.oracle.messages()
    assert (mail.to, mail.subject, mail.stream) == (email, "[Test] The news", "outbound")
    assert "/unsubscribe/test" in mail.html
    for path in ("/unsubscribe/test", "/unsubscribe/test/choices"):
        page = await system.visitor.get(path)
        assert (page.status_code, "from a test mail" in page.text) == (200, True)
    pressed = await system.visitor.post("/unsubscribe/test", data={"List-Unsubscribe": "One-Click"})
    assert (pressed.status_code, "nothing has changed" in pressed.text) == (200, True)
    assert system.seed.count("subscriptions.subscription", "state = 'confirmed'") == 1


async def test_the_mail_is_what_the_preview_showed(system: System) -> None:
    """Byte for byte, but for the link that belongs to its reader."""
    [reader] = system.seed.subscribers(1)
    body = {
        "title": "For {{ subscriber.name }}",
        "preheader": "In short, for {{ subscriber.name | default: 'you' }}",
        "content": "# Hello {{ subscriber.name }}\n\n| a | b |\n| - | - |\n| 1 | {{ subscriber.email }} |\n\n"
        "{% if subscriber.tags contains 'vip' %}VIP{% else %}Not *yet*{% endif %}\n\n[Leave]({{ unsubscribe_url }})",
    }
    issue_id = (await system.api.post("/api/v1/issues", json=body)).json()["id"]
    answer = await system.api.post(f"/api/v1/issues/{issue_id}/preview", json={"subscriber_id": reader})
    shown = answer.json()
    assert (await system.api.post(f"/api/v1/issues/{issue_id}/publish")).status_code == 202
    await system.deliver_all_pending()
    [mail] = system.newsletter_mails()
    link = mail.headers["List-Unsubscribe"].strip("<>")
    assert mail.subject == shown["subject"]
    for sent, previewed in ((mail.html, shown["html"]), (mail.text, shown["text"])):
        assert link in sent
        assert sent.replace(link.partition("/unsubscribe/")[2], "test") == previewed
    shown_headers = {header["name"]: header["value"] for header in shown["headers"]}
    assert mail.headers | {"List-Unsubscribe": shown_headers["List-Unsubscribe"]} == shown_headers
