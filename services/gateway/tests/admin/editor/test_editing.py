"""Writing a draft: what a save asks of publishing, and that no answer loses a typed word."""

from typing import Any

import httpx
import pytest

from ...conftest import Gateway, csrf_token_of
from .drafts import API, EDIT, NUMBER, TAG, TYPED, answer_draft, draft, save, values_of

JSON = {"accept": "application/json"}
# As a browser sends it: only then is the form's token asked for.
SAME_SITE = {"sec-fetch-site": "same-origin"}


@pytest.fixture
async def author(gateway: Gateway) -> httpx.AsyncClient:
    client = await gateway.signed_in(**SAME_SITE)
    gateway.publishing.received.clear()
    return client


async def test_the_form_holds_what_is_saved(gateway: Gateway, author: httpx.AsyncClient) -> None:
    answer_draft(gateway, subject="Snow", segment_id=9, layout_id=4, in_archive=False)
    page = await author.get(EDIT)
    assert page.status_code == 200
    held = values_of(page.text)
    assert (held["title"], held["subject"], held["content"]) == ("Winter", "Snow", "# Winter")
    assert held["etag"] == TAG.replace('"', "&#34;")
    for chosen in ('value="9" selected', 'value="4" selected', 'value="no" selected'):
        assert chosen in page.text


