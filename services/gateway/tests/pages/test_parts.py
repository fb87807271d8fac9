"""Messages, counts, static files, and the preview."""

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_common.mail.mail_template import VARIABLES
from broadsheet_gateway.admin.issue.issue_views import IssueCounts, IssueDetail, IssueRow, IssueStatus
from broadsheet_gateway.admin.issue.views import IssueRecipientsPage
from broadsheet_gateway.admin.subscriber_names import NamedSubscriber, SubscriberNames
from broadsheet_gateway.pages import FlashCode, Pages
from broadsheet_gateway.pages.flashes import flash_text, flash_tone
from broadsheet_gateway.pages.preview import main as preview_main
from broadsheet_gateway.pages.preview_samples import sample_pages

_PARTS = ("pending", "in_flight", "accepted", "failed", "suppressed", "excluded", "uncertain", "cancelled")
_SETTLED = ("accepted", "failed", "suppressed", "excluded", "cancelled")

_counts = st.fixed_dictionaries({part: st.integers(0, 2_000_000) for part in _PARTS}).map(
    lambda parts: IssueCounts(audience=sum(parts.values()), **parts)
)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (FlashCode.NEWSLETTER_ACCEPTED, "The newsletter issue has been accepted, emails will go out shortly."),
        (
            FlashCode.AUTHENTICATION_FAILED,
            "Authentication failed. The user name, the e-mail address or the password is not right.",
        ),
        (FlashCode.LOGGED_OUT, "You have successfully logged out."),
        (
            FlashCode.PASSWORDS_DIFFER,
            "You entered two different new passwords - the field values must match.",
        ),
        (FlashCode.PASSWORD_LENGTH, "The new password must be between 12 and 128 characters long."),
        (FlashCode.CURRENT_PASSWORD_WRONG, "The current password is incorrect."),
        (FlashCode.PASSWORD_CHANGED, "Your password has been changed."),
    ],
)
def test_messages_of_the_original_keep_their_words(code: FlashCode, text: str) -> None:
    assert flash_text(code) == text


def test_every_code_has_a_message_and_a_tone() -> None:
    assert len({flash_text(code) for code in FlashCode}) == len(FlashCode)
    assert {flash_tone(code) for code in FlashCode} == {"success", "error", "notice"}


def test_a_long_address_may_break_after_a_dot_or_the_at_sign_and_is_escaped() -> None:
    names = SubscriberNames.of_found([NamedSubscriber(17, "somebody.with.a.long<b>@department.example")])
    view = sample_pages()["issue-recipients-found"]
    assert isinstance(view, IssueRecipientsPage)
    page = Pages().render(msgspec.structs.replace(view, names=names))
    assert "somebody.<wbr>with.<wbr>a.<wbr>long&lt;b&gt;@<wbr>department.<wbr>example" in page


def test_the_dashboard_welcomes_by_name() -> None:
    assert "Welcome admin" in Pages().render(sample_pages()["dashboard"])


@given(_counts)
def test_the_eight_parts_add_up_and_fill_the_bar(counts: IssueCounts) -> None:
    assert {part.key for part in counts.parts} == set(_PARTS)
    assert counts.parts_total == counts.audience
    assert counts.settled == sum(getattr(counts, part) for part in _SETTLED)
    assert counts.settled - counts.not_sent == counts.accepted
    widths = [segment.width_percent for segment in counts.segments]
    assert sum(widths) == pytest.approx(100 if counts.audience else 0, abs=0.01)
    ends = [segment.start_percent + segment.width_percent for segment in counts.segments]
    starts = [segment.start_percent for segment in counts.segments[1:]]
    assert starts == pytest.approx(ends[:-1], abs=0.01)


@given(_counts)
def test_a_hundred_per_cent_is_shown_only_when_all_are_settled(counts: IssueCounts) -> None:
    assert (counts.settled_percent == 100) == (counts.settled == counts.audience > 0)


def test_the_api_answers_decode_into_rows_and_details_as_they_are() -> None:
    answer = {
        "id": 3,
        "newsletter_id": 1,
        "title": "An issue",
        "format": "html",
        "content": "<p>Hello</p>",
        "text_content": "Hello",
        "status": "sending",
        "status_reason": None,
        "created_by": "admin",
        "created_at": "2026-03-01T09:00:00Z",
        "updated_at": "2026-03-01T09:00:00Z",
        "published_at": "2026-03-01T09:00:00Z",
        "finished_at": None,
        "counts": {
            "audience": 3,
            "accepted": 2,
            "pending": 1,
            **dict.fromkeys(set(_PARTS) - {"accepted", "pending"}, 0),
        },
    }
    detail = msgspec.convert(answer, IssueDetail)
    row = msgspec.convert(answer, IssueRow)
    assert (detail.title, row.status, row.counts.settled) == ("An issue", IssueStatus.SENDING, 2)


def test_the_merge_fields_on_the_page_are_those_that_mails_have() -> None:
    html = Pages().render(sample_pages()["newsletter-form"])
    assert set(re.findall(r"<li><code>\{\{ ([a-z._]+) \}\}</code></li>", html)) == VARIABLES


def test_an_asset_has_its_hash_in_its_address_and_no_other_name() -> None:
    pages = Pages()
    for plain_name in ("site.css", "live.js", "favicon.svg"):
        address = pages.static_url(plain_name)
        file = pages.static_file(address.removeprefix("/static/"))
        assert file is not None
        assert file.etag.strip('"') in address
    for name in ("site.css", "", "..", "../views.py", "site.0000000000000000.css"):
        assert pages.static_file(name) is None


def test_media_types_are_told_for_every_asset() -> None:
    assert {file.name.rsplit(".", 1)[1]: file.media_type for file in Pages().static_files} == {
        "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "svg": "image/svg+xml",
    }


def test_the_preview_writes_every_page_with_its_assets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert preview_main([str(tmp_path)]) == 0
    assert {path.stem for path in tmp_path.glob("*.html")} == set(sample_pages())
    said = [line for line in capsys.readouterr().out.splitlines() if line.endswith(".html")]
    assert len(said) == len(sample_pages())
    written = "".join(path.read_text(encoding="utf-8") for path in tmp_path.glob("*.html"))
    assert all(f"static/{path.name}" in written for path in (tmp_path / "static").iterdir())


def test_the_preview_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert preview_main([]) == 2
    assert "usage:" in capsys.readouterr().err
