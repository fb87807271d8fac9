"""Conformance: django-anymail's Postmark backend sends to the sandbox; the search reads back."""

from collections.abc import Iterator
from typing import Any

import pytest
from anymail.backends.postmark import EmailBackend
from anymail.exceptions import AnymailAPIError, AnymailRecipientsRefused
from anymail.message import AnymailMessage
from django.conf import settings
from django.core.mail.backends.base import BaseEmailBackend

from broadsheet_postmark_sandbox.testing import SandboxDriver


@pytest.fixture
def connection(sandbox: SandboxDriver) -> Iterator[BaseEmailBackend]:
    if not settings.configured:
        settings.configure(USE_TZ=True)
    # Not by Django's get_connection, which newer versions deprecate.
    with EmailBackend(
        api_url=sandbox.running.base_url + "/",
        server_token=sandbox.running.token,
    ) as opened:
        yield opened


def mail(connection: BaseEmailBackend, **fields: Any) -> AnymailMessage:
    whole = {
        "subject": "Hello",
        "body": "Hi",
        "from_email": "News <news@news.example>",
        "to": ["ada@mail.example"],
        "connection": connection,
        **fields,
    }
    made: AnymailMessage = AnymailMessage(**whole)
    return made


def statuses(message: AnymailMessage) -> dict[str, set[str]]:
    return {address: {status.status} for address, status in message.anymail_status.recipients.items()}


def test_one_mail_is_sent_and_read_back(connection: BaseEmailBackend, sandbox: SandboxDriver) -> None:
    message = mail(
        connection,
        to=['"Lovelace, Ada" <ada@mail.example>'],
        cc=["bob@mail.example"],
        bcc=["cleo@mail.example"],
        reply_to=["desk@news.example"],
        headers={"X-Mark": "yes"},
    )
    message.attach_alternative("<p>Hi</p>", "text/html")
    message.attach("a.txt", "caf\u00e9", "text/plain")
    message.tags = ["welcome"]
    message.metadata = {"issue": "12"}
    message.track_opens = True
    assert message.send() == 1
    people = ("ada@mail.example", "bob@mail.example", "cleo@mail.example")
    assert statuses(message) == {person: {"sent"} for person in people}
    row = sandbox.search(metadata_issue="12", tag="welcome")["Messages"][0]
    assert row["MessageID"] == message.anymail_status.message_id
    assert row["To"] == [{"Email": "ada@mail.example", "Name": "Lovelace, Ada"}]
    details = sandbox.http.get(f"/messages/outbound/{row['MessageID']}/details").json()
    assert (details["HtmlBody"], details["TextBody"]) == ("<p>Hi</p>", "Hi")
    assert "Reply-To: desk@news.example" in details["Body"]


def test_merge_metadata_makes_a_batch(connection: BaseEmailBackend, sandbox: SandboxDriver) -> None:
    people = [f"r{i}@mail.example" for i in range(5)]
    message = mail(connection, to=people)
    message.merge_metadata = {person: {"delivery": person} for person in people}
    message.esp_extra = {"MessageStream": "broadcast"}
    message.send()
    assert len({status.message_id for status in message.anymail_status.recipients.values()}) == 5
    for person in people:
        found = sandbox.search(metadata_delivery=person, messagestream="broadcast")
        assert [row["Recipients"] for row in found["Messages"]] == [[person]]


def test_a_suppressed_recipient_is_reported_as_rejected(connection: BaseEmailBackend, sandbox: SandboxDriver) -> None:
    sandbox.suppress("outbound", "gone@mail.example")
    message = mail(connection, to=["ada@mail.example", "gone@mail.example"])
    message.send()
    assert statuses(message) == {"ada@mail.example": {"sent"}, "gone@mail.example": {"rejected"}}
    alone = mail(connection, to=["gone@mail.example"])
    with pytest.raises(AnymailRecipientsRefused):
        alone.send()
    assert statuses(alone) == {"gone@mail.example": {"rejected"}}


def test_a_success_without_an_error_code_is_queued(connection: BaseEmailBackend, sandbox: SandboxDriver) -> None:
    sandbox.faults({"kind": "malformed", "shape": "no_error_code"})
    message = mail(connection)
    message.send()
    assert statuses(message) == {"ada@mail.example": {"queued"}}


def test_an_invalid_recipient_is_reported_and_other_errors_are_raised(
    connection: BaseEmailBackend, sandbox: SandboxDriver
) -> None:
    invalid = mail(connection, to=["x@localhost"])
    with pytest.raises(AnymailRecipientsRefused):
        invalid.send()
    assert statuses(invalid) == {"x@localhost": {"invalid"}}
    unknown = mail(connection)
    unknown.esp_extra = {"MessageStream": "nope"}
    with pytest.raises(AnymailAPIError, match="does not exist on this server"):
        unknown.send()
    template = mail(connection, subject="", body="")
    template.template_id = 5
    with pytest.raises(AnymailAPIError, match="1101"):
        template.send()
    assert sandbox.accepted() == []
