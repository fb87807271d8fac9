"""A newsletter's own words for readers: kept one by one, bounded, and passed on."""

import pytest

from broadsheet_common.languages.reader_texts import ReaderTexts
from broadsheet_publishing.newsletters.api import ReaderTextsInput
from harness.seeding import Seed

from ..conftest import Publishing

LETTER = "newsletters/1"


async def _change(publishing: Publishing, texts: dict[str, str]) -> dict[str, str]:
    tag = (await publishing.get(LETTER)).headers["etag"]
    answer = await publishing.patch(LETTER, {"texts": texts}, tag=tag)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["texts"])


def test_every_text_can_be_given() -> None:
    assert ReaderTextsInput.__struct_fields__ == ReaderTexts.__struct_fields__


async def test_a_text_is_changed_and_given_back_and_the_others_stay(publishing: Publishing, seed: Seed) -> None:
    assert set((await publishing.get(LETTER)).json()["texts"].values()) == {""}
    await _change(publishing, {"confirm_heading": "  Shall we?  ", "confirm_text": "One.\r\n\r\nTwo."})
    now = await _change(publishing, {"confirm_button": "Yes"})
    own = {name: text for name, text in now.items() if text}
    assert own == {"confirm_heading": "Shall we?", "confirm_text": "One.\r\n\r\nTwo.", "confirm_button": "Yes"}
    own = {name: text for name, text in (await _change(publishing, {"confirm_text": ""})).items() if text}
    assert own == {"confirm_heading": "Shall we?", "confirm_button": "Yes"}
    assert seed.execute("SELECT texts FROM publishing.published_newsletters WHERE newsletter_id = 1") == [(own,)]


async def test_a_new_newsletter_may_have_its_words_at_once(publishing: Publishing) -> None:
    made = await publishing.post("newsletters", {"name": "Harbour", "texts": {"archive_heading": "Letters"}})
    assert made.status_code == 201, made.text
    assert made.json()["texts"]["archive_heading"] == "Letters"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("confirm_button", "x" * 61, "at most 60"),
        ("confirm_heading", "x" * 201, "at most 200"),
        ("confirm_heading", "two\nlines", "line breaks"),
        ("confirmation_mail_subject", "a\u2028b", "line breaks"),
        ("confirm_text", "x" * 2_001, "at most 2000"),
        ("confirm_text", "a\u0007b", "control characters"),
        ("confirmation_mail_text", "Read HTTPS://shop.example first", "leave web addresses out"),
        ("confirmation_mail_button", "www.shop.example", "leave web addresses out"),
    ],
)
async def test_what_cannot_be_shown_or_mailed_is_refused_at_its_field(
    publishing: Publishing, name: str, text: str, said: str
) -> None:
    tag = (await publishing.get(LETTER)).headers["etag"]
    answer = await publishing.patch(LETTER, {"texts": {name: text, "archive_heading": "Letters"}}, tag=tag)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["pointer"] == f"/texts/{name}"
    assert said in error["detail"]
    assert (await publishing.get(LETTER)).headers["etag"] == tag


async def test_a_text_that_does_not_exist_is_refused(publishing: Publishing) -> None:
    tag = (await publishing.get(LETTER)).headers["etag"]
    answer = await publishing.patch(LETTER, {"texts": {"confirm_headline": "x"}}, tag=tag)
    assert answer.status_code in {400, 422}
    assert "confirm_headline" in answer.text
