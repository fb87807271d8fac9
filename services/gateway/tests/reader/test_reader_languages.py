"""The pages behind links in mails: in the newsletter's language and look, or in what the browser asks for."""

from typing import Any

import httpx
import pytest
from selectolax.lexbor import LexborHTMLParser, LexborNode

from broadsheet_common.contracts.preview_link import PREVIEW_TOKEN
from broadsheet_gateway.pages.for_readers.words import CATALOGUES

from ..conftest import Gateway, MakeGateway

HTML = {"accept": "text/html"}
FRENCH_BROWSER = HTML | {"accept-language": "fr-CH,fr;q=0.9,en;q=0.5"}
LINK: dict[str, Any] = {"newsletter": {"id": 7, "name": "Werkstattbrief"}, "state": "confirmed"}
GERMAN: dict[str, Any] = {"id": 7, "slug": "werkstatt", "name": "Werkstattbrief", "language": "de"}
GONE: dict[str, Any] = {
    "id": 9,
    "slug": "gone",
    "name": "Cuaderno",
    "language": "es",
    "archived_at": "2026-01-01T00:00:00Z",
}
PERSON: dict[str, Any] = {
    "email": "ada@example.com",
    "name": "Ada",
    "newsletters": [{"id": 7, "name": "Werkstattbrief", "state": "confirmed", "suppressed": None}],
    "pending_email": None,
    "language": "de",
}


@pytest.fixture
async def german(make_gateway: MakeGateway) -> Gateway:
    gateway = await make_gateway()
    gateway.publishing.answer("GET", "/api/v1/newsletters", body={"items": [GERMAN, GONE], "next_cursor": None})
    return gateway


def page_of(answer: httpx.Response) -> LexborHTMLParser:
    return LexborHTMLParser(answer.text)


def fields_of(form: LexborNode) -> dict[str, str]:
    return {str(field.attributes["name"]): str(field.attributes["value"]) for field in form.css("input")}


def said(answer: httpx.Response) -> tuple[str | None, str]:
    """The language that a page says, and its heading."""
    page = page_of(answer)
    return page.css("html")[0].attributes["lang"], page.css("h1")[0].text()


async def test_a_confirmation_is_in_the_newsletters_language(german: Gateway) -> None:
    german.subscriptions.answer("POST", "/public/confirmations/lookup", body=LINK | {"state": "pending"})
    german.subscriptions.answer("POST", "/public/confirmations", body=LINK)
    visitor = await german.client()
    shown = await visitor.get("/subscriptions/confirm?subscription_token=abc", headers=FRENCH_BROWSER)
    assert said(shown) == ("de", "Ein letzter Schritt")
    done = await visitor.post("/subscriptions/confirm", data={"subscription_token": "abc"}, headers=FRENCH_BROWSER)
    assert said(done) == ("de", "Ihr Abonnement ist bestätigt")
    assert page_of(done).css(".masthead-name a")[0].attributes["href"] == "/newsletters/werkstatt"


async def test_leaving_is_in_the_newsletters_language_to_the_end(german: Gateway) -> None:
    german.subscriptions.answer("POST", "/public/unsubscribes/lookup", body=LINK)
    visitor = await german.client()
    for path, heading, done in (
        ("/unsubscribe/k1.abc", "Abbestellen", "Sie sind abgemeldet"),
        ("/unsubscribe/k1.abc/choices", "Ihre Möglichkeiten", "Sie sind abgemeldet"),
    ):
        shown = await visitor.get(path, headers=FRENCH_BROWSER)
        assert said(shown) == ("de", heading)
        for form in page_of(shown).css("form"):
            data = fields_of(form)
            action = form.attributes["action"] or ""
            answer = await visitor.post(action, data=data, headers=FRENCH_BROWSER)
            expected = "Sehen Sie in Ihrem Postfach nach" if action.endswith("preferences-link") else done
            assert said(answer) == ("de", expected)


