"""The demo's own parts: forms, the issue's content, the comparison."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_local.demo.html_form import post_form
from broadsheet_local.demo.issue_content import load_issue, parse
from broadsheet_local.demo.recipients import compare
from broadsheet_local.demo.sandbox_log import CapturedMail, Message, confirmation_link

PAGE = """
<form action="/search"><input name="q"></form>
<form method="POST" action="/admin/newsletters?x=1">
  <input type="hidden" name="csrf_token" value="a&amp;b"><input name="title"><textarea name="text">one
two</textarea><input type="checkbox" name="off" value="1"><input type="checkbox" name="on" value="1" checked>
  <select name="newsletter"><option value="1">A</option><option value="2" selected>B</option></select>
  <button name="publish" value="1">Publish</button>
</form>
"""


def test_a_form_is_read_as_a_browser_would_submit_it() -> None:
    form = post_form(PAGE, action="/admin/newsletters")
    assert form is not None
    assert form.fields == {
        "csrf_token": "a&b", "title": "", "text": "one\ntwo", "on": "1", "newsletter": "2"
    }  # fmt: skip
    assert post_form(PAGE, action="/search") is None


def test_the_shipped_issue_is_markdown_with_its_title_and_merge_fields() -> None:
    issue = load_issue()
    assert issue.title == "The first issue of Broadsheet"
    assert issue.markdown.startswith(f"# {issue.title}\n")
    for field in ("{{ subscriber.name | default:", "{{ newsletter.name }}", "{{ unsubscribe_url }}"):
        assert field in issue.markdown
    for mark in ("\n## ", "\n1. ", "\n- ", "| --- |", "\n> "):
        assert mark in issue.markdown


@pytest.mark.parametrize("text", ["", "No heading\n", "#\n\nText", "# \n\nText"])
def test_an_issue_begins_with_its_title(text: str) -> None:
    with pytest.raises(ValueError, match="a heading"):
        parse(text)


@given(st.sets(st.integers(0, 50)), st.lists(st.integers(0, 50)))
def test_the_verdict_accounts_for_every_recipient(expected: set[int], delivered: list[int]) -> None:
    verdict = compare(frozenset(map(str, expected)), map(str, delivered))
    assert verdict.accepted == len(delivered)
    assert verdict.accepted == len(expected) - verdict.missing + verdict.strangers + verdict.duplicates
    assert (verdict.missing == 0) == expected.issubset(delivered)
    assert (verdict.duplicates == 0) == (len(set(delivered)) == len(delivered))
    assert len(verdict.missing_shown) <= verdict.missing


def test_only_a_link_to_our_own_confirm_page_is_followed() -> None:
    def mail(text: str) -> CapturedMail:
        return CapturedMail(1, ["a@example.com"], Message(subject="s", text_body=text))

    ours = "http://127.0.0.1:8081/subscriptions/confirm?subscription_token=k1.ab-c_D"
    assert confirmation_link(mail(f"Press: {ours}\nBye"), "http://127.0.0.1:8081") == ours
    assert confirmation_link(mail(f"Press: {ours}"), "http://127.0.0.1:9999") is None
    assert confirmation_link(mail("Hello"), "http://127.0.0.1:8081") is None
