"""What other systems let authors send, and what is said here before it is sent (tests/cases/README.md)."""

import msgspec
import pytest

from broadsheet_publishing.checks.check_issue import check_issue
from broadsheet_publishing.checks.checked_issue import RecentIssues, SenderFact, StreamFact, Unknown
from broadsheet_publishing.checks.colour_findings import DARK_BACKGROUND, dark_preview
from broadsheet_publishing.checks.links.link import must_not_be_tracked
from broadsheet_publishing.checks.reading.liquid_markup import shield
from broadsheet_publishing.checks.reading.reading_time import length_of

from .world import ADDRESS, FOOTER, WORDS, codes, found, issue, page


def test_gmail_clips_by_bytes_of_the_longest_mail() -> None:
    """30,000 Chinese characters are 90,000 bytes."""
    assert "size-over-gmail-limit" in codes(issue(f"<p>{'字' * 36_000}</p>"))
    assert "size-over-gmail-limit" not in codes(issue(f"<p>{'x' * 36_000}</p>"))
    name = "<p>{{ subscriber.name }}</p>"
    [finding] = found(issue(name * 100), "size-over-gmail-limit")
    assert finding.severity == "warns"


@pytest.mark.parametrize(
    ("href", "why"),
    [
        ("{{ unsubscribe_url }}", "own"),
        ("https://x.example/?next={{ preferences_url }}", "own"),
        ("https://news.example.org/unsubscribe/1.abc", "own"),
        ("#part", "no-page"),
        ("mailto:office@example.org", "no-page"),
        ("tel:+441632960000", "no-page"),
        ("https://files.example/a.pdf?X-Amz-Expires=9&X-Amz-Signature=abc", "signed"),
        ("https://files.example/a.pdf?sv=1&sig=abc%3D", "signed"),
        ("https://example.org/page?utm_source=x#part", None),
        ("https://example.org/unsubscribe/now", None),
    ],
)
def test_no_link_that_must_stay_as_it_is_is_tracked(href: str, why: str | None) -> None:
    liquid = shield(href)
    assert must_not_be_tracked(liquid.text, liquid, public_url="https://news.example.org") == why


def test_tracking_that_would_rewrite_an_unsubscribe_link_is_blocked_and_the_footers_is_exempt() -> None:
    tracked = {"tracks_links": True}
    # Delivery exempts what it recognises: the author's own links too, and those of a layout.
    assert "tracking-of-protected-link" not in codes(issue(newsletter=tracked))
    odd = FOOTER.replace("<a ", '<a title="a > b" ')
    [finding] = found(issue(html=page(f"<p>{WORDS}</p>", footer=odd), newsletter=tracked), "tracking-of-protected-link")
    assert finding.severity == "blocks"
    assert finding.data["href"] == "", "a report holds no link that acts"
    automatic = issue(html=page(f"<p>{WORDS}</p>", footer=""), newsletter=tracked)
    assert "tracking-of-protected-link" not in codes(automatic)
    signed = f'<p>{WORDS}</p><a href="https://files.example/a.pdf?sig=abc">File</a>'
    [warning] = found(issue(signed, newsletter=tracked), "tracking-of-protected-link")
    assert warning.severity == "warns"
    assert "tracking-of-protected-link" not in codes(issue(signed))


@pytest.mark.parametrize(
    "href", ["javascript:alert(1)", "vbscript:x", "data:text/html,x", "file:///a", "blob:x", "sms:1"]
)
def test_only_http_mailto_tel_and_fields_that_yield_an_address_are_links(href: str) -> None:
    [finding] = found(issue(f'<p>{WORDS}</p><a href="{href}">x</a>'), "link-scheme-not-allowed")
    assert finding.severity == "blocks"
    for good in ("https://a.example/", "mailto:a@b.example", "tel:+4930123456", "{{ unsubscribe_url }}"):
        assert codes(issue(f'<p>{WORDS}</p><a href="{good}">x</a>')) == set()


def test_a_picture_has_a_numeric_width_and_an_alternative_text() -> None:
    inner = f'<p>{WORDS}</p><img src="https://a.example/a.png" style="width:100%">'
    assert {"image-width-not-numeric", "image-without-alt"} <= codes(issue(inner))
    good = f'<p>{WORDS}</p><img src="https://a.example/a.png" width="600" alt="A bridge">'
    assert codes(issue(good)) == set()


def test_colours_that_are_set_by_halves_are_found_and_the_dark_preview_shows_them() -> None:
    html = page(f'<p style="color:#222222">{WORDS}</p>')
    [finding] = found(issue(html=html), "colour-without-background")
    assert (finding.severity, finding.data["colour"]) == ("warns", "#222222")
    light = page(f'<p style="color:#eeeeee">{WORDS}</p>')
    assert found(issue(html=light), "colour-without-background")[0].severity == "notes"
    whole = page(f'<div style="background:#ffffff"><p style="color:#222222">{WORDS}</p></div>')
    assert codes(issue(html=whole)) == set()
    by_rule = page(f'<p class="dim">{WORDS}</p>', head="<style>.dim { color: #222222 }</style>")
    assert "colour-without-background" in codes(issue(html=by_rule))
    assert DARK_BACKGROUND in dark_preview(html).partition("</head>")[0]
    assert dark_preview("<p>x</p>").endswith("<p>x</p>")