@pytest.mark.parametrize("inbox", ["http://127.0.0.1:8085", None])
async def test_a_mailed_link_leads_to_the_sandboxs_inbox_only_in_a_local_installation(
    inbox: str | None, make_gateway: MakeGateway
) -> None:
    gateway = await make_gateway(sandbox_inbox_url=inbox)
    answer = await (await gateway.client()).post("/unsubscribe/k1.abc/preferences-link", headers=HTML)
    links = [link.attributes["href"] for link in page_of(answer).css("a[rel=external]")]
    assert links == ([] if inbox is None else [inbox])


async def test_what_a_form_says_of_its_newsletter_is_all_that_the_answer_depends_on(german: Gateway) -> None:
    """Nobody finds out by the page whether a token is known."""
    visitor = await german.client()
    german.subscriptions.answer("POST", "/public/unsubscribes", body=LINK)
    known = await visitor.post("/unsubscribe/k1.abc", data={"newsletter": "werkstatt"})
    german.subscriptions.refuse("POST", "/public/unsubscribes", 404, "unknown-token")
    unknown = await visitor.post("/unsubscribe/k1.abc", data={"newsletter": "werkstatt"})
    assert unknown.text == known.text
    for body in (b"newsletter=nobody", b"newsletter=a&newsletter=b", b"\xff\xfe", b"a=1&" * 50, b"newsletter=%00"):
        answer = await visitor.post("/unsubscribe/k1.abc", content=body, headers=FRENCH_BROWSER)
        assert said(answer) == ("fr", "Votre désabonnement est effectif")


async def test_an_archived_newsletter_is_still_left_in_its_language(german: Gateway) -> None:
    german.subscriptions.answer(
        "POST", "/public/unsubscribes/lookup", body=LINK | {"newsletter": {"id": 9, "name": "Cuaderno"}}
    )
    visitor = await german.client()
    assert said(await visitor.get("/unsubscribe/k1.abc")) == ("es", "Cancelar la suscripción")
    assert (await visitor.get("/newsletters/gone", headers=HTML)).status_code == 404


async def test_a_link_of_a_test_mail_asks_nobody_and_is_in_the_browsers_language(german: Gateway) -> None:
    visitor = await german.client()
    for path in (f"/unsubscribe/{PREVIEW_TOKEN}", f"/unsubscribe/{PREVIEW_TOKEN}/choices"):
        shown = await visitor.get(path, headers=FRENCH_BROWSER)
        assert said(shown) == ("fr", CATALOGUES["fr"]("This link is from a test mail"))
    pressed = await visitor.post(f"/unsubscribe/{PREVIEW_TOKEN}", headers=FRENCH_BROWSER)
    assert said(pressed) == ("fr", CATALOGUES["fr"]("This link is from a test mail"))
    assert german.subscriptions.received == []


async def test_without_a_newsletter_the_browser_decides(german: Gateway) -> None:
    visitor = await german.client()
    german.subscriptions.refuse("POST", "/public/unsubscribes/lookup", 404, "unknown-token")
    assert said(await visitor.get("/unsubscribe/k1.abc", headers=FRENCH_BROWSER)) == ("fr", "Se désabonner")
    assert said(await visitor.get("/unsubscribe/k1.abc", headers=HTML | {"accept-language": "it"})) == (
        "en",
        "Unsubscribe",
    )


