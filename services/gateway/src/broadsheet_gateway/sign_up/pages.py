"""The public sign-up: the home page, the page of each newsletter, the form that a newsletter's own site may hold."""

import re
import secrets
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import msgspec
from litestar import Response, post, route
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.types import Scope

from broadsheet_common.contracts.consent_wording import current_wording
from broadsheet_common.http.problems import (
    InvalidInputError,
    NotFoundError,
    ProblemError,
    UnavailableError,
    as_sentence,
)
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError
from broadsheet_gateway.http.forms import Form, read_form
from broadsheet_gateway.http.request_origin import RequestOrigin
from broadsheet_gateway.http.responses import AnyRequest, Responder, policy_of
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.pages.for_readers.archived_link import ArchivedLink
from broadsheet_gateway.pages.for_readers.faults import in_words, known_words, sign_up_fault
from broadsheet_gateway.pages.views import (
    CheckInboxPage,
    EmbedPage,
    FormProof,
    HomePage,
    NewsletterLink,
    PageView,
    SubscribeForm,
)
from broadsheet_gateway.reader.public_pages import field_errors
from broadsheet_gateway.settings import FORM_BODY_MAX_BYTES, GatewaySettings
from broadsheet_gateway.sign_up.cross_origin import is_script_that_wants_data, preflight_headers, sharing_headers
from broadsheet_gateway.sign_up.embed_form import WORDING_FIELD, embed_form
from broadsheet_gateway.sign_up.form_ticket import FormTickets
from broadsheet_gateway.sign_up.guard import SignUpGuard, mailbox_of
from broadsheet_gateway.sign_up.latest_issues import LatestIssues
from broadsheet_gateway.sign_up.newsletter_directory import (
    HOME_PATH,
    NAME_BEFORE_FIRST_ANSWER,
    NEWSLETTERS_PREFIX,
    NewsletterDirectory,
    PublicNewsletter,
)
from broadsheet_gateway.sign_up.send_sign_ups import SignUpForm, SignUpSender

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
NEWSLETTER_PATH = f"{NEWSLETTERS_PREFIX}{{slug:str}}"
UNDER_WAY_MAX = 200
"""Sign-ups of this process that are not answered yet: at a thousand a second, the last one waits for 0.2 s."""
PAGES_KEPT_MAX = 256
"""Rendered pages of this process; a newsletter has two."""

_WORDING = re.compile(r"[0-9]{1,6}")

AnyResponse = Response[Any]


class KeptForm(msgspec.Struct, frozen=True):
    """A page without the ticket that stands in it, and the headers that it needs."""

    before: bytes
    after: bytes
    headers: Mapping[str, str]


KeptPages = dict[Hashable, KeptForm]


