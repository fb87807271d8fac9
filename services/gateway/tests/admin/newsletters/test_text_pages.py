"""The page on a newsletter's own words: what it sends, what it shows as typed, and what it says of refusals."""

import httpx
import pytest

from broadsheet_common.languages.reader_texts import ReaderTexts
from broadsheet_gateway.admin.newsletters.reader_texts import GROUPS, TEXT_LABELS

from ...conftest import Gateway, csrf_token_of
from .test_newsletter_pages import API, HTML, PATH, newsletter

PREVIEW = f"{API}/3/sign-up-mails/preview"


@pytest.fixture
async def owner(gateway: Gateway) -> httpx.AsyncClient:
    client = await gateway.signed_in()
    client.headers.update(HTML)
    gateway.publishing.answer("GET", f"{API}/3", body=newsletter(texts={"confirm_heading": "Shall we?"}), etag='"v1"')
    return client


async def _form(owner: httpx.AsyncClient, **typed: str) -> dict[str, str]:
    fields = dict.fromkeys(TEXT_LABELS, "") | {"confirm_heading": "Shall we?"}
    return {"csrf_token": await csrf_token_of(owner), "version": '"v1"', **fields, **typed}


def test_every_text_has_its_field_and_no_two_have_one_name() -> None:
    assert set(TEXT_LABELS) == set(ReaderTexts.__struct_fields__)
    assert len(set(TEXT_LABELS.values())) == len(TEXT_LABELS)


async def test_a_newsletters_words_are_sent_as_they_were_changed_with_the_version_shown(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    page = (await owner.get(f"{PATH}/3/texts")).text
    assert 'value="Shall we?"' in page
    assert 'name="version" value="&#34;v1&#34;"' in page
    gateway.publishing.answer("PATCH", f"{API}/3", body=newsletter())
    form = await _form(owner, confirm_heading="", confirmed_text="One.\r\n\r\nTwo. ")
    answer = await owner.post(f"{PATH}/3/texts", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PATH}/3/texts")
    assert gateway.publishing.last.json == {"texts": {"confirm_heading": "", "confirmed_text": "One.\n\nTwo."}}
    assert gateway.publishing.last.headers["if-match"] == '"v1"'
    sent = len(gateway.publishing.received)
    assert (await owner.post(f"{PATH}/3/texts", data=await _form(owner))).status_code == 303
    assert {one.method for one in gateway.publishing.received[sent:]} == {"GET"}, "nothing was changed"


async def test_a_refused_text_has_its_message_at_its_field_and_everything_typed_stays(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    errors = [{"pointer": "/texts/confirm_button", "detail": "It may be at most 60 characters long; this is 61."}]
    gateway.publishing.refuse("PATCH", f"{API}/3", 422, "invalid-input", errors=errors)
    form = await _form(owner, confirm_button="y" * 61, archive_heading="Letters")
    answer = await owner.post(f"{PATH}/3/texts", data=form)
    assert answer.status_code == 422
    assert 'id="confirm_button-error"' in answer.text
    assert '<a href="#confirm_button">' in answer.text
    assert 'value="Letters"' in answer.text
    assert f'value="{"y" * 61}"' in answer.text


async def test_without_publishing_the_typed_words_come_back(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    form = await _form(owner, archive_heading="Letters")
    gateway.publishing.fail("PATCH", f"{API}/3", httpx.ConnectError("down"))
    answer = await owner.post(f"{PATH}/3/texts", data=form)
    assert answer.status_code == 503
    assert 'value="Letters"' in answer.text


async def test_who_saves_words_second_sees_both(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    form = await _form(owner, confirm_heading="Mine")
    gateway.publishing.answer("GET", f"{API}/3", body=newsletter(texts={"confirm_heading": "Theirs"}), etag='"v2"')
    gateway.publishing.refuse("PATCH", f"{API}/3", 412, "precondition-failed")
    answer = await owner.post(f"{PATH}/3/texts", data=form)
    assert answer.status_code == 412
    for shown in ('<bdi class="own-lines">Mine</bdi>', '<bdi class="own-lines">Theirs</bdi>', "&#34;v2&#34;"):
        assert shown in answer.text


@pytest.mark.parametrize("picture", [one.picture for one in GROUPS])
async def test_each_page_and_mail_is_shown_with_the_words_as_typed(
    gateway: Gateway, owner: httpx.AsyncClient, picture: str
) -> None:
    group = next(one for one in GROUPS if one.picture == picture)
    words = {field.name: f"My {field.name} <b>" for field in group.fields}
    gateway.subscriptions.answer("POST", PREVIEW, body={"subject": "S", "html": "<p>A mail</p>", "text": "A mail"})
    answer = await owner.post(f"{PATH}/3/texts/{picture}", data=await _form(owner, **words))
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "frame-ancestors 'self'" in policy
    assert "script" not in policy
    if picture.endswith("-mail"):
        assert answer.text == "<p>A mail</p>"
        assert policy.startswith("sandbox; default-src 'none';")
        sent = gateway.subscriptions.last.json
        assert sent["mail"] == picture.removesuffix("-mail").replace("-", "_")
        assert words.items() <= sent["texts"].items()
    else:
        assert policy.startswith("sandbox allow-same-origin; default-src 'none';")
        for text in words.values():
            assert text.replace("<", "&lt;").replace(">", "&gt;") in answer.text


async def test_a_picture_of_what_is_saved_says_so_when_there_is_none(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    assert "Shall we?" in (await owner.get(f"{PATH}/3/texts/confirm")).text
    gateway.subscriptions.fail("POST", PREVIEW, httpx.ConnectError("down"))
    answer = await owner.get(f"{PATH}/3/texts/confirmation-mail")
    assert answer.status_code == 200
    assert "<title>No mail</title>" in answer.text
    assert (await owner.get(f"{PATH}/3/texts/nothing")).status_code == 404
