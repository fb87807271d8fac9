"""The pages with the sign-up form in the newsletter's language and look, and what stands on them."""

import asyncio
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from selectolax.lexbor import LexborHTMLParser

from broadsheet_common.contracts.consent_wording import current_wording
from broadsheet_common.process.metrics import Counter
from broadsheet_gateway.http.content_policy import CONTENT_SECURITY_POLICY
from broadsheet_gateway.pages import Pages
from broadsheet_gateway.pages.for_readers.accent_sheet import accent_sheet_name
from broadsheet_gateway.sign_up.refuse_overload import OverloadRefusal

from ..conftest import Gateway, MakeGateway

ISSUES = "/public/archive/werkstatt/issues"
GERMAN: dict[str, Any] = {
    "id": 7,
    "slug": "werkstatt",
    "name": "Werkstattbrief",
    "language": "de-AT",
    "direction": "ltr",
    "accent_colour": "#ffd400",
    "logo_url": "https://pictures.example/logo.png",
    "logo_alt": "Ein Zahnrad",
    "description": "Alte Maschinen, neu verstanden.",
    "has_archive": True,
    "track_opens": True,
}
ARABIC: dict[str, Any] = {"id": 8, "slug": "anzima", "name": "رسالة", "language": "ar", "direction": "rtl"}
ADA = {"name": "Ada", "email": "ada@example.com"}


def newsletter_of_archive() -> dict[str, Any]:
    times = {"created_at": "2026-01-01T00:00:00Z", "changed_at": "2026-01-01T00:00:00Z"}
    texts = {"sign_up_heading": "", "sign_up_text": "", "sign_up_button": ""}
    shown = {name: value for name, value in GERMAN.items() if name not in {"has_archive", "track_opens"}}
    return {**shown, **times, **texts, "archive_is_hidden": False}


def listed(*titles: str) -> dict[str, Any]:
    items = [
        {
            "id": number,
            "slug": f"nr-{number}",
            "title": title,
            "summary": "",
            **dict.fromkeys(("created_at", "published_at", "updated_at"), "2026-01-06T09:00:00+01:00"),
        }
        for number, title in enumerate(titles, 1)
    ]
    return {"newsletter": newsletter_of_archive(), "items": items, "next_before_id": None}


async def german(make_gateway: MakeGateway, **changes: Any) -> Gateway:
    gateway = await make_gateway(**changes)
    gateway.publishing.answer("GET", "/api/v1/newsletters", body={"items": [GERMAN, ARABIC], "next_cursor": None})
    gateway.publishing.answer("GET", ISSUES, body=listed("Die Drehbank"))
    return gateway


async def test_the_form_is_in_the_newsletters_language_and_look(make_gateway: MakeGateway) -> None:
    gateway = await german(make_gateway)
    visitor = await gateway.client()
    answer = await visitor.get("/newsletters/werkstatt", headers={"accept-language": "en"})
    page = LexborHTMLParser(answer.text)
    assert page.css("html")[0].attributes == {"lang": "de-AT"}
    assert page.css("h1")[0].text() == "Jede Ausgabe, einmal, in Ihrem Postfach"
    assert page.css("form button")[0].text() == "Abonnieren"
    assert "ob Sie sie öffnen" in answer.text
    assert current_wording("de").text in answer.text
    assert page.css("input[name=wording]")[0].attributes["value"] == str(current_wording("de").version)
    (logo,) = page.css(".masthead img")
    assert (logo.attributes["src"], logo.attributes["alt"]) == (GERMAN["logo_url"], "Ein Zahnrad")
    assert page.css(".masthead-line")[0].text() == GERMAN["description"]
    policy = answer.headers["content-security-policy"]
    assert policy == f"{CONTENT_SECURITY_POLICY}; img-src 'self' https://pictures.example"
    assert f'href="/static/{accent_sheet_name("#ffd400")}"' in answer.text
    assert (await visitor.get(f"/static/{accent_sheet_name('#ffd400')}")).status_code == 200