class SignUpDesk:
    """What the handlers here share."""

    def __init__(
        self,
        *,
        settings: GatewaySettings,
        responder: Responder,
        guard: SignUpGuard,
        tickets: FormTickets,
        directory: NewsletterDirectory,
        latest: LatestIssues,
        sender: SignUpSender,
        request_origin: RequestOrigin,
    ) -> None:
        self._settings = settings
        self._responder = responder
        self._guard = guard
        self._tickets = tickets
        self._sender = sender
        self._request_origin = request_origin
        self.directory = directory
        self._latest = latest
        self._under_way = 0
        self._ticket_mark = secrets.token_hex(32)
        self._forms: KeptPages = {}
        self._answers: KeptPages = {}

    async def find(self, slug: str) -> PublicNewsletter:
        """Raises `NotFoundError`, or `UnavailableError` while no newsletter is known yet."""
        newsletter = await self.directory.find(slug) if _SLUG.fullmatch(slug) else None
        if newsletter is None:
            raise NotFoundError("There is no such newsletter.")
        return newsletter

    async def find_for_sign_up(self, slug: str) -> PublicNewsletter:
        """As `find`; but while none is known, subscriptions, which reads them itself, decides whether it exists."""
        try:
            return await self.find(slug)
        except UnavailableError:
            return PublicNewsletter(name=NAME_BEFORE_FIRST_ANSWER, slug=slug)

    def has_flash(self, scope: Scope) -> bool:
        """Whether a message is to be shown on the next page."""
        cookies = next((value for name, value in scope["headers"] if name == b"cookie"), b"")
        return self._responder.flash_name.encode() in cookies

    async def home_page(self, flashes: tuple[FlashCode, ...] = ()) -> AnyResponse:
        """The default newsletter's form, and the way to others that are listed."""
        newsletter = await self.directory.default()
        return self.page(
            newsletter,
            HOME_PATH,
            others=await self.directory.listed(),
            issues=await self._latest.of(newsletter),
            flashes=flashes,
        )

    async def newsletter_page(self, slug: str) -> AnyResponse:
        newsletter = await self.find(slug)
        return self.page(newsletter, newsletter.path, issues=await self._latest.of(newsletter))

    def is_full(self) -> bool:
        """Whether as many sign-ups are under way as may be (see `refuse_overload`)."""
        return self._under_way >= UNDER_WAY_MAX

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def sign_up_to_default(self, request: AnyRequest) -> AnyResponse:
        with self._counted():
            return await self.sign_up(request, await self.directory.default(), HOME_PATH)

    async def sign_up_to(self, request: AnyRequest, slug: str) -> AnyResponse:
        with self._counted():
            newsletter = await self.find_for_sign_up(slug)
            return await self.sign_up(request, newsletter, newsletter.path)

    def page(
        self,
        newsletter: PublicNewsletter,
        path: str,
        *,
        others: Sequence[PublicNewsletter] = (),
        issues: tuple[ArchivedLink, ...] | None = None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **shown: Any,
    ) -> AnyResponse:
        """`issues` None: those that are known."""
        links = tuple(NewsletterLink(one.name, one.path) for one in others)
        ticket = self._tickets.issue(path)
        latest = self._latest.known(newsletter) if issues is None else issues
        if any(shown.values()):
            view = self._form(newsletter, path, links, latest, ticket, **shown)
            return self._responder.page(view, status=status, headers=headers)
        kept = self._keep(
            self._forms,
            (newsletter, path, links, latest),
            lambda: self._form(newsletter, path, links, latest, self._ticket_mark),
        )
        return self._responder.rendered(
            kept.before + ticket.encode() + kept.after, status=status, headers={**kept.headers, **(headers or {})}
        )

    def _form(
        self,
        newsletter: PublicNewsletter,
        path: str,
        links: tuple[NewsletterLink, ...],
        issues: tuple[ArchivedLink, ...],
        ticket: str,
        **shown: Any,
    ) -> HomePage:
        look = newsletter.look
        wording = current_wording(look.words)
        return HomePage(
            look=look,
            action_path=path,
            proof=FormProof(ticket=ticket, wording_version=wording.version, wording=wording.text),
            heading=newsletter.sign_up_heading,
            text=newsletter.sign_up_text,
            button=newsletter.sign_up_button,
            tracking=newsletter.tracking_notice,
            issues=issues,
            others=links,
            **shown,
        )

    def _keep(self, kept: KeptPages, key: Hashable, make: Callable[[], PageView]) -> KeptForm:
        """What stands before and after the ticket: the same for every visitor, until the newsletter is changed."""
        found = kept.get(key)
        if found is None:
            if len(kept) >= PAGES_KEPT_MAX:
                kept.clear()
            # The mark is random: no newsletter's text can hold it.
            view = make()
            before, _, after = self._responder.render(view).partition(self._ticket_mark)
            found = kept[key] = KeptForm(before.encode(), after.encode(), policy_of(view))
        return found

    async def sign_up(self, request: AnyRequest, newsletter: PublicNewsletter, path: str) -> AnyResponse:
        """The same answer for a new and for a known address, and for a bot. A fault shows the form with what was
        typed.

        A script gets JSON, and may read it if its site is one of the newsletter's.

        """
        shared = sharing_headers(request.headers, newsletter.allowed_origins)
        for_script = is_script_that_wants_data(request.headers)
        try:
            form = await read_form(
                request.receive,
                request.headers,
                max_bytes=FORM_BODY_MAX_BYTES,
                timeout_s=self._settings.body_timeout_s,
            )
        except ProblemError as error:
            error.headers.update(shared)
            raise
        try:
            await self._take(request, form, newsletter, path)
        except UpstreamRefusalError as refusal:
            if any(error.pointer == "/newsletter" for error in refusal.problem.errors):
                raise NotFoundError("There is no such newsletter.", headers=shared) from refusal
            errors = in_words(field_errors(refusal), newsletter.look.words)
            if for_script:
                raise InvalidInputError(errors=refusal.problem.errors, headers=shared) from refusal
            return self.page(
                newsletter, path, status=400, headers=shared, form=_typed(form), errors=errors,
                form_error="" if errors else as_sentence(known_words(refusal.problem.title, newsletter.look.words)),
            )  # fmt: skip
        except ProblemError as error:
            error.headers.update(shared)
            if for_script:
                raise
            message = sign_up_fault(error, newsletter.look.words)
            return self.page(
                newsletter, path, status=error.status, headers=error.headers, form=_typed(form), form_error=message
            )
        if for_script:
            return Response({"status": "check_inbox"}, status_code=202, headers=shared)
        page_path = "/" if path == HOME_PATH else path
        page = self._keep(
            self._answers,
            (newsletter, page_path),
            lambda: CheckInboxPage(
                look=newsletter.look, page_path=page_path, inbox_url=self._settings.sandbox_inbox_url or ""
            ),
        )
        return self._responder.rendered(page.before, headers={**page.headers, **shared})

    async def _take(self, request: AnyRequest, form: Form, newsletter: PublicNewsletter, path: str) -> None:
        typed = _typed(form)
        passage = await self._guard.judge(
            form, form_name=path, subject=self._request_origin.rate_limit_subject(request)
        )
        if passage == "drop":
            return
        wording = form.text(WORDING_FIELD)
        await self._sender.send(
            SignUpForm(
                email=typed.email,
                name=typed.name,
                newsletter=None if path == HOME_PATH else newsletter.slug,
                wording_version=int(wording) if _WORDING.fullmatch(wording) else None,
                visitor={
                    **self._request_origin.visitor(request),
                    "form_url": form_url(request.headers, {self._settings.public_origin, *newsletter.allowed_origins}),
                },
            ),
            mailbox=mailbox_of(typed.email),
        )


