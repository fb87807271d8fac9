"""Preference pages: unsubscribe, change name or address, download one's data, be erased. They work without
JavaScript.

An unsubscribe link may have been forwarded, so it only allows to unsubscribe, or to have a link mailed to the
subscriber's address; that link opens the rest for a short time. A GET changes nothing, because mail scanners
follow links; each POST may be repeated. The token in the URL is the credential: no cookie, no CSRF check.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import msgspec
from litestar import Response, post, route
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from broadsheet_common.contracts.identity import PUBLIC_IDENTITY
from broadsheet_common.contracts.preview_link import PREVIEW_TOKEN
from broadsheet_common.contracts.suppression import SuppressionKind
from broadsheet_common.http.problems import ConflictError, MalformedRequestError, as_sentence
from broadsheet_common.languages.language import LANGUAGES, Language
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError, Upstreams
from broadsheet_gateway.http.forms import Form, read_form
from broadsheet_gateway.http.request_origin import RequestOrigin
from broadsheet_gateway.http.responses import AnyRequest, PageResponse, Responder
from broadsheet_gateway.limits.limiter import Charge, Limiter
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.pages.for_readers.faults import in_words, title_and_detail
from broadsheet_gateway.pages.for_readers.newsletter_look import NewsletterLook
from broadsheet_gateway.pages.views import (
    AddressChangePage,
    ChoicesPage,
    ErasedPage,
    ErasePage,
    LinkMailedPage,
    Membership,
    PreferencesPage,
    TestLinkPage,
    UnsubscribedPage,
)
from broadsheet_gateway.reader.public_pages import (
    TOKEN,
    UnknownLinkError,
    drop_body,
    find_link,
    language_asked,
    leave_by_link,
    parse_link,
    said_look,
)
from broadsheet_gateway.reader.public_pages import field_errors as errors_of
from broadsheet_gateway.settings import FORM_BODY_MAX_BYTES, GatewaySettings, RateLimits
from broadsheet_gateway.sign_up.newsletter_directory import NewsletterDirectory

_LINK_TOO_OLD = "Links to your own page work for a short time. Ask for a new one at the foot of any issue."
_DIGITS_MAX = 18

T = TypeVar("T")


class _Membership(msgspec.Struct, frozen=True):
    id: int
    name: str
    state: Literal["pending", "confirmed", "unsubscribed"]
    suppressed: SuppressionKind | None = None


class _Preferences(msgspec.Struct, frozen=True):
    """What subscriptions answers about the subscriber behind a token. `language`: what the page is shown in."""

    email: str
    name: str
    newsletters: tuple[_Membership, ...]
    pending_email: str | None
    language: Language = "en"


class _ChangeOfAddress(msgspec.Struct, frozen=True):
    new_email: str
    is_confirmed: bool
    language: Language = "en"


class PersonErasedError(Exception):
    """The link was valid, but its subscriber has been erased since: `error_pages` says so."""


class AddressTakenError(ConflictError):
    slug, title = "address-taken", "This address has subscriptions of its own"


class AddressChangesNowError(ConflictError):
    title = "Your address is being changed at this moment"


# From an unsubscribe link ----------------------------------------------------------------------------------------


@route("/unsubscribe/{token:str}/choices", http_method=["GET", "HEAD"], include_in_schema=False)
async def show_choices(
    request: AnyRequest,
    token: FromPath[str],
    responder: NamedDependency[Responder],
    upstreams: NamedDependency[Upstreams],
    newsletter_directory: NamedDependency[NewsletterDirectory],
) -> PageResponse:
    """The same page for an unknown token, without a name."""
    if token == PREVIEW_TOKEN:
        return responder.page(TestLinkPage(asked=language_asked(request)))
    look, has_left = await find_link(upstreams, newsletter_directory, token)
    action_path = f"/unsubscribe/{quote(token, safe='')}"
    return responder.page(
        ChoicesPage(action_path=action_path, has_left=has_left, look=look, asked=language_asked(request))
    )


@post("/unsubscribe/{token:str}/all", status_code=200, include_in_schema=False)
async def leave_all_by_link(
    request: AnyRequest,
    token: FromPath[str],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    upstreams: NamedDependency[Upstreams],
    newsletter_directory: NamedDependency[NewsletterDirectory],
) -> PageResponse:
    """The same answer for an unknown token."""
    look = await said_look(request, settings, newsletter_directory)
    await leave_by_link(upstreams, "/public/unsubscribes/all", token)
    return responder.page(UnsubscribedPage(is_everything=True, look=look, asked=language_asked(request)))


@post("/unsubscribe/{token:str}/preferences-link", status_code=200, include_in_schema=False)
async def mail_link(
    request: AnyRequest,
    token: FromPath[str],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    limits: NamedDependency[RateLimits],
    limiter: NamedDependency[Limiter],
    request_origin: NamedDependency[RequestOrigin],
    upstreams: NamedDependency[Upstreams],
    newsletter_directory: NamedDependency[NewsletterDirectory],
) -> PageResponse:
    """The same answer for every token: whoever asks may not be the subscriber."""
    look = await said_look(request, settings, newsletter_directory)
    await limiter.require([Charge("own-page", request_origin.rate_limit_subject(request), limits.signup_per_ip)])
    signed = parse_link(token).token
    if TOKEN.fullmatch(signed):
        await upstreams.call(
            "subscriptions", "POST", "/public/preferences-links", identity=PUBLIC_IDENTITY, answer=dict[str, Any],
            body={"token": signed},
        )  # fmt: skip
    inbox_url = settings.sandbox_inbox_url or ""
    return responder.page(LinkMailedPage(look=look, asked=language_asked(request), inbox_url=inbox_url))


# From the link that was mailed -----------------------------------------------------------------------------------


@route("/preferences/{token:str}", http_method=["GET", "HEAD"], include_in_schema=False)
async def show_preferences(
    request: AnyRequest,
    token: FromPath[str],
    responder: NamedDependency[Responder],
    upstreams: NamedDependency[Upstreams],
    newsletter_directory: NamedDependency[NewsletterDirectory],
) -> PageResponse:
    found = await _ask(upstreams, "/public/preferences/lookup", token, answer=_Preferences)
    look = await _only_look(newsletter_directory, found)
    return responder.page(_page(token, found, look, flashes=responder.flashes(request)))


@post("/preferences/{token:str}/leave", status_code=200, include_in_schema=False)
async def leave(
    request: AnyRequest,
    token: FromPath[str],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    upstreams: NamedDependency[Upstreams],
) -> PageResponse:
    """The form's `newsletter_id` says which; without one it is every newsletter."""
    form = await _form(request, settings)
    newsletter_id = form.get("newsletter_id")
    if newsletter_id is not None and not (
        newsletter_id.isascii() and newsletter_id.isdigit() and len(newsletter_id) <= _DIGITS_MAX
    ):
        raise MalformedRequestError("The form field `newsletter_id` is not a number.")
    body = {"newsletter_id": None if newsletter_id is None else int(newsletter_id)}
    try:
        await _ask(upstreams, "/public/preferences/leave", token, answer=_Preferences, body=body)
    except UpstreamRefusalError as refusal:
        raise MalformedRequestError("There is no subscription to this newsletter.") from refusal
    flash = FlashCode.LEFT_ALL if newsletter_id is None else FlashCode.LEFT
    return responder.redirect(f"/preferences/{token}", flash=flash)