async def test_a_newsletters_own_words_stand_in_place_of_the_languages_and_the_consent_stays_what_is_recorded(
    make_gateway: MakeGateway,
) -> None:
    gateway = await german(make_gateway)
    own = {"sign_up_heading": "Kommen Sie an Bord", "sign_up_text": "Nur dann.", "sign_up_button": "Anheuern"}
    gateway.publishing.answer("GET", "/api/v1/newsletters", body={"items": [{**GERMAN, **own}], "next_cursor": None})
    visitor = await gateway.client()
    page = LexborHTMLParser((await visitor.get("/newsletters/werkstatt")).text)
    assert page.css("h1")[0].text() == "Kommen Sie an Bord"
    assert page.css("form button")[0].text() == "Anheuern"
    assert "Nur dann." in page.text()
    snippet = (await visitor.get("/newsletters/werkstatt/embed")).text
    assert "&gt;Anheuern&lt;/button&gt;" in snippet
    for shown in (page.html or "", snippet):
        assert current_wording("de").text in shown


async def test_a_sign_up_says_which_wording_was_shown_and_is_answered_in_the_language(
    make_gateway: MakeGateway,
) -> None:
    gateway = await german(make_gateway)
    visitor = await gateway.client()
    version = current_wording("de").version
    answer = await visitor.post("/newsletters/werkstatt", data=ADA | {"wording": str(version)})
    assert gateway.subscriptions.last.json["wording_version"] == version
    page = LexborHTMLParser(answer.text)
    assert page.css("h1")[0].text() == "Sehen Sie in Ihrem Postfach nach"
    assert page.css(".masthead img")
    assert "img-src 'self' https://pictures.example" in answer.headers["content-security-policy"]


async def test_faults_are_told_in_the_language_known_texts_and_others(make_gateway: MakeGateway) -> None:
    gateway = await german(make_gateway)
    visitor = await gateway.client()
    gateway.subscriptions.refuse(
        "POST",
        "/public/subscriptions",
        422,
        "invalid-input",
        errors=[
            {"pointer": "/name", "detail": "A name is needed."},
            {"pointer": "/email", "detail": "The domain name has an odd letter."},
        ],
    )
    refused = await visitor.post("/newsletters/werkstatt", data={"name": "", "email": "x@"})
    page = LexborHTMLParser(refused.text)
    assert refused.status_code == 400
    assert page.css("#name-error")[0].text() == "Fehler: Bitte geben Sie einen Namen ein."
    assert page.css("#email-error")[0].text().startswith("Fehler: Das ist keine vollständige")
    gateway.subscriptions.fail("POST", "/public/subscriptions", httpx.ConnectError("refused"))
    failed = await visitor.post("/newsletters/werkstatt", data=ADA)
    assert failed.status_code == 503
    assert "Der Dienst ist vorübergehend nicht verfügbar" in failed.text
    assert "Nichts ist verloren gegangen" in failed.text
    assert "temporarily" not in failed.text


async def test_a_language_without_a_catalogue_keeps_tag_and_direction_and_has_english_words(
    make_gateway: MakeGateway,
) -> None:
    gateway = await german(make_gateway)
    page = LexborHTMLParser((await (await gateway.client()).get("/newsletters/anzima")).text)
    assert page.css("html")[0].attributes == {"lang": "ar", "dir": "rtl"}
    assert page.css("body")[0].attributes["lang"] == "en"
    assert page.css("form button")[0].text() == "Subscribe"
    assert page.css("input[name=wording]")[0].attributes["value"] == str(current_wording("en").version)
    assert page.css(".masthead-name")[0].attributes["lang"] == "ar"


async def test_the_form_to_copy_is_in_the_language(make_gateway: MakeGateway) -> None:
    gateway = await german(make_gateway)
    answer = await (await gateway.client()).get("/newsletters/werkstatt/embed")
    page = LexborHTMLParser(answer.text)
    snippet = page.css("pre")[0].text()
    assert '<form method="post"' in snippet
    assert 'lang="de"' in snippet
    assert f'name="wording" value="{current_wording("de").version}"' in snippet
    assert '<button type="submit">Abonnieren</button>' in snippet
    (place,) = page.css("[data-copies]")
    assert page.css(f"#{place.attributes['data-copies']}")
    assert place.attributes["data-label"] == "Formular kopieren"


# What was sent last ---------------------------------------------------------------------------------------------


async def test_what_was_sent_last_is_shown_with_its_date_and_asked_once(make_gateway: MakeGateway) -> None:
    gateway = await german(make_gateway)
    visitor = await gateway.client()
    for _ in range(3):
        page = LexborHTMLParser((await visitor.get("/newsletters/werkstatt")).text)
        (item,) = page.css(".latest-list li")
        assert item.css("a")[0].attributes["href"] == "/newsletters/werkstatt/issues/nr-1"
        assert item.css("time")[0].text() == "6. Jänner 2026"
    asked = [received for received in gateway.publishing.received if received.path == ISSUES]
    assert [received.query for received in asked] == ["limit=3"]
    await visitor.post("/newsletters/werkstatt", data=ADA)
    assert len([received for received in gateway.publishing.received if received.path == ISSUES]) == 1


