"""Public pages besides the sign-up: links in mail, static files, the health check."""

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qs, quote

import msgspec
from litestar import Response, post, route
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from broadsheet_common.contracts.identity import PUBLIC_IDENTITY
from broadsheet_common.contracts.preview_link import PREVIEW_TOKEN
from broadsheet_common.contracts.suppression import SuppressionKind
from broadsheet_common.http.problems import MalformedRequestError, NotFoundError, ProblemError, UnauthenticatedError
from broadsheet_common.languages.language import Language, language_asked_for
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError, Upstreams
from broadsheet_gateway.http.forms import read_form
from broadsheet_gateway.http.request_body import read_body
from broadsheet_gateway.http.request_origin import RequestOrigin
from broadsheet_gateway.http.responses import AnyRequest, PageResponse, Responder
from broadsheet_gateway.pages import Pages
from broadsheet_gateway.pages.for_readers.newsletter_look import NewsletterLook
from broadsheet_gateway.pages.views import (
    ConfirmedPage,
    ConfirmPage,
    TestLinkPage,
    UnsubscribedPage,
    UnsubscribePage,
)
from broadsheet_gateway.settings import FORM_BODY_MAX_BYTES, GatewaySettings
from broadsheet_gateway.sign_up.newsletter_directory import NewsletterDirectory

TOKEN = re.compile(r"[A-Za-z0-9._~-]{1,200}")
_ISSUE = re.compile(r"[1-9][0-9]{0,17}")
_FIELDS_MAX = 20


class _Newsletter(msgspec.Struct, frozen=True):
    id: int
    name: str


class LinkState(msgspec.Struct, frozen=True):
    """What subscriptions answers about a link's token."""

    newsletter: _Newsletter
    state: Literal["pending", "confirmed", "unsubscribed"]
    suppressed: SuppressionKind | None = None
    """Why no issue is sent to the address."""


class UnknownLinkError(UnauthenticatedError):
    """A confirmation link with an unknown token, or one that is too old."""

    slug, title, status = "unknown-token", "This link is not valid or has expired", 401


@route("/health-check", http_method=["GET", "HEAD"], include_in_schema=False)
async def health_check() -> Response[str]:
    """The original's health check: 200 and nothing else."""
    return Response("", media_type="text/plain")


def field_errors(refusal: UpstreamRefusalError) -> dict[str, str]:
    """The refusal's `errors` by form field: a pointer `/email` is the field `email`."""
    return {error.pointer.removeprefix("/"): error.detail for error in refusal.problem.errors if error.pointer != ""}


@route("/subscriptions/confirm", http_method=["GET", "HEAD"], include_in_schema=False)
async def show_confirmation(
    request: AnyRequest,
    responder: NamedDependency[Responder],
    upstreams: NamedDependency[Upstreams],
    newsletter_directory: NamedDependency[NewsletterDirectory],
) -> PageResponse:
    """Shows a button and changes nothing: mail scanners open every link."""
    token = _query_token(request)
    if token == PREVIEW_TOKEN:
        return responder.page(TestLinkPage(asked=language_asked(request)))
    link = await _ask_about_confirmation(upstreams, "/public/confirmations/lookup", token)
    return responder.page(
        ConfirmPage(
            look=await newsletter_directory.look_of(link.newsletter.id, link.newsletter.name),
            token=token,
            state="confirmed" if link.state == "confirmed" else "pending",
            suppressed=link.suppressed,
        )
    )


@post("/subscriptions/confirm", status_code=200, include_in_schema=False)
async def confirm(
    request: AnyRequest,
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    upstreams: NamedDependency[Upstreams],
    request_origin: NamedDependency[RequestOrigin],
    newsletter_directory: NamedDependency[NewsletterDirectory],
) -> PageResponse:
    """Confirms; repeating it succeeds. The token is the credential: no cookie, no CSRF check."""
    token: str | None = None
    if request.headers.get("content-type"):
        form = await read_form(
            request.receive, request.headers, max_bytes=FORM_BODY_MAX_BYTES, timeout_s=settings.body_timeout_s
        )
        token = form.get("subscription_token")
    link = await _ask_about_confirmation(
        upstreams,
        "/public/confirmations",
        token or _query_token(request),
        visitor=request_origin.visitor(request),
    )
    look = await newsletter_directory.look_of(link.newsletter.id, link.newsletter.name)
    return responder.page(ConfirmedPage(look=look, suppressed=link.suppressed))


def _query_token(request: AnyRequest) -> str:
    tokens = request.query_params.getall("subscription_token", [])
    if len(tokens) != 1 or not tokens[0]:
        raise MalformedRequestError("The link is not complete: open it exactly as it is in the mail.")
    token: str = tokens[0]
    return token


async def _ask_about_confirmation(
    upstreams: Upstreams, path: str, token: str, **about: Mapping[str, str | None]
) -> LinkState:
    if not TOKEN.fullmatch(token):
        raise UnknownLinkError
    try:
        return await upstreams.call(
            "subscriptions", "POST", path, identity=PUBLIC_IDENTITY, answer=LinkState, body={"token": token, **about}
        )
    except UpstreamRefusalError as refusal:
        raise UnknownLinkError("Subscribe again to get a new one.") from refusal


class UnsubscribeLink(NamedTuple):
    """What an unsubscribe link holds. `issue_id`: the issue whose mail held it, for that issue's report alone.

    It stands before the token as `<issue>~` and is not signed: whoever writes another number, or none, leaves all the
    same. Links in older mails have none.
    """

    token: str
    issue_id: int | None


def parse_link(text: str) -> UnsubscribeLink:
    issue, separator, token = text.rpartition("~")
    return UnsubscribeLink(token, int(issue)) if separator and _ISSUE.fullmatch(issue) else UnsubscribeLink(text, None)