def test_without_a_way_to_leave_or_an_address_the_issue_is_blocked_unless_a_footer_is_added() -> None:
    nothing = issue(html=page(f"<p>{WORDS}</p>", footer=""))
    [note] = found(nothing, "footer-is-added")
    assert note.data["added"] == ("a link to unsubscribe", "the postal address")
    assert {"unsubscribe-link-missing", "postal-address-missing"} & codes(nothing) == set()
    [finding] = found(issue(newsletter={"postal_address": ""}), "postal-address-missing")
    assert finding.severity == "blocks"
    only_address = issue(html=page(f"<p>{WORDS}</p><p>{ADDRESS}</p>", footer=""))
    assert found(only_address, "footer-is-added")[0].data["added"] == ("a link to unsubscribe",)
    hidden = issue(html=f'<html lang="en"><body style="display:none"><p>{WORDS}</p></body></html>')
    assert "mail-not-renderable" in codes(hidden)


@pytest.mark.parametrize(
    ("fact", "check", "advice"),
    [
        ("sender", "sender", "Send yourself a test mail"),
        ("stream", "stream", "repeat the checks in a minute"),
        ("recent", "sent-before", "See in the list of issues"),
        ("missing_values", "fields", "default: 'friend'"),
    ],
)
def test_a_check_that_did_not_run_says_so_and_how_to_find_out_all_the_same(fact: str, check: str, advice: str) -> None:
    [finding] = check_issue_without_length(fact)
    assert (finding.code, finding.severity, finding.data) == ("check-did-not-run", "warns", {"checks": (check,)})
    assert "Nobody answered." in finding.detail
    assert advice in finding.advice


def check_issue_without_length(unknown: str) -> list:  # type: ignore[type-arg]
    checked = msgspec.structs.replace(issue(), **{unknown: Unknown("Nobody answered.")})
    return [finding for finding in check_issue(checked) if finding.code != "reading-time"]


def test_a_known_fact_is_no_unknown_one() -> None:
    known = issue(sender=SenderFact(confirmed=True), stream=StreamFact(None), recent=RecentIssues())
    assert codes(known) == set()


def test_language_and_direction_are_the_newsletters_and_right_to_left_works() -> None:
    arabic = "ارتفع النهر مرة أخرى هذا الأسبوع وأغلق الجسر ليومين بينما كان الناس ينظرون إليه من بعيد"
    facts = {"language": "ar", "direction": "rtl"}
    right = issue(html=page(f"<p>{arabic}</p>", html='lang="ar" dir="rtl"'), newsletter=facts, text=arabic)
    assert codes(right) <= {"client-support"}
    left = codes(issue(html=page(f"<p>{arabic}</p>"), newsletter=facts))
    assert {"language-differs", "direction-differs", "direction-unlike-text"} <= left


def test_an_emoji_subject_is_sent_as_it_is() -> None:
    subject = "👩‍👩‍👧‍👦 🎉 The bridge is open 🎉"
    checked = issue(subject=subject)
    assert codes(checked) == set()
    assert checked.rendered.sample.subject == subject  # type: ignore[union-attr]
    assert "subject-long" not in codes(issue(subject="👩‍👩‍👧‍👦" * 60))
    assert "subject-long" in codes(issue(subject="👩‍👩‍👧‍👦" * 61))


@pytest.mark.parametrize(
    ("text", "words", "least_s", "most_s"),
    [
        ("字" * 4_000, 4_000, 900, 1_000),
        ("ひらがな漢字" * 500, 3_000, 480, 530),
        ("word " * 220, 220, 59, 61),
        ("كلمة " * 138, 138, 59, 61),
        ("สวัสดี" * 100, 120, 35, 45),
        ("", 0, 0, 0),
        ("It's well-known.", 2, 0, 1),
    ],
    ids=["chinese", "japanese", "english", "arabic", "thai", "nothing", "marks"],
)
def test_words_and_reading_time_are_by_script(text: str, words: int, least_s: int, most_s: int) -> None:
    length = length_of(text)
    assert length.words == words
    assert least_s <= length.seconds <= most_s


def test_the_reading_time_is_a_fact_of_every_issue() -> None:
    [fact] = found(issue(f"<p>{'字' * 4_000}</p>"), "reading-time")
    assert fact.severity == "notes"
    assert int(str(fact.data["reading_time_s"])) > 900
    assert int(str(fact.data["word_count"])) >= 4_000
