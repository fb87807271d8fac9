"""The web inbox: its pages, what they escape, and the events that they make."""

import re

import pytest

from broadsheet_postmark_sandbox.testing import SandboxDriver

HOSTILE = "<script>document.title='owned'</script>"


def page(sandbox: SandboxDriver, path: str, status: int = 200) -> str:
    answer = sandbox.http.get(path, headers={"Accept": "text/html"})
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
    return answer.text


def rows(html: str) -> list[str]:
    return re.findall(r'<span class="row-subject" dir="auto">([^<]*)</span>', html)


def first_row(html: str) -> str:
    found = re.search(r'<a href="/inbox/[^"]*" class="row".*?</a>', html, re.DOTALL)
    assert found is not None
    return found[0]


def address_of(sandbox: SandboxDriver, **fields: object) -> str:
    return f"/inbox/{sandbox.send(**fields).json()['MessageID']}"


def test_an_empty_inbox_says_what_it_is_for(sandbox: SandboxDriver) -> None:
    assert "No mail yet" in page(sandbox, "/")


def test_the_list_is_newest_first_and_paged_both_ways(sandbox: SandboxDriver) -> None:
    sandbox.batch(*(sandbox.message(Subject=f"s{i}") for i in range(120)))
    seen: list[str] = []
    paths = ["/"]
    for path in paths:
        html = page(sandbox, path)
        seen += rows(html)
        paths += re.findall(r'rel="next" href="([^"]+)"', html)
    assert seen == [f"s{i}" for i in reversed(range(120))]
    newer = re.search(r'rel="prev" href="([^"]+)"', page(sandbox, paths[-1]))
    assert newer is not None
    assert rows(page(sandbox, newer[1]))[0] == "s69"


def test_twenty_thousand_mails_are_paged_and_the_last_page_has_the_first(sandbox: SandboxDriver) -> None:
    for start in range(0, 20_000, 500):
        sandbox.batch(*(sandbox.message(Subject=f"s{start + i}", Tag="issue-1") for i in range(500)))
    assert "20,000 mails" in page(sandbox, "/")
    assert "issue-1 (20,000)" in page(sandbox, "/")
    assert rows(page(sandbox, "/?tag=issue-1&before=51")) == [f"s{i}" for i in reversed(range(50))]


def test_the_list_can_be_searched_by_an_address_or_a_part_of_one(sandbox: SandboxDriver) -> None:
    sandbox.send(To="ada@mail.example", Subject="for ada")
    sandbox.send(To="adam@mail.example", Subject="for adam")
    sandbox.send(To="bob@mail.example", Cc="ada@mail.example", Subject="for both")
    assert rows(page(sandbox, "/?recipient=ada@mail.example")) == ["for both", "for ada"]
    assert rows(page(sandbox, "/?recipient=ADA")) == ["for both", "for adam", "for ada"]
    assert "No mail to" in page(sandbox, "/?recipient=zoe")
    for nonsense in ("before=nonsense", "before=0", "before=99999999999", "before=-1"):
        assert rows(page(sandbox, f"/?{nonsense}")) == ["for both", "for adam", "for ada"]


def test_the_list_can_be_searched_by_issue_and_by_recipient_and_issue(sandbox: SandboxDriver) -> None:
    for issue in (1, 2):
        for who in ("ada", "bob"):
            sandbox.send(To=f"{who}@mail.example", Subject=f"{issue} {who}", Tag=f"issue-{issue}")
    assert rows(page(sandbox, "/?tag=issue-2")) == ["2 bob", "2 ada"]
    assert rows(page(sandbox, "/?tag=issue-1&recipient=bob")) == ["1 bob"]
    html = page(sandbox, "/?tag=issue-9")
    assert "No mail" in html
    assert '<option value="issue-9" selected>' in html


def test_a_row_has_what_a_mail_program_shows(sandbox: SandboxDriver) -> None:
    sandbox.send(
        From='"The Letter" <news@news.example>',
        To="ada@mail.example",
        Subject="Hello",
        HtmlBody="<html><head><title>Title</title><style>p{}</style></head><body><div style='display:none'>A preheader"
        "&#8203;&#847;</div><p>Body</p></body></html>",
        Tag="issue-7",
    )
    row = first_row(page(sandbox, "/"))
    for shown in ("The Letter", "Hello", ">A preheader Body<", "ada@mail.example", "outbound", "issue-7", "UTC"):
        assert shown in row
    assert "Title" not in row


