"""What people and the author do, over the gateway's public pages and API only."""

import asyncio
import re
import secrets
from collections.abc import Mapping
from typing import TypeVar

import httpx
import msgspec
from httpx_aiohttp import HttpxAiohttpClient

from broadsheet_local.demo.html_form import Form, post_form
from broadsheet_local.demo.issue_content import IssueContent
from broadsheet_local.errors import LaunchError

Shape = TypeVar("Shape")

REQUEST_TIMEOUT_S = 30.0
ATTEMPTS_MAX = 6
RETRY_AFTER_MAX_S = 10.0
CONNECTIONS_MAX = 64
# Temporary refusals: try again after the time that the answer gives.
PASSING = frozenset({httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE})
PASSING_READS = PASSING | {httpx.codes.BAD_GATEWAY, httpx.codes.GATEWAY_TIMEOUT}


class Counts(msgspec.Struct, frozen=True):
    """The API's `counts` of an issue; the last eight add up to the first."""

    audience: int
    pending: int
    in_flight: int
    accepted: int
    failed: int
    suppressed: int
    excluded: int
    uncertain: int
    cancelled: int

    @property
    def settled(self) -> int:
        return self.accepted + self.failed + self.suppressed + self.excluded + self.cancelled


class Issue(msgspec.Struct, frozen=True):
    id: int | str
    title: str
    status: str
    counts: Counts


class _Draft(msgspec.Struct, frozen=True):
    id: int | str
    slug: str | None
    faults: list[dict[str, object]]


class Finding(msgspec.Struct, frozen=True):
    """`severity`: blocks, warns or notes."""

    code: str
    severity: str
    detail: str


class Checks(msgspec.Struct, frozen=True):
    is_blocked: bool
    findings: list[Finding]


class Preview(msgspec.Struct, frozen=True):
    """Sizes are bytes of the two parts of one mail."""

    subject: str
    html_bytes: int
    text_bytes: int


class Newsletter(msgspec.Struct, frozen=True):
    id: int
    slug: str
    is_default: bool


class _NewsletterPage(msgspec.Struct, frozen=True):
    items: list[Newsletter]


