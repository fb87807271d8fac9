"""Conformance: the PyPI client `postmarker` sends to the sandbox and reads back."""

from collections.abc import Iterator

import pytest
from postmarker.core import PostmarkClient
from postmarker.exceptions import ClientError

from broadsheet_postmark_sandbox.testing import SandboxDriver


@pytest.fixture
def postmark(sandbox: SandboxDriver) -> Iterator[PostmarkClient]:
    client = PostmarkClient(server_token=sandbox.running.token, root_api_url=sandbox.running.base_url + "/")
    yield client
    client.session.close()


def test_one_mail_is_sent_and_read_back(postmark: PostmarkClient, sandbox: SandboxDriver) -> None:
    answer = postmark.emails.send(
        From="News <news@news.example>",
        To=["ada@mail.example", "Bob <bob@mail.example>"],
        Cc="cleo@mail.example",
        Subject="Hello",
        HtmlBody="<p>Hi</p>",
        TextBody="Hi",
        Tag="welcome",
        Metadata={"issue": "12"},
        Headers={"X-Mark": "yes"},
        TrackOpens=True,
        Attachments=[("a.txt", "aGk=", "text/plain")],
    )
    assert (answer["ErrorCode"], answer["Message"]) == (0, "OK")
    found = postmark.messages.outbound.all(recipient="bob@mail.example", tag="welcome", subject="Hello")
    assert [mail.MessageID for mail in found] == [answer["MessageID"]]
    details = found[0].get()
    assert (details.HtmlBody, details.TextBody, details.Metadata) == ("<p>Hi</p>", "Hi", {"issue": "12"})
    assert details.Attachments == ["a.txt"]
    assert "X-Mark: yes" in found[0].get_dump()
    assert str(details) == "Sent message to ada@mail.example, bob@mail.example, cleo@mail.example"
    assert len(sandbox.accepted()) == 1


def test_a_batch_of_1200_is_sent_in_three_requests_and_paged_back(
    postmark: PostmarkClient, sandbox: SandboxDriver
) -> None:
    mails = [
        {"From": "news@news.example", "To": f"r{i}@mail.example", "Subject": str(i), "TextBody": "x"}
        for i in range(1_200)
    ]
    answers = postmark.emails.send_batch(*mails)
    assert [one["To"] for one in answers] == [mail["To"] for mail in mails]
    found = postmark.messages.outbound.all(count=1_200)
    assert [mail.Subject for mail in found] == [str(i) for i in reversed(range(1_200))]
    assert len(sandbox.accepted(bodies="false")) == 1_000


def test_errors_come_with_their_code(postmark: PostmarkClient, sandbox: SandboxDriver) -> None:
    with pytest.raises(ClientError) as bad:
        postmark.emails.send(From="news@news.example", To="x", TextBody="x")
    assert (bad.value.error_code, str(bad.value)) == (300, "[300] Invalid 'To' address: 'x'.")
    sandbox.suppress("outbound", "gone@mail.example")
    with pytest.raises(ClientError) as gone:
        postmark.emails.send(From="news@news.example", To="gone@mail.example", TextBody="x")
    assert gone.value.error_code == 406
    wrong = PostmarkClient(server_token="wrong", root_api_url=sandbox.running.base_url + "/")
    with pytest.raises(ClientError) as refused:
        wrong.server.get()
    wrong.session.close()
    assert refused.value.error_code == 10
    with pytest.raises(ClientError) as template:
        postmark.emails.send_with_template(TemplateId=5, TemplateModel={}, From="a@x.example", To="b@x.example")
    assert template.value.error_code == 1101


def test_bounces_are_listed_dumped_and_activated(postmark: PostmarkClient, sandbox: SandboxDriver) -> None:
    postmark.emails.send(From="news@news.example", To="hardbounce@bounce-testing.postmarkapp.com", TextBody="x")
    bounces = postmark.bounces.all(type="HardBounce", inactive=True)
    assert [bounce.Email for bounce in bounces] == ["hardbounce@bounce-testing.postmarkapp.com"]
    assert postmark.bounces.get(bounces[0].ID).TypeCode == 1
    assert bounces[0].dump
    assert bounces[0].message.Recipients == [bounces[0].Email]
    assert postmark.bounces.deliverystats["InactiveMails"] == 1
    assert bounces[0].activate() == "OK"
    assert bounces[0].Inactive is False
    assert sandbox.send(To=bounces[0].Email).status_code == 200


def test_the_server_and_its_statistics(postmark: PostmarkClient) -> None:
    postmark.emails.send(From="news@news.example", To="ada@mail.example", TextBody="x")
    assert postmark.server.get().Name
    assert postmark.stats.overview()["Sent"] == 1
