"""The pages on newsletters: what they show, what they ask of publishing, and what they say of its refusals."""

import re
from typing import Any

import httpx
import pytest

from ...conftest import Gateway, csrf_token_of

HTML = {"accept": "text/html"}
PATH = "/admin/settings/newsletters"
API = "/api/v1/newsletters"


def newsletter(**changes: Any) -> dict[str, Any]:
    return {
        "id": 3, "slug": "harbour", "name": "Harbour Notes", "is_default": False, "is_ready": True, "missing": [],
        "description": "", "from_name": None, "from_email": "notes@harbour.example", "reply_to": None,
        "postal_address": "1 Quay", "message_stream": "broadcast", "unsubscribe_handling": "custom",
        "stream_check": {"state": "ok"}, "language": "en", "direction": "ltr", "time_zone": "UTC",
        "accent_colour": "#7a1f1f", "logo_url": None, "logo_alt": "", "layout_id": None,
        "welcome_mail": {"enabled": False, "subject": "Hi", "content": "Hello\nthere", "faults": []},
        "sign_up_heading": "", "sign_up_text": "", "sign_up_button": "", "allowed_origins": [], "is_listed": True,
        "has_archive": True, "archive_is_hidden": False, "track_opens": False, "track_links": False,
        "requires_approval": False, "created_at": "2026-01-02T03:04:05Z", "archived_at": None, **changes,
    }  # fmt: skip


