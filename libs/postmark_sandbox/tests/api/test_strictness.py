"""Whatever Postmark refuses is refused, with its code and its text."""

import json
from typing import Any

import httpx
import pytest

from broadsheet_postmark_sandbox.api.errors import inactive_recipients
from broadsheet_postmark_sandbox.testing import SandboxDriver

LONG_LOCAL = "a" * 65 + "@mail.example"
MANY = ", ".join(f"r{i}@mail.example" for i in range(51))
TEN_KEYS = {f"k{i}": "v" for i in range(10)}


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({"To": "x"}, 300, "Invalid 'To' address: 'x'."),
        ({"To": "a@b"}, 300, "Invalid 'To' address: 'a@b'."),
        ({"To": "a..b@mail.example"}, 300, "Invalid 'To' address: 'a..b@mail.example'."),
        ({"To": ".a@mail.example"}, 300, "Invalid 'To' address"),
        ({"To": "a.@mail.example"}, 300, "Invalid 'To' address"),
        ({"To": "\u00e9@mail.example"}, 300, "Invalid 'To' address"),
        ({"To": "a@b\u00fccher.example"}, 300, "Invalid 'To' address"),
        ({"To": "a@-b.example"}, 300, "Invalid 'To' address"),
        ({"To": "a b@mail.example"}, 300, "Invalid 'To' address"),
        ({"To": LONG_LOCAL}, 300, "Invalid 'To' address"),
        ({"To": "Ada, VP <ada@mail.example>"}, 300, "Invalid 'To' address: 'Ada'."),
        ({"To": "ada@mail.example,"}, 300, "Invalid 'To' address"),
        ({"Cc": "nope"}, 300, "Invalid 'Cc' address: 'nope'."),
        ({"Bcc": "nope"}, 300, "Invalid 'Bcc' address: 'nope'."),
        ({"To": None}, 300, "Zero recipients specified"),
        ({"To": "  "}, 300, "Zero recipients specified"),
        ({"To": MANY}, 300, "at most 50"),
        ({"From": None}, 300, "Invalid 'From' address: ''."),
        ({"From": "news"}, 300, "Invalid 'From' address: 'news'."),
        ({"From": "N" * 250 + " <news@news.example>"}, 300, "Invalid 'From' address"),
        ({"ReplyTo": "nope"}, 300, "Invalid 'ReplyTo' address: 'nope'."),
        ({"HtmlBody": None, "TextBody": None}, 300, "Provide either email TextBody or HtmlBody or both."),
        ({"HtmlBody": "", "TextBody": ""}, 300, "Provide either email TextBody or HtmlBody or both."),
        ({"HtmlBody": "a" * (5 * 1024 * 1024 + 1)}, 300, "'HtmlBody' is larger"),
        ({"Subject": "s" * 2001}, 300, "'Subject' is longer"),
        ({"Subject": "\U0001f600" * 1001}, 300, "'Subject' is longer"),
        ({"Subject": "a\r\nBcc: evil@mail.example"}, 300, "'Subject' contains a line break"),
        ({"From": "A\nB <news@news.example>"}, 300, "'From' contains a line break"),
        ({"To": '"A\r\nB" <a@mail.example>'}, 300, "'To' contains a line break"),
        ({"Tag": "t" * 1001}, 300, "'Tag' is longer"),
        ({"Tag": "a\nb"}, 300, "'Tag' contains a line break"),
        ({"Headers": [{"Name": "X-A", "Value": "a\r\nX-B: b"}]}, 300, "'X-A' contains a line break"),
        ({"Headers": [{"Name": "X A", "Value": "a"}]}, 300, "Invalid header name: 'X A'."),
        ({"Headers": [{"Name": "X:A", "Value": "a"}]}, 300, "Invalid header name"),
        ({"Metadata": {**TEN_KEYS, "k": "v"}}, 300, "Invalid metadata content."),
        ({"Metadata": {"k" * 21: "v"}}, 300, "Invalid metadata content."),
        ({"Metadata": {"": "v"}}, 300, "Invalid metadata content."),
        ({"Metadata": {"k": "v" * 81}}, 300, "Invalid metadata content."),
        ({"Metadata": {"Key": "v", "key": "v"}}, 300, "Invalid metadata content."),
        ({"MessageStream": "nope"}, 1235, "does not exist"),
        ({"MessageStream": "inbound"}, 1236, "cannot send"),
        (
            {"Attachments": [{"Name": "a.exe", "Content": "", "ContentType": "x/y"}]},
            411,
            "Forbidden attachment type: 'a.exe'.",
        ),
        ({"Attachments": [{"Name": "a.txt", "Content": "!", "ContentType": "x/y"}]}, 300, "not base64"),
        ({"Metadata": {"k": 5}}, 403, "Expected `str`, got `int`"),
        ({"TrackOpens": "yes"}, 403, "Expected `bool | null`"),
        ({"TrackLinks": "All"}, 403, "Invalid enum value 'All'"),
        ({"HtmlBody": 5}, 403, "$.HtmlBody"),
        ({"To": ["a@mail.example"]}, 403, "Expected `str | null`"),
        ({"Headers": {"X": "y"}}, 403, "Expected `array | null`"),
        ({"Headers": [{"Name": "X", "Value": "y", "name": "z"}]}, 403, "unknown field `name`"),
        ({"to": "a@mail.example"}, 403, "unknown field `to`"),
        ({"html_body": "x"}, 403, "unknown field `html_body`"),
        ({"TemplateId": 5}, 403, "unknown field `TemplateId`"),
    ],
)
def test_a_wrong_field_is_refused_with_postmarks_code(
    sandbox: SandboxDriver, fields: dict[str, Any], code: int, text: str
) -> None:
    answer = sandbox.send(**fields)
    assert answer.status_code == 422
    assert answer.json()["ErrorCode"] == code
    assert answer.headers["x-pm-apierrorcode"] == str(code)
    assert text in answer.json()["Message"]
    assert answer.json().keys() == {"ErrorCode", "Message"}
    assert sandbox.accepted() == []