async def test_the_menu_of_merge_fields_offers_the_installations_attributes_to_who_may_read_them(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    answer_draft(gateway)
    items = [{"name": "city", "type": "text", "label": "Home town"}, {"name": "empty", "type": "boolean", "label": ""}]
    gateway.subscriptions.answer("GET", "/api/v1/attributes", body={"items": items, "next_cursor": None})
    page = (await author.get(EDIT)).text
    assert '<option value="{{ subscriber.attributes.city }}" label="Home town">' in page
    assert '<option value="{{ subscriber.attributes[&#34;empty&#34;] }}" label="empty">' in page
    gateway.subscriptions.fail("GET", "/api/v1/attributes", httpx.ReadError("reset"))
    without = await author.get(EDIT)
    assert (without.status_code, "subscriber.attributes" in without.text) == (200, False)
    assert "{{ subscriber.name }}" in without.text


async def test_a_save_sends_the_fields_with_the_tag_they_were_filled_from(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    gateway.publishing.answer("PATCH", API, body=draft(version=4), etag='"next"')
    token = await csrf_token_of(author)
    response = await save(
        author, token, segment_id="9", in_archive="yes", ab_on="on", ab_share_percent="30", ab_decide_by="opens",
        ab_wait_minutes="60", ab_sample_min="50", ab_subject_3="Spring, honestly",
    )  # fmt: skip
    assert (response.status_code, response.headers["location"]) == (303, EDIT)
    sent = gateway.publishing.last
    assert sent.headers["if-match"] == TAG
    assert sent.json == {
        "title": "Spring",
        "subject": None,
        "preheader": "What grows",
        "format": "markdown",
        "content": "# Spring\n\nDear reader,",
        "text_content": None,
        "layout_id": None,
        "segment_id": 9,
        "slug": None,
        "in_archive": True,
        "ab_test": {
            "others": [{"subject": "Spring, honestly", "preheader": None, "content": None}],
            "share_percent": 30,
            "decide_by": "opens",
            "wait_minutes": 60,
            "sample_min": 50,
        },
    }


@pytest.mark.parametrize(
    ("then", "leads_to"),
    [("preview", "/preview"), ("checks", "/checks"), ("send", "/send"), ("edit", "/edit"), ("//evil.example", "/edit")],
)
async def test_a_button_saves_and_leads_on(
    gateway: Gateway, author: httpx.AsyncClient, then: str, leads_to: str
) -> None:
    gateway.publishing.answer("PATCH", API, body=draft(version=4), etag='"next"')
    response = await save(author, await csrf_token_of(author), then=then)
    assert response.headers["location"] == f"/admin/issues/{NUMBER}{leads_to}"


async def test_a_script_is_told_the_next_tag_and_what_cannot_be_sent_yet(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    faults = [{"code": "unknown-field", "field": "content", "detail": "No such field.", "line": 3, "column": 6}]
    gateway.publishing.answer("PATCH", API, body=draft(version=4, faults=faults), etag='"next"')
    token = await csrf_token_of(author)
    response = await author.post(EDIT, data={**TYPED, "csrf_token": token, "etag": TAG}, headers=JSON)
    answer = response.json()
    assert (response.status_code, answer["result"], answer["etag"], answer["version"]) == (200, "saved", '"next"', 4)
    assert answer["faults"] == [faults[0] | {"variant": None}]


def _all_is_there(page: str) -> None:
    held = values_of(page)
    assert (held["title"], held["preheader"]) == ("Spring", "What grows")
    assert held["content"].replace("\r\n", "\n") == "# Spring\n\nDear reader,"


async def test_who_saves_over_somebody_elses_save_is_shown_both_and_loses_nothing(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    await gateway.add_user("grace")
    [(grace,)] = gateway.sql("SELECT id FROM gateway.user_account WHERE username = 'grace'")
    answer_draft(gateway, version=5, saved_by=f"user:{grace}", content="# Winter\n\nDear Ada,")
    gateway.publishing.refuse("PATCH", API, 412, "precondition-failed")
    token = await csrf_token_of(author)
    page = await save(author, token)
    assert page.status_code == 409
    _all_is_there(page.text)
    assert "grace saved this draft while you were writing" in page.text
    assert "Dear Ada," in page.text  # theirs
    # The form has the new tag: to save it now is a decision, and theirs is a revision.
    assert values_of(page.text)["etag"] == TAG.replace('"', "&#34;")
    told = (await author.post(EDIT, data={**TYPED, "csrf_token": token, "etag": TAG}, headers=JSON)).json()
    assert (told["result"], told["saved_by"], told["saved_by_oneself"], told["version"]) == (
        "conflict", "grace", False, 5,
    )  # fmt: skip
    assert told["etag"] == "", "a script that saves by itself is given no leave to put its text over theirs"


async def test_a_save_whose_answer_was_lost_is_no_conflict_with_itself(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    answer_draft(gateway, version=4, title="Spring", preheader="What grows", content="# Spring\n\nDear reader,")
    gateway.publishing.refuse("PATCH", API, 412, "precondition-failed")
    token = await csrf_token_of(author)
    told = (await author.post(EDIT, data={**TYPED, "csrf_token": token, "etag": '"old"'}, headers=JSON)).json()
    assert (told["result"], told["etag"], told["version"]) == ("saved", TAG, 4)
    assert (await save(author, token, etag='"old"')).status_code == 303


async def test_without_a_session_the_words_are_in_the_answer_and_can_be_sent_again(gateway: Gateway) -> None:
    client = await gateway.client(**SAME_SITE)
    page = await save(client, "a token of a session that is over")
    assert page.status_code == 401
    _all_is_there(page.text)
    assert 'href="/login" target="_blank"' in page.text
    assert gateway.publishing.received == []
    told = await client.post(EDIT, data={**TYPED, "csrf_token": "x", "etag": TAG}, headers=JSON)
    assert (told.status_code, told.json()["result"]) == (401, "signed-out")


async def test_after_the_log_in_the_old_page_is_out_of_date_and_saves_at_the_second_try(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    answer_draft(gateway)
    page = await save(author, "a token of another session")
    assert page.status_code == 403
    _all_is_there(page.text)
    assert not [one for one in gateway.publishing.received if one.method == "PATCH"]
    gateway.publishing.answer("PATCH", API, body=draft(version=4), etag='"next"')
    fresh = values_of(page.text)["csrf_token"]
    assert (await save(author, fresh)).status_code == 303
    told = await author.post(EDIT, data={**TYPED, "csrf_token": "old", "etag": TAG}, headers=JSON)
    assert told.json()["result"] == "out-of-date"


async def test_a_form_of_another_site_changes_nothing(gateway: Gateway, author: httpx.AsyncClient) -> None:
    data = {**TYPED, "csrf_token": await csrf_token_of(author), "etag": TAG}
    response = await author.post(EDIT, data=data, headers={"sec-fetch-site": "cross-site"})
    assert response.status_code == 403
    assert gateway.publishing.received == []


@pytest.mark.parametrize(
    ("status", "slug", "answered", "result", "words"),
    [
        (409, "not-a-draft", 409, "no-draft", "This issue is no draft any more"),
        (404, "not-found", 404, "gone", "This draft is not there any more"),
        (503, "unavailable", 503, "unavailable", "It could not be saved just now"),
    ],
)
async def test_a_draft_that_cannot_be_saved_keeps_the_words_on_the_page(
    gateway: Gateway, author: httpx.AsyncClient, status: int, slug: str, answered: int, result: str, words: str
) -> None:
    gateway.publishing.refuse("PATCH", API, status, slug)
    token = await csrf_token_of(author)
    page = await save(author, token)
    assert page.status_code == answered
    assert words in page.text
    assert "Dear reader," in page.text
    told = await author.post(EDIT, data={**TYPED, "csrf_token": token, "etag": TAG}, headers=JSON)
    assert (told.status_code, told.json()["result"]) == (answered, result)


async def test_what_the_service_refuses_stands_at_its_field(gateway: Gateway, author: httpx.AsyncClient) -> None:
    answer_draft(gateway)
    errors = [
        {"pointer": "/slug", "detail": "Another issue has this slug."},
        {"pointer": "/ab_test/others/0/subject", "detail": "It may not hold line breaks."},
    ]
    gateway.publishing.refuse("PATCH", API, 422, "invalid-input", errors=errors)
    token = await csrf_token_of(author)
    page = await save(author, token, slug="spring", ab_on="on", ab_subject_4="Two lines")
    assert page.status_code == 422
    _all_is_there(page.text)
    assert 'id="slug-error"' in page.text
    # The version that was sent first is the third of the form: versions 2 and 3 were left empty.
    assert 'id="ab_subject_4-error"' in page.text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"ab_on": "on"}, "ab_subject_2"),
        ({"ab_on": "on", "ab_subject_2": "Other", "ab_wait_minutes": "soon"}, "ab_wait_minutes"),
        ({"layout_id": "first"}, "layout_id"),
        ({"segment_id": "-1"}, "segment_id"),
    ],
)
async def test_what_is_no_number_is_said_before_publishing_is_asked(
    gateway: Gateway, author: httpx.AsyncClient, changes: dict[str, str], field: str
) -> None:
    answer_draft(gateway)
    page = await save(author, await csrf_token_of(author), **changes)
    assert page.status_code == 422
    assert f'id="{field}-error"' in page.text
    assert not [one for one in gateway.publishing.received if one.method == "PATCH"]


async def test_lists_that_are_not_to_be_had_change_no_choice(gateway: Gateway, author: httpx.AsyncClient) -> None:
    answer_draft(gateway, layout_id=4, segment_id=9)
    gateway.publishing.refuse("GET", "/api/v1/layouts", 503, "unavailable")
    gateway.subscriptions.fail("GET", "/api/v1/segments", httpx.ConnectError("refused"))
    page = await author.get(EDIT)
    held = values_of(page.text)
    assert (held["layout_id"], held["segment_id"]) == ("4", "9")


async def test_an_issue_that_is_no_draft_leads_to_its_page(gateway: Gateway, author: httpx.AsyncClient) -> None:
    answer_draft(gateway, status="sending")
    response = await author.get(EDIT)
    assert (response.status_code, response.headers["location"]) == (303, f"/admin/issues/{NUMBER}")


async def test_an_open_editor_learns_who_saved_and_what_became_of_the_issue(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    answer_draft(gateway, version=9, status="scheduled", saved_by="key:44")
    state = (await author.get(f"{EDIT}/state")).json()
    assert state == {
        "username": "author",
        "csrf_token": await csrf_token_of(author),
        "etag": TAG,
        "version": 9,
        "status": "scheduled",
        "status_label": "Scheduled",
        "saved_by": "key:44",
        "saved_by_oneself": False,
    }
    stranger = await gateway.client()
    assert (await stranger.get(f"{EDIT}/state")).status_code == 303


async def test_who_may_not_write_has_no_editor(gateway: Gateway, author: httpx.AsyncClient) -> None:
    gateway.sql("UPDATE gateway.user_role SET role = 'analyst'")
    answer_draft(gateway)
    assert (await author.get(EDIT)).status_code == 403
    response = await save(author, await csrf_token_of(author))
    assert response.status_code == 403
    assert not [one for one in gateway.publishing.received if one.method == "PATCH"]


async def test_a_text_of_half_a_megabyte_is_saved(gateway: Gateway, author: httpx.AsyncClient) -> None:
    gateway.publishing.answer("PATCH", API, body=draft(version=4), etag='"next"')
    text: Any = "Line of a long issue\n" * 25_000
    assert (await save(author, await csrf_token_of(author), content=text)).status_code == 303
    assert gateway.publishing.last.json["content"] == text


async def test_what_a_save_itself_changes_is_no_conflict(gateway: Gateway, author: httpx.AsyncClient) -> None:
    answer_draft(gateway, version=4, title="Spring", preheader="What grows", content="# Spring\r\n\r\nDear reader,")
    gateway.publishing.refuse("PATCH", API, 412, "precondition-failed")
    data = {**TYPED, "title": " Spring ", "csrf_token": await csrf_token_of(author), "etag": '"old"'}
    assert (await author.post(EDIT, data=data, headers=JSON)).json()["result"] == "saved"


async def test_versions_that_nobody_ticked_are_not_thrown_away(gateway: Gateway, author: httpx.AsyncClient) -> None:
    answer_draft(gateway)
    token = await csrf_token_of(author)
    told = await author.post(
        EDIT, data={**TYPED, "csrf_token": token, "etag": TAG, "ab_content_2": "Another text"}, headers=JSON
    )
    assert (told.json()["result"], list(told.json()["errors"])) == ("refused", ["ab_on"])
    assert not [one for one in gateway.publishing.received if one.method == "PATCH"]


@pytest.mark.parametrize("is_the_role", [True, False])
async def test_who_may_not_save_any_more_keeps_the_words(
    gateway: Gateway, author: httpx.AsyncClient, is_the_role: bool
) -> None:
    token = await csrf_token_of(author)
    if is_the_role:
        gateway.sql("UPDATE gateway.user_role SET role = 'analyst'")
    else:
        gateway.publishing.refuse("PATCH", API, 403, "forbidden", detail="Not of this newsletter.")
    page = await save(author, token)
    assert page.status_code == 403
    assert "Dear reader," in page.text
    told = await author.post(EDIT, data={**TYPED, "csrf_token": token, "etag": TAG}, headers=JSON)
    assert (told.status_code, told.json()["result"]) == (403, "forbidden")


async def test_what_is_chosen_stays_chosen_where_the_list_has_no_room_for_it(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    answer_draft(gateway, layout_id=888, segment_id=777)
    page = (await author.get(EDIT)).text
    assert '<option value="888" selected>Layout 888</option>' in page
    assert '<option value="777" selected>Segment 777</option>' in page


async def test_a_tag_that_no_header_can_carry_is_refused_with_the_words_kept(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    answer_draft(gateway)
    gateway.publishing.refuse("PATCH", API, 428, "precondition-required")
    page = await save(author, await csrf_token_of(author), etag='é"\r\nX: 1')
    assert page.status_code == 428
    _all_is_there(page.text)