class Gateway:
    """A browser's and an API caller's view of the gateway."""

    def __init__(self, url: str, api_key: str) -> None:
        self.url = url
        self._api_headers = {"Authorization": f"Bearer {api_key}"}
        self._client = HttpxAiohttpClient(
            base_url=url,
            timeout=REQUEST_TIMEOUT_S,
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX),
            trust_env=False,
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    async def sign_up(self, name: str, email: str) -> None:
        """The public form. Raises LaunchError unless it is accepted."""
        answer = await self._post("/subscriptions", {"name": name, "email": email})
        expect(answer, httpx.codes.OK, "signing up")

    async def confirm(self, link: str) -> None:
        """Open the link of the mail and press the button on its page."""
        page = await self._open(link, "a confirmation link")
        form = need_form(page, "/subscriptions/confirm", "the confirmation page")
        answer = await self._post(form.action, form.fields)
        expect(answer, httpx.codes.OK, "confirming")

    async def log_in(self, username: str, password: str) -> None:
        page = await self._open("/login", "the login page")
        form = need_form(page, "/login", "the login page")
        answer = await self._post("/login", form.fields | {"username": username, "password": password})
        expect(answer, httpx.codes.SEE_OTHER, "logging in")
        if answer.headers.get("location", "").startswith("/login"):
            raise LaunchError("logging in was refused")

    async def look(self, path: str) -> httpx.Response:
        """One GET as the browser makes it, whatever the answer is; redirects are not followed."""
        return await self._client.get(path)

    async def open_archive(self) -> Newsletter:
        """The default newsletter, whose issues can be read on the web from now on."""
        page = await self._call("GET", "/api/v1/newsletters", shape=_NewsletterPage)
        found = next(one for one in page.items if one.is_default)
        return await self._call(
            "PATCH",
            f"/api/v1/newsletters/{found.id}",
            {"has_archive": True},
            shape=Newsletter,
            headers={"If-Match": "*"},
        )

    async def create_draft(self, content: IssueContent) -> int | str:
        """Its id. Raises LaunchError when it has faults."""
        draft = {
            "title": content.title,
            "subject": content.subject,
            "preheader": content.preheader,
            "slug": content.slug,
            "format": "markdown",
            "content": content.markdown,
        }
        made = await self._call("POST", "/api/v1/issues", draft, shape=_Draft, status=httpx.codes.CREATED)
        if made.faults:
            raise LaunchError(f"the issue has faults: {made.faults}")
        return made.id

    async def check(self, issue_id: int | str) -> Checks:
        """What should be mended before the issue is sent."""
        return await self._call("POST", f"/api/v1/issues/{issue_id}/checks", {}, shape=Checks)

    async def preview(self, issue_id: int | str) -> Preview:
        """The issue as somebody with a value for every field will get it."""
        return await self._call("POST", f"/api/v1/issues/{issue_id}/preview", {}, shape=Preview)

    async def publish(self, issue_id: int | str) -> None:
        await self._call("POST", f"/api/v1/issues/{issue_id}/publish", shape=_Draft, status=httpx.codes.ACCEPTED)

    async def archive_path(self, newsletter: Newsletter, issue_id: int | str) -> str:
        """Where everybody can read the published issue; it was opened once."""
        issue = await self._call("GET", f"/api/v1/issues/{issue_id}", shape=_Draft)
        path = f"/newsletters/{newsletter.slug}/issues/{issue.slug}"
        await self._open(path, "the issue's page in the archive")
        return path

    async def issue(self, issue_id: int | str) -> Issue | None:
        """The issue with its counts; None while the service that owns it does not answer."""
        return await self._read(Issue, f"/api/v1/issues/{issue_id}")

    async def _call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        shape: type[Shape],
        status: int = httpx.codes.OK,
        headers: Mapping[str, str] | None = None,
    ) -> Shape:
        """A request to the API; a temporary refusal is retried under one idempotency key, within bounds."""
        sent_headers = {**self._api_headers, "Idempotency-Key": secrets.token_hex(16), **(headers or {})}
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                answer = await self._client.request(method, path, json=body, headers=sent_headers)
            except httpx.TransportError as error:
                raise LaunchError(f"{method} {path} got no answer: {type(error).__name__}") from error
            if answer.status_code not in PASSING or attempt == ATTEMPTS_MAX:
                expect(answer, status, f"{method} {path}")
                return _decoded(answer, path, shape)
            await asyncio.sleep(retry_after_s(answer, attempt))
        raise AssertionError("the loop returns at its last attempt")

    async def _read(self, shape: type[Shape], path: str) -> Shape | None:
        try:
            answer = await self._client.get(path, headers=self._api_headers)
        except httpx.TransportError:
            return None
        if answer.status_code in PASSING_READS:
            return None
        expect(answer, httpx.codes.OK, f"reading {path}")
        return _decoded(answer, path, shape)

    async def _open(self, path: str, what: str) -> httpx.Response:
        try:
            page = await self._client.get(path)
        except httpx.TransportError as error:
            raise LaunchError(f"{what} did not open: {type(error).__name__}") from error
        expect(page, httpx.codes.OK, f"opening {what}")
        return page

    async def _post(self, path: str, fields: Mapping[str, str]) -> httpx.Response:
        """Post a form; a temporary refusal is retried, within bounds."""
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                answer = await self._client.post(path, data=dict(fields), headers={"Origin": self.url})
            except httpx.TransportError as error:
                raise LaunchError(f"posting to {path} got no answer: {type(error).__name__}") from error
            if answer.status_code not in PASSING or attempt == ATTEMPTS_MAX:
                return answer
            await asyncio.sleep(retry_after_s(answer, attempt))
        raise AssertionError("the loop returns at its last attempt")


def _decoded(answer: httpx.Response, path: str, shape: type[Shape]) -> Shape:
    try:
        return msgspec.json.decode(answer.content, type=shape)
    except msgspec.DecodeError as error:
        raise LaunchError(f"{path} answered in another shape than documented: {error}") from error


def retry_after_s(answer: httpx.Response, attempt: int) -> float:
    """What Retry-After says in seconds, else doubling from 0.25 s; at most RETRY_AFTER_MAX_S."""
    raw = answer.headers.get("retry-after", "")
    wanted = float(raw) if re.fullmatch(r"\d+", raw) else 0.25 * 2.0**attempt
    return min(wanted, RETRY_AFTER_MAX_S)


def expect(answer: httpx.Response, status: int, doing: str) -> None:
    if answer.status_code != status:
        said = answer.text.strip()[:300]
        raise LaunchError(f"{doing} answered {answer.status_code} instead of {status}: {said}")


def need_form(page: httpx.Response, action: str, what: str) -> Form:
    form = post_form(page.text, action=action)
    if form is None:
        raise LaunchError(f"{what} has no form that posts to {action}")
    return form