def test_a_mail_is_shown_with_the_list_as_it_was_searched(sandbox: SandboxDriver) -> None:
    for who in ("ada", "bob"):
        sandbox.send(To=f"{who}@mail.example", Subject=f"for {who}")
    html = page(sandbox, "/?recipient=bob")
    link = re.search(r'href="(/inbox/[^"]+)" class="row"', html)
    assert link is not None
    opened = page(sandbox, link[1])
    assert rows(opened) == ["for bob"]
    assert '<h1 class="mail-subject" dir="auto">for bob</h1>' in opened
    assert 'aria-current="true"' in first_row(opened)


def test_every_view_of_a_mail_escapes_what_is_in_it(sandbox: SandboxDriver) -> None:
    address = address_of(
        sandbox,
        Subject=f"Hi {HOSTILE}",
        TextBody=f"Text {HOSTILE} https://news.example/t",
        HtmlBody=f'<a href="https://news.example/confirm?x=1&amp;y=2">Confirm</a>{HOSTILE}',
        Headers=[{"Name": "X-Mark", "Value": HOSTILE}],
        Metadata={"issue": HOSTILE},
        Tag=HOSTILE,
        Attachments=[{"Name": "a.txt", "Content": "aGk=", "ContentType": "text/plain"}],
    )
    sandbox.event(type="Delivery", message_id=address.rpartition("/")[2])
    shown_in = {
        "html": "<iframe",
        "dark": "mail-frame-dark",
        "text": "Text &lt;script",
        "source": "Subject: Hi",
        "links": 'href="https://news.example/confirm?x=1&amp;y=2"',
        "headers": "X-Mark",
        "attachments": "a.txt",
        "events": "Delivered",
    }
    for view, shown in shown_in.items():
        html = page(sandbox, f"{address}?view={view}")
        assert shown in html
        assert html.count("<script") == 1, "the inbox's own"
        assert "allow-same-origin" not in html
        assert "allow-scripts" not in html
    assert page(sandbox, "/").count("<script") == 1


def test_a_mails_html_has_a_policy_of_its_own_and_its_doctype_first(sandbox: SandboxDriver) -> None:
    address = address_of(sandbox, HtmlBody=f"<!DOCTYPE html><html><body>Hi{HOSTILE}</body></html>")
    mail = sandbox.http.get(f"{address}/html")
    policy = mail.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none';")
    assert "script-src" not in policy
    assert "img-src data: http: https:" in policy
    assert "form-action 'none'" in policy
    assert mail.headers["referrer-policy"] == "no-referrer"
    assert mail.text.startswith('<!DOCTYPE html><base target="_blank"><html>')
    assert HOSTILE in mail.text


def test_the_source_is_plain_text_and_attachments_are_only_saved(sandbox: SandboxDriver) -> None:
    address = address_of(
        sandbox,
        Subject="Hi",
        Attachments=[{"Name": 'a"/é.html', "Content": "PHA+aGk=", "ContentType": "text/html"}],
    )
    source = sandbox.http.get(f"{address}/source")
    assert source.headers["content-type"].startswith("text/plain")
    assert "Subject: Hi" in source.text
    saved = sandbox.http.get(f"{address}/attachments/0")
    assert saved.content == b"<p>hi"
    assert saved.headers["content-type"] == "application/octet-stream"
    assert saved.headers["content-disposition"] == 'attachment; filename="a___.html"'
    assert sandbox.http.get(f"{address}/attachments/1").status_code == 404


def test_a_mail_without_html_shows_its_text_first(sandbox: SandboxDriver) -> None:
    html = page(sandbox, address_of(sandbox, HtmlBody=None, TextBody="Just words"))
    assert "<iframe" not in html
    assert "Just words" in html
    without_text = address_of(sandbox, TextBody=None, HtmlBody="<p>Hi</p>")
    assert "<iframe" in page(sandbox, f"{without_text}?view=text")