@pytest.mark.parametrize(
    "fields",
    [
        {"To": '"Ada, VP" <ada@mail.example>, bob@mail.example'},
        {"To": "Zo\u00eb <zoe@mail.example>"},
        {"To": "a+b_c%d@xn--bcher-kva.example"},
        {"To": None, "Cc": "ada@mail.example"},
        {"To": ", ".join(f"r{i}@mail.example" for i in range(50))},
        {"Subject": "s" * 2000},
        {"Subject": "\U0001f600" * 1000},
        {"Subject": None},
        {"Tag": "t" * 1000},
        {"Metadata": TEN_KEYS},
        {"Metadata": {"k" * 20: "v" * 80}},
        {"HtmlBody": None},
        {"TextBody": ""},
        {"HtmlBody": "a" * (5 * 1024 * 1024)},
        {"HtmlBody": "<p>caf\u00e9 \U0001f600 \u0000</p>"},
        {"TrackOpens": True, "TrackLinks": "HtmlAndText"},
        {"Attachments": [{"Name": "a.txt", "Content": "aGk=", "ContentType": "text/plain", "ContentID": "cid:a"}]},
        {"Headers": [{"Name": "List-Unsubscribe", "Value": "<https://x.example/u>"}]},
    ],
)
def test_what_is_within_the_limits_is_accepted_and_kept_whole(sandbox: SandboxDriver, fields: dict[str, Any]) -> None:
    answer = sandbox.send(**fields)
    assert answer.status_code == 200, answer.text
    assert answer.json()["ErrorCode"] == 0
    assert sandbox.accepted()[0]["message"] == sandbox.message(**fields)


def test_an_answer_has_postmarks_fields(sandbox: SandboxDriver) -> None:
    answer = sandbox.send(To="Ada <ada@mail.example>").json()
    assert list(answer) == ["To", "SubmittedAt", "MessageID", "ErrorCode", "Message"]
    assert answer["To"] == "Ada <ada@mail.example>"
    assert answer["Message"] == "OK"


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"", 402), (b"{", 402), (b"[]", 403), (b"5", 403), (b'{"To":"\xff"}', 402), (b'{"To":"\n"}', 402)],
)
def test_bad_json_is_refused_as_a_whole(sandbox: SandboxDriver, body: bytes, code: int) -> None:
    answer = sandbox.http.post("/email", content=body)
    assert (answer.status_code, answer.json()["ErrorCode"]) == (422, code)