def form_of(html: str, token: str) -> dict[str, str]:
    """What a browser would send of the form of all settings."""
    found = re.search(r'<form method="post" action="[^"]*" id="newsletter-form"[^>]*>(.*?)</form>', html, re.DOTALL)
    assert found is not None
    inside = found[1]
    form = {"csrf_token": token}
    for tag in re.findall(r"<input [^>]*>", inside):
        given = dict(re.findall(r'([a-z]+)="([^"]*)"', tag))
        if given.get("type") != "checkbox" or " checked" in tag:
            form[given["name"]] = given.get("value", "").replace("&#34;", '"')
    for name, text in re.findall(r'<textarea id="[^"]*" name="([^"]*)"[^>]*>\n(.*?)</textarea>', inside, re.DOTALL):
        form[name] = text.replace("\n", "\r\n")
    for name, options in re.findall(r'<select id="[^"]*" name="([^"]*)".*?>(.*?)</select>', inside, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', options)
        form[name] = chosen[1] if chosen else ""
    return form


@pytest.fixture
async def owner(gateway: Gateway) -> httpx.AsyncClient:
    client = await gateway.signed_in()
    client.headers.update(HTML)
    gateway.publishing.answer("GET", f"{API}/3", body=newsletter(), etag='"v1"')
    gateway.publishing.answer("GET", "/api/v1/layouts", body={"items": [{"id": 2, "name": "Two"}], "next_cursor": None})
    return client


def changes(gateway: Gateway) -> list[tuple[str, str]]:
    return [(one.method, one.path) for one in gateway.publishing.received if one.method != "GET"]


async def test_the_list_says_what_a_newsletter_lacks_before_it_can_send(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    lacking = newsletter(id=4, slug="b", name="B", missing=["from_email", "postal_address"])
    mismatched = newsletter(id=5, slug="c", name="C", stream_check={"state": "mismatch", "detail": "No such stream."})
    gateway.publishing.answer("GET", API, body={"items": [newsletter(), lacking, mismatched], "next_cursor": "next1"})
    page = (await owner.get(f"{PATH}?archived=yes&cursor=c0")).text
    assert gateway.publishing.last.query == "limit=50&cursor=c0&archived=true"
    assert "It lacks a sender and a postal address." in page
    assert "No such stream." in page
    assert f'href="{PATH}?cursor=next1&amp;archived=yes"' in page
    assert f'href="{PATH}/3"' in page


async def test_without_publishing_the_list_says_so(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.publishing.fail("GET", API, httpx.ConnectError("down"))
    response = await owner.get(PATH)
    assert response.status_code == 200
    assert "does not answer" in response.text


async def test_a_newsletter_is_made_once_with_what_was_typed(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    page = (await owner.get(f"{PATH}/new")).text
    key = re.search(r'name="idempotency_key" value="([^"]+)"', page)
    assert key is not None
    gateway.publishing.answer("POST", API, status=201, body=newsletter())
    form = {
        "csrf_token": await csrf_token_of(owner), "idempotency_key": key[1], "name": "Harbour Notes", "slug": "",
        "description": "One\r\ntwo", "from_email": "", "postal_address": "", "language": "en", "time_zone": "UTC",
    }  # fmt: skip
    response = await owner.post(PATH, data=form)
    assert (response.status_code, response.headers["location"]) == (303, f"{PATH}/3")
    (sent,) = [one for one in gateway.publishing.received if one.method == "POST"]
    assert sent.json == {"name": "Harbour Notes", "description": "One\ntwo", "language": "en", "time_zone": "UTC"}
    assert sent.headers["idempotency-key"] == key[1]
    assert "The newsletter is made" in (await owner.get(f"{PATH}/3")).text


async def test_a_refused_new_newsletter_keeps_what_was_typed(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    errors = [{"pointer": "/slug", "detail": "Another newsletter has this slug."}]
    gateway.publishing.refuse("POST", API, 409, "slug-taken", errors=errors)
    form = {"csrf_token": await csrf_token_of(owner), "idempotency_key": "k1", "name": "Notes", "slug": "harbour"}
    response = await owner.post(PATH, data=form)
    assert response.status_code == 409
    assert "Another newsletter has this slug." in response.text
    assert 'value="harbour"' in response.text
    assert 'value="k1"' not in response.text, "another request needs another key"
    nameless = await owner.post(PATH, data=form | {"name": " "})
    assert nameless.status_code == 422
    assert "A name is needed." in nameless.text


async def test_saving_what_is_there_changes_nothing(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    page = (await owner.get(f"{PATH}/3")).text
    response = await owner.post(f"{PATH}/3", data=form_of(page, await csrf_token_of(owner)))
    assert response.status_code == 303
    assert changes(gateway) == []


async def test_only_what_was_changed_is_sent_with_the_version_that_was_shown(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    page = (await owner.get(f"{PATH}/3")).text
    gateway.publishing.answer("PATCH", f"{API}/3", body=newsletter())
    form = form_of(page, await csrf_token_of(owner))
    assert form["welcome_content"] == "Hello\r\nthere"
    form |= {
        "name": "Quay Notes", "from_email": "", "layout_id": "2", "track_opens": "yes", "direction": "rtl",
        "allowed_origins": "https://a.example\r\n\r\n https://b.example ", "welcome_enabled": "yes",
    }  # fmt: skip
    del form["is_listed"]
    response = await owner.post(f"{PATH}/3", data=form)
    assert (response.status_code, response.headers["location"]) == (303, f"{PATH}/3")
    sent = gateway.publishing.last
    assert sent.headers["if-match"] == '"v1"'
    assert sent.json == {
        "name": "Quay Notes", "from_email": None, "layout_id": 2, "track_opens": True, "direction": "rtl",
        "allowed_origins": ["https://a.example", "https://b.example"], "is_listed": False,
        "welcome_mail": {"enabled": True},
    }  # fmt: skip


async def test_a_refused_setting_is_said_at_its_field_and_nothing_typed_is_lost(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    page = (await owner.get(f"{PATH}/3")).text
    errors = [
        {"pointer": "/allowed_origins/1", "detail": "an origin is a scheme and a host"},
        {"pointer": "/welcome_mail/content", "detail": "Line 2: no such field"},
    ]
    gateway.publishing.refuse("PATCH", f"{API}/3", 422, "invalid-input", errors=errors)
    form = form_of(page, await csrf_token_of(owner))
    form |= {"allowed_origins": "https://a.example\r\nnonsense", "welcome_content": "Hello\r\n{{ nmae }}"}
    response = await owner.post(f"{PATH}/3", data=form)
    assert response.status_code == 422
    assert 'href="#allowed_origins">Sites that hold its form: Line 2: An origin is a scheme and a host' in response.text
    assert 'id="welcome_content-error"' in response.text
    assert "https://a.example\nnonsense</textarea>" in response.text
    assert form_of(response.text, form["csrf_token"]) == form


async def test_who_comes_second_sees_both_values_and_can_save_over_them(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    form = form_of((await owner.get(f"{PATH}/3")).text, await csrf_token_of(owner)) | {"name": "Mine"}
    gateway.publishing.answer("GET", f"{API}/3", body=newsletter(name="Theirs"), etag='"v2"')
    gateway.publishing.refuse("PATCH", f"{API}/3", 412, "precondition-failed")
    response = await owner.post(f"{PATH}/3", data=form)
    assert response.status_code == 412
    assert "Somebody else has changed this newsletter meanwhile." in response.text
    for shown in ('<bdi class="own-lines">Mine</bdi>', '<bdi class="own-lines">Theirs</bdi>', 'value="Mine"'):
        assert shown in response.text
    again = form_of(response.text, form["csrf_token"])
    assert again["version"] == '"v2"'
    gateway.publishing.answer("PATCH", f"{API}/3", body=newsletter(name="Mine"))
    assert (await owner.post(f"{PATH}/3", data=again)).status_code == 303
    assert gateway.publishing.last.headers["if-match"] == '"v2"'
    assert gateway.publishing.last.json == {"name": "Mine"}


async def test_without_publishing_the_typed_settings_come_back(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    form = form_of((await owner.get(f"{PATH}/3")).text, await csrf_token_of(owner)) | {"name": "Mine"}
    gateway.publishing.fail("PATCH", f"{API}/3", httpx.ConnectError("down"))
    response = await owner.post(f"{PATH}/3", data=form)
    assert response.status_code == 503
    assert 'value="Mine"' in response.text


async def test_without_layouts_the_chosen_one_stays(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.publishing.answer("GET", f"{API}/3", body=newsletter(layout_id=9), etag='"v1"')
    gateway.publishing.fail("GET", "/api/v1/layouts", httpx.ConnectError("down"))
    page = (await owner.get(f"{PATH}/3")).text
    assert '<input type="hidden" name="layout_id" value="9">' in page
    response = await owner.post(f"{PATH}/3", data=form_of(page, await csrf_token_of(owner)))
    assert response.status_code == 303
    assert changes(gateway) == []


@pytest.mark.parametrize(("archived", "verb"), [("yes", "archive"), ("no", "unarchive")])
async def test_a_newsletter_is_archived_and_taken_back(
    gateway: Gateway, owner: httpx.AsyncClient, archived: str, verb: str
) -> None:
    gateway.publishing.answer("POST", f"{API}/3/{verb}", body=newsletter())
    form = {"csrf_token": await csrf_token_of(owner), "archived": archived}
    response = await owner.post(f"{PATH}/3/archive", data=form)
    assert response.status_code == 303
    assert changes(gateway) == [("POST", f"{API}/3/{verb}")]


async def test_why_it_cannot_be_archived_is_said(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.publishing.refuse("POST", f"{API}/3/archive", 409, "newsletter-in-use", detail="An issue is being sent.")
    form = {"csrf_token": await csrf_token_of(owner), "archived": "yes"}
    response = await owner.post(f"{PATH}/3/archive", data=form)
    assert response.status_code == 409
    assert "An issue is being sent." in response.text


async def test_the_pictures_have_policies_of_their_own(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.publishing.answer(
        "POST", f"{API}/3/welcome-mail/preview", body={"subject": "Hi", "html": "<script>1</script>", "text": "Hi"}
    )
    page = await owner.get(f"{PATH}/3/page")
    assert "Harbour Notes" in page.text
    mail = await owner.get(f"{PATH}/3/welcome")
    assert mail.text == "<script>1</script>"
    assert gateway.publishing.last.json == {}
    for picture, sandbox in ((page, "sandbox allow-same-origin;"), (mail, "sandbox;")):
        policy = picture.headers["content-security-policy"]
        assert policy.startswith(f"{sandbox} default-src 'none';")
        assert "frame-ancestors 'self'" in policy
        assert "script" not in policy


async def test_the_pictures_show_what_is_typed(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    form = form_of((await owner.get(f"{PATH}/3")).text, await csrf_token_of(owner))
    form |= {"sign_up_heading": "Read <me>", "track_opens": "yes", "welcome_subject": "New"}
    page = await owner.post(f"{PATH}/3/page", data=form)
    assert page.status_code == 200
    assert "Read &lt;me&gt;" in page.text
    assert "whether you open them" in page.text
    gateway.publishing.answer(
        "POST", f"{API}/3/welcome-mail/preview", body={"subject": "", "html": None, "text": "<b>"}
    )
    mail = await owner.post(f"{PATH}/3/welcome", data=form)
    assert gateway.publishing.last.json == {"welcome_mail": {"subject": "New", "content": "Hello\nthere"}}
    assert "<pre>&lt;b&gt;</pre>" in mail.text
    errors = [{"pointer": "/welcome_mail/content", "detail": "Line 1: <oh>"}]
    gateway.publishing.refuse("POST", f"{API}/3/welcome-mail/preview", 422, "invalid-input", errors=errors)
    assert "Line 1: &lt;oh&gt;" in (await owner.post(f"{PATH}/3/welcome", data=form)).text


async def test_a_test_of_the_welcome_mail_goes_to_the_addresses_given(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    gateway.publishing.answer("POST", f"{API}/3/welcome-mail/test", status=202, body={"sent": 2, "subject": "Hi"})
    form = {"csrf_token": await csrf_token_of(owner), "test_key": "t1", "test_to": "a@x.example, b@x.example"}
    response = await owner.post(f"{PATH}/3/welcome-test", data=form)
    assert response.status_code == 303
    assert "@" not in response.headers["location"]
    assert gateway.publishing.last.json == {"to": ["a@x.example", "b@x.example"]}
    assert gateway.publishing.last.headers["idempotency-key"] == "t1"


@pytest.mark.parametrize(("to", "said"), [(" ,", "Enter at least one address."), ("a " * 11, "At most 10 addresses")])
async def test_a_test_to_nobody_or_to_many_is_refused(
    gateway: Gateway, owner: httpx.AsyncClient, to: str, said: str
) -> None:
    form = {"csrf_token": await csrf_token_of(owner), "test_key": "t1", "test_to": to}
    response = await owner.post(f"{PATH}/3/welcome-test", data=form)
    assert response.status_code == 422
    assert said in response.text
    assert changes(gateway) == []


async def test_a_refused_address_is_said_at_its_field(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    errors = [{"pointer": "/to/0", "detail": "Nobody of this address has confirmed."}]
    gateway.publishing.refuse("POST", f"{API}/3/welcome-mail/test", 422, "invalid-input", errors=errors)
    form = {"csrf_token": await csrf_token_of(owner), "test_key": "t1", "test_to": "a@x.example"}
    response = await owner.post(f"{PATH}/3/welcome-test", data=form)
    assert response.status_code == 422
    assert 'id="test_to-error"' in response.text
    assert 'value="a@x.example"' in response.text


@pytest.mark.parametrize("path", ["", "/3", "/3/archive", "/3/welcome-test", "/3/page", "/3/welcome"])
async def test_a_form_without_the_sessions_token_does_nothing(
    gateway: Gateway, owner: httpx.AsyncClient, path: str
) -> None:
    response = await owner.post(
        f"{PATH}{path}",
        data={"name": "x", "archived": "yes", "idempotency_key": "k"},
        headers={"sec-fetch-site": "same-origin"},
    )
    assert response.status_code == 403
    assert changes(gateway) == []


async def test_who_only_reads_sees_the_list_and_no_settings(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    del owner
    analyst = await gateway.signed_in("analyst")
    analyst.headers.update(HTML)
    gateway.sql(
        "UPDATE gateway.user_role SET role = 'analyst' "
        "WHERE user_id = (SELECT id FROM gateway.user_account WHERE username = 'analyst')"
    )
    gateway.publishing.answer("GET", API, body={"items": [newsletter()], "next_cursor": None})
    page = await analyst.get(PATH)
    assert page.status_code == 200
    assert f"{PATH}/3" not in page.text
    assert f"{PATH}/new" not in page.text
    for path in (f"{PATH}/3", f"{PATH}/new", f"{PATH}/3/page"):
        assert (await analyst.get(path)).status_code == 403


async def test_the_language_is_chosen_and_a_saved_tag_of_any_kind_stays(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    for tag, shown in (
        ("en", '<option value="en" selected>English (en)</option>'),
        ("de-AT", '<option value="de-AT" selected>German (de-AT)</option>'),
        ("tlh-Latn", '<option value="tlh-Latn" selected>Another language (tlh-Latn)</option>'),
    ):
        gateway.publishing.answer("GET", f"{API}/3", body=newsletter(language=tag), etag='"v1"')
        page = (await owner.get(f"{PATH}/3")).text
        assert shown in page
        assert '<option value="ar">Arabic (ar)</option>' in page
        own, others = page.split('label="With Broadsheet in this language too"')[1].split(
            'label="With Broadsheet in English"'
        )
        assert (tag in own) == (tag != "tlh-Latn")
        assert "tlh-Latn" in others or tag != "tlh-Latn"
        saved = await owner.post(f"{PATH}/3", data=form_of(page, await csrf_token_of(owner)))
        assert saved.status_code == 303
        assert changes(gateway) == []
    form = form_of((await owner.get(f"{PATH}/3")).text, await csrf_token_of(owner)) | {"language": "fr"}
    await owner.post(f"{PATH}/3", data=form)
    assert gateway.publishing.last.json == {"language": "fr"}


async def test_a_language_that_is_refused_stays_chosen(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    errors = [{"pointer": "/language", "detail": "Expected is a language tag."}]
    gateway.publishing.refuse("PATCH", f"{API}/3", 422, "invalid-input", errors=errors)
    form = form_of((await owner.get(f"{PATH}/3")).text, await csrf_token_of(owner))
    page = (await owner.post(f"{PATH}/3", data=form | {"language": "no such tag"})).text
    assert 'id="language-error"' in page
    assert '<option value="no such tag" selected>' in page


@pytest.mark.parametrize("path", ["/3", "/new"])
async def test_time_zones_are_offered_by_their_names(owner: httpx.AsyncClient, path: str) -> None:
    page = (await owner.get(f"{PATH}{path}")).text
    for zone in ("UTC", "Europe/Paris", "America/Argentina/Buenos_Aires"):
        assert f'<option value="{zone}"></option>' in page
    assert 'list="time-zones"' in page


async def test_a_time_zone_that_there_is_not_is_said_at_its_field(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    errors = [{"pointer": "/time_zone", "detail": "There is no such time zone."}]
    gateway.publishing.refuse("PATCH", f"{API}/3", 422, "invalid-input", errors=errors)
    form = form_of((await owner.get(f"{PATH}/3")).text, await csrf_token_of(owner))
    page = (await owner.post(f"{PATH}/3", data=form | {"time_zone": "Paris, France"})).text
    assert 'id="time_zone-error"' in page
    assert 'value="Paris, France"' in page


async def test_a_time_zone_is_named_by_its_city(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.publishing.answer("PATCH", f"{API}/3", body=newsletter())
    form = form_of((await owner.get(f"{PATH}/3")).text, await csrf_token_of(owner))
    assert (await owner.post(f"{PATH}/3", data=form | {"time_zone": "Berlin"})).status_code == 303
    assert gateway.publishing.last.json == {"time_zone": "Europe/Berlin"}