def test_a_huge_mail_is_shown_in_part_and_its_source_whole(sandbox: SandboxDriver) -> None:
    address = address_of(sandbox, HtmlBody="<div>" * 100_000, TextBody="word " * 400_000)
    html = page(sandbox, f"{address}?view=text")
    assert len(html) < 300_000
    assert "This is its beginning" in html
    assert len(sandbox.http.get(f"{address}/source").text) > 2_000_000


@pytest.mark.parametrize("message_id", ["nope", "00000000-0000-4000-a000-000000000000"])
def test_an_unknown_message_has_a_page_that_says_so(sandbox: SandboxDriver, message_id: str) -> None:
    assert "No such message" in page(sandbox, f"/inbox/{message_id}", 404)
    for part in ("html", "source", "attachments/0"):
        assert sandbox.http.get(f"/inbox/{message_id}/{part}").status_code == 404
    assert sandbox.http.post(f"/inbox/{message_id}/events", data={"type": "Open"}).status_code == 404


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"type": "Delivery"}, "Delivered"),
        ({"type": "Open"}, "Opened"),
        ({"type": "Click", "link": "https://news.example/a"}, "https://news.example/a"),
        ({"type": "Bounce", "bounce_type": "SoftBounce"}, "Bounced"),
        ({"type": "SpamComplaint"}, "Bounced"),
    ],
)
def test_a_button_makes_an_event_happen_to_the_mail(sandbox: SandboxDriver, fields: dict[str, str], shown: str) -> None:
    address = address_of(sandbox, To="ada@mail.example")
    sent = sandbox.http.post(f"{address}/events?recipient=ada", data=fields)
    assert sent.status_code == 303
    assert sent.headers["location"] == f"{address}?recipient=ada&view=events"
    assert shown in page(sandbox, sent.headers["location"])


def test_an_event_is_for_the_chosen_recipient_and_stops_mail_to_it(sandbox: SandboxDriver) -> None:
    address = address_of(sandbox, To="ada@mail.example, bob@mail.example")
    sandbox.http.post(f"{address}/events", data={"type": "Bounce", "recipient": "bob@mail.example"})
    assert sandbox.send(To="bob@mail.example").json()["ErrorCode"] == 406
    assert sandbox.send(To="ada@mail.example").json()["ErrorCode"] == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "Raw"},
        {"type": "SubscriptionChange"},
        {},
        {"type": "Bounce", "bounce_type": "Nonsense"},
        {"type": "Open", "recipient": "somebody@else.example"},
        {"type": "Open", "recipient": "x" * 20_000},
    ],
)
def test_a_form_that_no_page_has_makes_nothing_happen(sandbox: SandboxDriver, fields: dict[str, str]) -> None:
    address = address_of(sandbox)
    refused = sandbox.http.post(f"{address}/events", data=fields)
    assert refused.status_code == 400
    assert "The event was not made" in refused.text
    assert "Nothing has happened" in page(sandbox, f"{address}?view=events")


def test_another_sites_page_makes_no_events(sandbox: SandboxDriver) -> None:
    address = address_of(sandbox)
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        sent = sandbox.http.post(f"{address}/events", data={"type": "Open"}, headers=headers)
        assert sent.status_code == 403


def test_the_script_learns_of_new_mail_that_matches_the_search(sandbox: SandboxDriver) -> None:
    sandbox.send(To="ada@mail.example")
    sandbox.send(To="bob@mail.example")
    assert sandbox.http.get("/inbox/new").json() | {"generation": 0} == {"newest": 2, "total": 2, "generation": 0}
    before = sandbox.http.get("/inbox/new?recipient=ada").json()
    assert (before["newest"], before["total"]) == (1, 1)
    sandbox.http.delete("/_sandbox/messages")
    after = sandbox.http.get("/inbox/new?recipient=ada").json()
    assert (after["newest"], after["total"]) == (0, 0)
    assert after["generation"] != before["generation"]


def test_the_faults_in_force_are_shown(sandbox: SandboxDriver) -> None:
    assert "No faults" in page(sandbox, "/inbox/faults")
    sandbox.faults({"kind": "drop_after", "name": HOSTILE, "probability": 0.25, "match": {"stream": "broadcast"}})
    html = page(sandbox, "/inbox/faults")
    assert html.count("<script") == 1
    for shown in ("drop after", "25%", "stream broadcast", "0 of 0"):
        assert shown in html
    assert "1 fault is in force" in page(sandbox, "/")