@post("/preferences/{token:str}/name", status_code=200, include_in_schema=False)
async def change_name(
    request: AnyRequest,
    token: FromPath[str],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    upstreams: NamedDependency[Upstreams],
    newsletter_directory: NamedDependency[NewsletterDirectory],
) -> PageResponse:
    """A fault shows the page again with what was typed."""
    typed = (await _form(request, settings)).text("name")
    try:
        await _ask(upstreams, "/public/preferences/name", token, answer=_Preferences, body={"name": typed})
    except UpstreamRefusalError as refusal:
        return await _again(upstreams, responder, newsletter_directory, token, refusal, typed_name=typed)
    return responder.redirect(f"/preferences/{token}", flash=FlashCode.NAME_CHANGED)


@post("/preferences/{token:str}/address", status_code=200, include_in_schema=False)
async def ask_for_address(
    request: AnyRequest,
    token: FromPath[str],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    limits: NamedDependency[RateLimits],
    limiter: NamedDependency[Limiter],
    request_origin: NamedDependency[RequestOrigin],
    upstreams: NamedDependency[Upstreams],
    newsletter_directory: NamedDependency[NewsletterDirectory],
) -> PageResponse:
    """The same answer whether or not the address is in use. A fault shows the page again with what was typed."""
    typed = (await _form(request, settings)).text("email")
    await limiter.require([Charge("own-page", request_origin.rate_limit_subject(request), limits.signup_per_ip)])
    try:
        await _ask(upstreams, "/public/preferences/address", token, answer=_Preferences, body={"email": typed})
    except UpstreamRefusalError as refusal:
        return await _again(upstreams, responder, newsletter_directory, token, refusal, typed_email=typed)
    return responder.redirect(f"/preferences/{token}", flash=FlashCode.ADDRESS_ASKED)