class FoundLink(NamedTuple):
    """What is known of an unsubscribe link: nothing of one that is unknown, or while subscriptions does not answer."""

    look: NewsletterLook | None = None
    has_left: bool = False


async def find_link(upstreams: Upstreams, directory: NewsletterDirectory, link_text: str) -> FoundLink:
    """The newsletter of an unsubscribe link, and whether it was left. The button works without either."""
    token = parse_link(link_text).token
    if not TOKEN.fullmatch(token):
        return FoundLink()
    try:
        link = await upstreams.call(
            "subscriptions", "POST", "/public/unsubscribes/lookup", identity=PUBLIC_IDENTITY, answer=LinkState,
            body={"token": token},
        )  # fmt: skip
    except (UpstreamRefusalError, ProblemError):
        return FoundLink()
    look = await directory.look_of(link.newsletter.id, link.newsletter.name)
    return FoundLink(look, has_left=link.state == "unsubscribed")


def language_asked(request: AnyRequest) -> Language:
    """The language of a page that belongs to no newsletter: what the browser asks for."""
    return language_asked_for(request.headers.get("accept-language", ""))


async def said_look(
    request: AnyRequest, settings: GatewaySettings, directory: NewsletterDirectory
) -> NewsletterLook | None:
    """The look of the page that held the form, as the form says. Nothing is asked about the link's token: the answer is
    the same for one that is not known. A mailbox provider's one click says no newsletter, and any body is taken.
    """
    body = await drop_body(request, settings)
    try:
        said = parse_qs(body.decode("ascii"), max_num_fields=_FIELDS_MAX).get("newsletter", [])
    except (ValueError, UnicodeDecodeError):
        return None
    return await directory.look_of_slug(said[0]) if len(said) == 1 else None


async def drop_body(request: AnyRequest, settings: GatewaySettings) -> bytes:
    """A button needs no data; a body that is sent all the same is read, within bounds."""
    return await read_body(
        request.receive, request.headers, max_bytes=FORM_BODY_MAX_BYTES, timeout_s=settings.body_timeout_s
    )


async def leave_by_link(upstreams: Upstreams, path: str, link_text: str) -> None:
    """Unsubscribe by a link, at this path of subscriptions. An unknown token gets the same answer."""
    token, issue_id = parse_link(link_text)
    if not TOKEN.fullmatch(token):
        return
    try:
        await upstreams.call(
            "subscriptions", "POST", path, identity=PUBLIC_IDENTITY, answer=dict[str, Any],
            body={"token": token} if issue_id is None else {"token": token, "issue_id": issue_id},
        )  # fmt: skip
    except UpstreamRefusalError as refusal:
        if refusal.status != NotFoundError.status:
            raise


@route("/unsubscribe/{token:str}", http_method=["GET", "HEAD"], include_in_schema=False)
async def show_unsubscribe(
    request: AnyRequest,
    token: FromPath[str],
    responder: NamedDependency[Responder],
    upstreams: NamedDependency[Upstreams],
    newsletter_directory: NamedDependency[NewsletterDirectory],
) -> PageResponse:
    """Shows a button and changes nothing. An unknown token gets the same page, without a name. Who has left already is
    told so: a button to leave would say that they had not.
    """
    if token == PREVIEW_TOKEN:
        return responder.page(TestLinkPage(asked=language_asked(request)))
    look, has_left = await find_link(upstreams, newsletter_directory, token)
    action_path = f"/unsubscribe/{quote(token, safe='')}"
    asked = language_asked(request)
    if has_left:
        return responder.page(UnsubscribedPage(choices_path=f"{action_path}/choices", look=look, asked=asked))
    return responder.page(UnsubscribePage(action_path=action_path, look=look, asked=asked))


@post("/unsubscribe/{token:str}", status_code=200, include_in_schema=False)
async def unsubscribe(
    request: AnyRequest,
    token: FromPath[str],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    upstreams: NamedDependency[Upstreams],
    newsletter_directory: NamedDependency[NewsletterDirectory],
) -> PageResponse:
    """One-click unsubscribe (RFC 8058): only the token counts, whatever the body holds and however it is encoded.

    No cookie is read or set, and there is no redirect. Repeating it and a wrong token get the same answer. Only a
    fault of ours is an error: 5xx, so that the mailbox provider tries again.
    """
    look = await said_look(request, settings, newsletter_directory)
    if token == PREVIEW_TOKEN:
        return responder.page(TestLinkPage(asked=language_asked(request)))
    await leave_by_link(upstreams, "/public/unsubscribes", token)
    return responder.page(UnsubscribedPage(look=look, asked=language_asked(request)))


@route("/static/{name:str}", http_method=["GET", "HEAD"], include_in_schema=False)
async def static_file(name: FromPath[str], pages: NamedDependency[Pages]) -> Response[bytes]:
    """The address holds the content's hash, so a browser may keep the file for ever."""
    found = pages.static_file(name)
    if found is None:
        raise NotFoundError
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "ETag": found.etag}
    media_type = found.media_type.partition(";")[0]  # Litestar adds the charset
    return Response(found.content, headers=headers, media_type=media_type)


@route(
    "/{path:path}", http_method=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"], include_in_schema=False
)
async def nothing_here(path: FromPath[str]) -> None:
    """Every other path: a route of its own, so that its 404s are traced and logged like all answers."""
    del path
    raise NotFoundError


PUBLIC_HANDLERS: tuple[HTTPRouteHandler, ...] = (
    health_check, show_confirmation, confirm, show_unsubscribe, unsubscribe, static_file, nothing_here,
)  # fmt: skip
