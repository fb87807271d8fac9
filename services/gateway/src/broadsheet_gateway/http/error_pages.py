"""Errors for people: on page routes a browser gets a page; every other request gets the problem document."""

from collections.abc import Callable
from typing import Any, Final, cast
from urllib.parse import quote

import msgspec
from litestar import Request, Response
from litestar.types import ExceptionHandlersMap

from broadsheet_common.http.problems import PROBLEM_MEDIA_TYPE, Problem, ProblemError
from broadsheet_common.languages.language import Language, language_asked_for
from broadsheet_common.process.tracing import current_trace
from broadsheet_gateway.access.page_access import SecondFactorNeededError
from broadsheet_gateway.accounts.current_session import LoginNeededError, RecentAuthenticationNeededError
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError
from broadsheet_gateway.http.request_path import sent_path
from broadsheet_gateway.http.responses import CONFIRM_PATH, Responder
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.pages.for_readers.faults import title_and_detail
from broadsheet_gateway.pages.views import ErasedPage, ErrorPage
from broadsheet_gateway.reader.own_pages import PersonErasedError
from broadsheet_gateway.sign_up.newsletter_directory import NewsletterDirectory

SECOND_FACTOR_PATH: Final = "/admin/account/second-factor"
_MACHINE_PATHS = ("/api/", "/health/", "/webhooks/", "/openapi.json", "/metrics")
_AUTHORS_PATHS = ("/admin", "/login", "/logout", "/docs", "/password-reset", "/invitation", "/email-change")
_problem_decoder = msgspec.json.Decoder(Problem)

_Handler = Callable[[Request[Any, Any, Any], Exception], Response[Any]]


def error_handlers(
    problem_handlers: ExceptionHandlersMap, responder: Responder, directory: NewsletterDirectory
) -> ExceptionHandlersMap:
    """The given handlers, plus pages for browsers, for pages that need a login, and for erased subscribers."""

    def login_needed(_request: Request[Any, Any, Any], _error: Exception) -> Response[Any]:
        return responder.redirect("/login", flash=FlashCode.LOGIN_REQUIRED)

    def recent_authentication_needed(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        if not wants_html(request):
            return cast("_Handler", problem_handlers[ProblemError])(request, error)
        path = sent_path(request.scope) if request.method in {"GET", "HEAD"} else "/admin/dashboard"
        return responder.redirect(f"{CONFIRM_PATH}?next={quote(path)}")

    def second_factor_needed(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        if not wants_html(request):
            return cast("_Handler", problem_handlers[ProblemError])(request, error)
        return responder.redirect(SECOND_FACTOR_PATH)

    def person_erased(request: Request[Any, Any, Any], _error: Exception) -> Response[Any]:
        return responder.page(ErasedPage(asked=page_language(request, directory)), status=410)

    def refused_by_service(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        """A refusal that no page has words of its own for is shown as the service said it."""
        refusal = cast("UpstreamRefusalError", error)
        problem = refusal.problem
        if not wants_html(request):
            return Response(msgspec.json.encode(problem), status_code=refusal.status, media_type=PROBLEM_MEDIA_TYPE)
        view = error_page(problem, refusal.status, page_language(request, directory))
        return responder.page(view, status=refusal.status)

    handlers = {
        kind: _with_page(cast("_Handler", handler), responder, directory) for kind, handler in problem_handlers.items()
    }
    return cast(
        "ExceptionHandlersMap",
        {
            **handlers,
            LoginNeededError: login_needed,
            RecentAuthenticationNeededError: recent_authentication_needed,
            SecondFactorNeededError: second_factor_needed,
            PersonErasedError: person_erased,
            UpstreamRefusalError: refused_by_service,
        },
    )


def wants_html(request: Request[Any, Any, Any]) -> bool:
    """Whether a page, not a problem document, answers an error of this request."""
    return not sent_path(request.scope).startswith(_MACHINE_PATHS) and "text/html" in request.headers.get("accept", "")


def page_language(request: Request[Any, Any, Any], directory: NewsletterDirectory) -> Language:
    """Of an error: the newsletter's, on its own pages; elsewhere what the browser asks for. Pages of authors are in
    English.
    """
    path = sent_path(request.scope)
    if path.startswith(_AUTHORS_PATHS):
        return "en"
    found = directory.language_of_page(path)
    return found or language_asked_for(request.headers.get("accept-language", ""))


def error_page(problem: Problem, status: int, language: Language) -> ErrorPage:
    title, detail = title_and_detail(problem, language)
    return ErrorPage(status=status, title=title, detail=detail, request_id=current_trace().request_id, asked=language)


def _with_page(handler: _Handler, responder: Responder, directory: NewsletterDirectory) -> _Handler:
    def handle(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        response = handler(request, error)
        if not wants_html(request):
            return response
        problem = _problem_decoder.decode(cast("bytes", response.content))
        view = error_page(problem, problem.status, page_language(request, directory))
        headers = {name: value for name, value in response.headers.items() if name.lower() != "content-type"}
        return responder.page(view, status=problem.status, headers=headers)

    return handle