@post("/preferences/{token:str}/download", status_code=200, include_in_schema=False)
async def download(
    request: AnyRequest,
    token: FromPath[str],
    settings: NamedDependency[GatewaySettings],
    upstreams: NamedDependency[Upstreams],
) -> Response[Any]:
    """All data held about the subscriber, as a file. A POST, so that nothing that follows links fetches it."""
    await drop_body(request, settings)
    found = await _ask(upstreams, "/public/preferences/export", token, answer=msgspec.Raw)
    return Response(
        msgspec.json.format(bytes(found), indent=2),
        media_type="application/json",
        headers={"Content-Disposition": 'attachment; filename="my-data.json"'},
    )


@route("/preferences/{token:str}/erase", http_method=["GET", "HEAD"], include_in_schema=False)
async def show_erase(
    token: FromPath[str], responder: NamedDependency[Responder], upstreams: NamedDependency[Upstreams]
) -> PageResponse:
    """What erasing means, and the button for it."""
    found = await _ask(upstreams, "/public/preferences/lookup", token, answer=_Preferences)
    return responder.page(ErasePage(action_path=f"/preferences/{token}", asked=found.language))


@post("/preferences/{token:str}/erase", status_code=200, include_in_schema=False)
async def erase(
    request: AnyRequest,
    token: FromPath[str],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    upstreams: NamedDependency[Upstreams],
) -> PageResponse:
    """Repeating it gets the same answer, for as long as the link would have worked. The form says the language of the
    page that held it: afterwards nobody knows any more which newsletters this person had.
    """
    language = await _language_of_form(request, settings)
    try:
        await _ask(upstreams, "/public/preferences/erase", token, answer=dict[str, Any])
    except UpstreamRefusalError as refusal:
        raise AddressChangesNowError("Press the button again in a moment.") from refusal
    return responder.page(ErasedPage(asked=language))


# From the mail to a new address ----------------------------------------------------------------------------------


@route("/change-of-address/{token:str}", http_method=["GET", "HEAD"], include_in_schema=False)
async def show_address_change(
    token: FromPath[str], responder: NamedDependency[Responder], upstreams: NamedDependency[Upstreams]
) -> PageResponse:
    found = await _ask(upstreams, "/public/address-changes/lookup", token, answer=_ChangeOfAddress)
    return responder.page(
        AddressChangePage(
            action_path=f"/change-of-address/{token}",
            new_email=found.new_email,
            is_confirmed=found.is_confirmed,
            asked=found.language,
        )
    )