async def test_errors_of_a_newsletters_pages_are_in_its_language_and_others_in_the_browsers(german: Gateway) -> None:
    visitor = await german.client()
    assert (await visitor.get("/newsletters/werkstatt")).status_code == 200
    german.publishing.refuse("GET", "/public/archive/werkstatt/issues/none", 404, "not-found")
    missing = await visitor.get("/newsletters/werkstatt/issues/none", headers=FRENCH_BROWSER)
    assert (missing.status_code, said(missing)) == (404, ("de", "Nicht gefunden"))
    nowhere = await visitor.get("/nowhere", headers=FRENCH_BROWSER)
    assert (nowhere.status_code, said(nowhere)) == (404, ("fr", "Page introuvable"))
    expired = await visitor.get("/preferences/!", headers=FRENCH_BROWSER)
    assert said(expired) == ("fr", CATALOGUES["fr"]("This link is not valid or has expired"))
    assert "Demandez-en un nouveau" in expired.text
    german.subscriptions.refuse("POST", "/public/preferences/lookup", 410, "person-erased")
    erased = await visitor.get("/preferences/abc", headers=FRENCH_BROWSER)
    assert (erased.status_code, said(erased)) == (410, ("fr", "Vos données sont effacées"))
    # A text that no catalogue has is not shown in English.
    german.subscriptions.refuse("POST", "/public/preferences/lookup", 418, "teapot", detail="Some odd words.")
    odd = await visitor.get("/preferences/abc", headers=FRENCH_BROWSER)
    assert said(odd) == ("fr", CATALOGUES["fr"]("The request could not be read"))
    assert "odd" not in odd.text
    assert said(await visitor.get("/login/nowhere", headers=FRENCH_BROWSER))[0] == "en"


async def test_ones_own_page_is_in_the_language_that_subscriptions_says(german: Gateway) -> None:
    german.subscriptions.answer("POST", "/public/preferences/lookup", body=PERSON)
    german.subscriptions.answer("POST", "/public/preferences/name", body=PERSON)
    visitor = await german.client()
    shown = await visitor.get("/preferences/abc", headers=FRENCH_BROWSER)
    assert said(shown) == ("de", "Ihre Abonnements und Ihre Daten")
    assert page_of(shown).css(".masthead-name")[0].text().strip() == "Werkstattbrief", "it is their only one"
    changed = await visitor.post("/preferences/abc/name", data={"name": "Ada L."})
    assert changed.status_code == 303
    assert "Ihr Name wurde geändert." in (await visitor.get("/preferences/abc")).text
    german.subscriptions.refuse(
        "POST",
        "/public/preferences/address",
        422,
        "invalid-input",
        errors=[{"pointer": "/email", "detail": "This is your address already."}],
    )
    refused = await visitor.post("/preferences/abc/address", data={"email": "ada@example.com"})
    assert "Das ist bereits Ihre Adresse." in refused.text


async def test_erasing_ends_in_the_language_of_the_page_with_the_button(german: Gateway) -> None:
    german.subscriptions.answer("POST", "/public/preferences/lookup", body=PERSON)
    german.subscriptions.answer("POST", "/public/preferences/erase", body={})
    visitor = await german.client()
    shown = await visitor.get("/preferences/abc/erase", headers=FRENCH_BROWSER)
    assert said(shown) == ("de", "Alles über Sie löschen?")
    (field,) = page_of(shown).css("form input")
    data = {str(field.attributes["name"]): field.attributes["value"]}
    done = await visitor.post("/preferences/abc/erase", data=data, headers=FRENCH_BROWSER)
    assert said(done) == ("de", "Ihre Daten sind gelöscht")
    without = await visitor.post("/preferences/abc/erase", headers=FRENCH_BROWSER)
    assert said(without) == ("fr", "Vos données sont effacées")


async def test_a_change_of_address_is_in_the_language_that_subscriptions_says(german: Gateway) -> None:
    change = {"new_email": "new@example.com", "is_confirmed": False, "language": "es"}
    german.subscriptions.answer("POST", "/public/address-changes/lookup", body=change)
    german.subscriptions.answer("POST", "/public/address-changes", body=change | {"is_confirmed": True})
    visitor = await german.client()
    assert said(await visitor.get("/change-of-address/abc")) == ("es", "¿Usar esta dirección?")
    assert said(await visitor.post("/change-of-address/abc")) == ("es", "Su dirección se ha cambiado")