def form_url(headers: Mapping[str, str], known_origins: set[str]) -> str | None:
    """The page that held the form, if it is reported and on a known site; its query may be personal and is cut."""
    referer = headers.get("referer", "")
    try:
        parts = urlsplit(referer)
        origin = f"{parts.scheme}://{parts.netloc}".lower()
    except ValueError:
        return None
    if origin in known_origins:
        return f"{origin}{parts.path or '/'}"
    named = headers.get("origin")
    return f"{named}/" if named in known_origins else None


def _typed(form: Form) -> SubscribeForm:
    return SubscribeForm(name=form.text("name"), email=form.text("email"))


@route("/", http_method=["GET", "HEAD"], include_in_schema=False)
async def home(
    request: AnyRequest, responder: NamedDependency[Responder], sign_up_desk: NamedDependency[SignUpDesk]
) -> AnyResponse:
    return await sign_up_desk.home_page(responder.flashes(request))


@post(HOME_PATH, status_code=200, include_in_schema=False)
async def subscribe(request: AnyRequest, sign_up_desk: NamedDependency[SignUpDesk]) -> AnyResponse:
    return await sign_up_desk.sign_up_to_default(request)


@route(HOME_PATH, http_method=["OPTIONS"], include_in_schema=False)
async def preflight_subscribe(request: AnyRequest, sign_up_desk: NamedDependency[SignUpDesk]) -> AnyResponse:
    return _preflight(request, await sign_up_desk.directory.default(), allow="POST, OPTIONS")


@route(NEWSLETTER_PATH, http_method=["GET", "HEAD"], include_in_schema=False)
async def newsletter_page(slug: FromPath[str], sign_up_desk: NamedDependency[SignUpDesk]) -> AnyResponse:
    return await sign_up_desk.newsletter_page(slug)


@post(NEWSLETTER_PATH, status_code=200, include_in_schema=False)
async def subscribe_to_newsletter(
    request: AnyRequest, slug: FromPath[str], sign_up_desk: NamedDependency[SignUpDesk]
) -> AnyResponse:
    return await sign_up_desk.sign_up_to(request, slug)


@route(NEWSLETTER_PATH, http_method=["OPTIONS"], include_in_schema=False)
async def preflight_newsletter(
    request: AnyRequest, slug: FromPath[str], sign_up_desk: NamedDependency[SignUpDesk]
) -> AnyResponse:
    return _preflight(request, await sign_up_desk.find(slug), allow="GET, HEAD, POST, OPTIONS")


@route("/newsletters/{slug:str}/embed", http_method=["GET", "HEAD"], include_in_schema=False)
async def embed_page(
    slug: FromPath[str],
    sign_up_desk: NamedDependency[SignUpDesk],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
) -> AnyResponse:
    """The form to copy into a page of the newsletter's own."""
    newsletter = await sign_up_desk.find(slug)
    action = f"{settings.public_url}{newsletter.path}"
    return responder.page(
        EmbedPage(
            look=newsletter.look,
            page_path=newsletter.path,
            snippet=embed_form(
                action=action,
                look=newsletter.look,
                button=newsletter.sign_up_button,
                tracking=newsletter.tracking_notice,
            ),
            origins=newsletter.allowed_origins,
        )
    )


def _preflight(request: AnyRequest, newsletter: PublicNewsletter, *, allow: str) -> AnyResponse:
    headers = preflight_headers(request.headers, newsletter.allowed_origins, method="POST")
    return Response(b"", status_code=204, headers={"Allow": allow, **headers}, media_type="text/plain")


# `answer_directly` answers the plain ones among them before they are called.
# A path's answer to OPTIONS comes before its other handlers: after them, Litestar would have made one of its own.
SIGN_UP_HANDLERS: tuple[HTTPRouteHandler, ...] = (
    preflight_subscribe, subscribe, preflight_newsletter, newsletter_page, subscribe_to_newsletter, embed_page, home,
)  # fmt: skip