def test_text_that_is_not_utf8_in_a_body_is_refused(sandbox: SandboxDriver) -> None:
    body = json.dumps(sandbox.message(HtmlBody="@")).encode().replace(b'"@"', b'"\xc3"')
    answer = sandbox.http.post("/email", content=body)
    assert (answer.status_code, answer.json()["ErrorCode"]) == (422, 402)


@pytest.mark.parametrize("header", ["Accept", "Content-Type"])
@pytest.mark.parametrize("value", ["text/html", "*/*", "application/xml", ""])
def test_media_types_other_than_json_are_refused(sandbox: SandboxDriver, header: str, value: str) -> None:
    body = json.dumps(sandbox.message()).encode()
    answer = sandbox.http.post("/email", content=body, headers={header: value})
    assert (answer.status_code, answer.json()["ErrorCode"]) == (415, 409)


def test_a_charset_beside_the_media_type_is_fine(sandbox: SandboxDriver) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8", "Accept": "text/html, application/json;q=0.9"}
    body = json.dumps(sandbox.message()).encode()
    assert sandbox.http.post("/email", content=body, headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/email", "/email/batch"])
def test_a_missing_or_wrong_token_is_refused(sandbox: SandboxDriver, path: str) -> None:
    without = {name: value for name, value in sandbox.running.headers.items() if name != "X-Postmark-Server-Token"}
    for headers in (without, {**without, "X-Postmark-Server-Token": "wrong"}):
        answer = httpx.post(sandbox.running.base_url + path, headers=headers, json=[])
        assert (answer.status_code, answer.json()["ErrorCode"]) == (401, 10)


def test_the_test_token_validates_and_keeps_nothing(sandbox: SandboxDriver) -> None:
    headers = {"X-Postmark-Server-Token": "POSTMARK_API_TEST"}
    good = sandbox.http.post("/email", json=sandbox.message(), headers=headers)
    assert good.json()["Message"] == "Test job accepted"
    bad = sandbox.http.post("/email", json=sandbox.message(To="x"), headers=headers)
    assert bad.json()["ErrorCode"] == 300
    assert sandbox.accepted() == []


@pytest.mark.parametrize("path", ["/email/withTemplate", "/email/withTemplate/", "/email/batchWithTemplates"])
def test_templates_are_unknown(sandbox: SandboxDriver, path: str) -> None:
    answer = sandbox.http.post(path, json={"TemplateId": 5})
    assert (answer.status_code, answer.json()["ErrorCode"]) == (422, 1101)


def test_the_bulk_endpoint_is_closed(sandbox: SandboxDriver) -> None:
    assert sandbox.http.post("/email/bulk", json={}).json()["ErrorCode"] == 14


def test_a_suppressed_recipient_is_refused_on_that_stream_only(sandbox: SandboxDriver) -> None:
    sandbox.suppress("broadcast", "ada@mail.example")
    answer = sandbox.send(MessageStream="broadcast", To="Ada@mail.example")
    assert answer.status_code == 422
    assert answer.json()["ErrorCode"] == 406
    assert answer.json()["Message"] == inactive_recipients(("ada@mail.example",)).message
    assert answer.json()["Message"].endswith("manual suppression. ")
    assert sandbox.send(MessageStream="outbound").status_code == 200


def test_the_others_get_a_message_of_which_one_recipient_is_suppressed(sandbox: SandboxDriver) -> None:
    sandbox.suppress("outbound", "ada@mail.example")
    answer = sandbox.send(To="ada@mail.example, bob@mail.example")
    assert answer.json()["ErrorCode"] == 0
    assert answer.json()["Message"].startswith(
        "Message OK, but will not deliver to these inactive addresses: ada@mail.example."
    )
    assert sandbox.accepted()[0]["recipients"] == ["bob@mail.example"]


def test_an_unknown_path_is_not_found(sandbox: SandboxDriver) -> None:
    answer = sandbox.http.get("/nope")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert sandbox.http.get("/email").status_code == 405