@post("/change-of-address/{token:str}", status_code=200, include_in_schema=False)
async def confirm_address(
    request: AnyRequest,
    token: FromPath[str],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    upstreams: NamedDependency[Upstreams],
) -> PageResponse:
    await drop_body(request, settings)
    try:
        found = await _ask(upstreams, "/public/address-changes", token, answer=_ChangeOfAddress)
    except UpstreamRefusalError as refusal:
        raise AddressTakenError("Unsubscribe it with the link in a mail that it gets, then confirm again.") from refusal
    return responder.page(
        AddressChangePage(
            action_path=f"/change-of-address/{token}",
            new_email=found.new_email,
            is_confirmed=True,
            asked=found.language,
        )
    )


async def _ask(
    upstreams: Upstreams, path: str, token: str, *, answer: type[T], body: Mapping[str, object] | None = None
) -> T:
    """Ask subscriptions about a mailed link.

    Raises:
        UnknownLinkError: the token is unknown or too old.
        PersonErasedError
        UpstreamRefusalError: what was sent with it is invalid.
    """
    if not TOKEN.fullmatch(token):
        raise UnknownLinkError(_LINK_TOO_OLD)
    try:
        return await upstreams.call(
            "subscriptions",
            "POST",
            path,
            identity=PUBLIC_IDENTITY,
            answer=answer,
            body={"token": token, **(body or {})},
        )
    except UpstreamRefusalError as refusal:
        match refusal.slug:
            case "unknown-token":
                raise UnknownLinkError(_LINK_TOO_OLD) from refusal
            case "person-erased":
                raise PersonErasedError from refusal
            case _:
                raise


async def _only_look(directory: NewsletterDirectory, found: _Preferences) -> NewsletterLook | None:
    """The page concerns all newsletters. Whoever has one alone sees that one's look."""
    if len(found.newsletters) != 1:
        return None
    return await directory.look_of(found.newsletters[0].id, found.newsletters[0].name)


async def _again(
    upstreams: Upstreams,
    responder: Responder,
    directory: NewsletterDirectory,
    token: str,
    refusal: UpstreamRefusalError,
    *,
    typed_name: str | None = None,
    typed_email: str = "",
) -> PageResponse:
    """The current page, with what was typed and what is wrong with it."""
    found = await _ask(upstreams, "/public/preferences/lookup", token, answer=_Preferences)
    look = await _only_look(directory, found)
    page = _page(token, found, look, refusal=refusal, typed_name=typed_name, typed_email=typed_email)
    return responder.page(page, status=400)


def _page(
    token: str,
    found: _Preferences,
    look: NewsletterLook | None,
    *,
    refusal: UpstreamRefusalError | None = None,
    flashes: tuple[FlashCode, ...] = (),
    typed_name: str | None = None,
    typed_email: str = "",
) -> PreferencesPage:
    words = found.language if look is None else look.words
    errors = {} if refusal is None else in_words(errors_of(refusal), words)
    return PreferencesPage(
        action_path=f"/preferences/{token}",
        email=found.email,
        name=found.name,
        typed_name=found.name if typed_name is None else typed_name,
        typed_email=typed_email,
        newsletters=tuple(
            Membership(id=one.id, name=one.name, state=one.state, suppressed=one.suppressed)
            for one in found.newsletters
        ),
        pending_email=found.pending_email,
        flashes=flashes,
        errors=errors,
        form_error="" if refusal is None or errors else as_sentence(title_and_detail(refusal.problem, words)[0]),
        look=look,
        asked=found.language,
    )


async def _form(request: AnyRequest, settings: GatewaySettings) -> Form:
    return await read_form(
        request.receive, request.headers, max_bytes=FORM_BODY_MAX_BYTES, timeout_s=settings.body_timeout_s
    )


async def _language_of_form(request: AnyRequest, settings: GatewaySettings) -> Language:
    """Of a form that says one of ours; else the one that the browser asks for."""
    said = None
    if request.headers.get("content-type"):
        said = (await _form(request, settings)).get("language")
    else:
        await drop_body(request, settings)
    return next((one for one in LANGUAGES if one == said), language_asked(request))


OWN_HANDLERS: tuple[HTTPRouteHandler, ...] = (
    show_choices, leave_all_by_link, mail_link, show_preferences, leave, change_name, ask_for_address, download,
    show_erase, erase, show_address_change, confirm_address,
)  # fmt: skip