async def test_they_follow_the_archive_and_stay_while_publishing_is_away(make_gateway: MakeGateway) -> None:
    gateway = await german(make_gateway, archive_cache_s=0.001)
    visitor = await gateway.client()

    async def titles() -> list[str]:
        await visitor.get("/newsletters/werkstatt")  # makes it ask
        await asyncio.sleep(0.05)
        page = LexborHTMLParser((await visitor.get("/newsletters/werkstatt")).text)
        return [title.text() for title in page.css(".latest-list h3")]

    assert await titles() == ["Die Drehbank"]
    gateway.publishing.answer("GET", ISSUES, body=listed("Öl und Fett", "Die Drehbank"))
    assert await titles() == ["Öl und Fett", "Die Drehbank"]
    gateway.publishing.fail("GET", ISSUES, httpx.ConnectError("refused"))
    assert await titles() == ["Öl und Fett", "Die Drehbank"]


async def test_a_page_does_not_wait_for_an_archive_that_hangs(
    make_gateway: MakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broadsheet_gateway.sign_up.latest_issues.FIRST_WAIT_MAX_S", 0.05)
    gateway = await german(make_gateway)
    released = asyncio.Event()

    async def hang() -> Any:
        await released.wait()
        gateway.publishing.answer("GET", ISSUES, body=listed("Spät"))
        return gateway.publishing.answers["GET", ISSUES]

    gateway.publishing.answers["GET", ISSUES] = hang
    visitor = await gateway.client()
    async with asyncio.timeout(5):
        for _ in range(3):
            answer = await visitor.get("/newsletters/werkstatt")
            assert answer.status_code == 200
            assert not LexborHTMLParser(answer.text).css(".latest-list")
    released.set()
    await asyncio.sleep(0.05)
    assert "Spät" in (await visitor.get("/newsletters/werkstatt")).text
    assert len([received for received in gateway.publishing.received if received.path == ISSUES]) == 1


async def test_nothing_is_asked_for_a_newsletter_whose_issues_are_not_on_the_web(make_gateway: MakeGateway) -> None:
    gateway = await german(make_gateway)
    page = LexborHTMLParser((await (await gateway.client()).get("/newsletters/anzima")).text)
    assert not page.css(".latest")
    assert [received.path for received in gateway.publishing.received] == ["/api/v1/newsletters"]


# The sandbox's inbox --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inbox", [None, "http://127.0.0.1:8085"])
async def test_only_a_local_installation_leads_to_the_sandboxs_inbox(
    inbox: str | None, make_gateway: MakeGateway
) -> None:
    gateway = await german(make_gateway, sandbox_inbox_url=inbox)
    answer = await (await gateway.client()).post("/newsletters/werkstatt", data=ADA)
    links = [link.attributes["href"] for link in LexborHTMLParser(answer.text).css("a[rel=external]")]
    assert links == ([] if inbox is None else [inbox])


# Refused before anything is done --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "language", "title"),
    [
        (b"de-DE,en;q=0.5", "de", "Gerade melden sich sehr viele Menschen an"),
        (b"it", "en", "Very many people are signing up at this moment"),
        (b"\xff\xfe", "en", "Very many people are signing up at this moment"),
        (None, "en", "Very many people are signing up at this moment"),
    ],
)
def test_a_refusal_for_want_of_room_is_in_the_browsers_language(
    asked: bytes | None, language: str, title: str, pages: Pages
) -> None:
    refused = Counter("refused", "Refused sign-ups.", registry=CollectorRegistry())
    refusal = OverloadRefusal(lambda: True, pages, refused, headers=())
    headers = [(b"accept", b"text/html")] + ([] if asked is None else [(b"accept-language", asked)])
    scope: Any = {"method": "POST", "path": "/newsletters/werkstatt", "headers": headers}
    answer = refusal(scope)
    assert answer is not None
    page = LexborHTMLParser(answer.body.decode())
    assert (page.css("html")[0].attributes["lang"], page.css("h1")[0].text()) == (language, title)
