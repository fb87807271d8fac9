"""Whether the links of an issue can be reached, asked when an author wants to know.

Each address is asked for its headers (HEAD) and, where a site refuses that, for its page (GET), of which little is
read. Every connection goes through the guard of `broadsheet_common.outgoing`: nothing but public addresses, also
after a redirect. Sent are no cookie, no credentials, and no address that belongs to a reader: what holds a merge
field or a signature is passed over, and so is whatever is our own.
"""

import asyncio
import ssl
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final, Literal
from urllib.parse import urljoin

import aiohttp
import msgspec
from yarl import URL

from broadsheet_common.outgoing.guarded_session import AddressRefusedError, Lookup, guarded_session, look_up
from broadsheet_common.outgoing.target import TargetPolicy
from broadsheet_publishing.checks.finding import Finding

LINKS_MAX: Final = 100
AT_ONCE_MAX: Final = 8
AT_ONCE_OF_A_HOST_MAX: Final = 2
REDIRECTS_MAX: Final = 5
LINK_TIMEOUT_S: Final = 10.0
"""For one link, with its redirects."""
ALL_TIMEOUT_S: Final = 60.0
BODY_BYTES_MAX: Final = 16 * 1024
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_ASK_WITH_GET: Final = frozenset({400, 403, 404, 405, 406, 410, 429, 500, 501, 502, 503})
"""Answers to HEAD that do not count: sites that answer GET well give them."""
_DOUBTFUL: Final = frozenset({401, 402, 403, 406, 407, 408, 425, 429, 451, 999})
"""Sites answer programs so whose page people can read."""
_HEADERS: Final = {"User-Agent": "Broadsheet link check", "Accept": "text/html,*/*;q=0.5"}

LinkState = Literal["reachable", "doubtful", "unreachable", "not-checked"]


class LinkResult(msgspec.Struct, frozen=True, kw_only=True):
    """`status`: of the last answer; None: there was none. `detail`: a sentence, unless it is reachable."""

    url: str
    state: LinkState
    status: int | None = None
    detail: str = ""


async def check_links(
    urls: Iterable[str],
    policy: TargetPolicy,
    *,
    link_timeout_s: float = LINK_TIMEOUT_S,
    all_timeout_s: float = ALL_TIMEOUT_S,
    lookup: Lookup = look_up,
    ssl_context: ssl.SSLContext | None = None,
) -> list[LinkResult]:
    """One result for each different address, in order, within `all_timeout_s`. Never raises for what a site does.

    `urls`: as `askable` gives them. `policy` should allow http, for links that have it.
    """
    wanted = list(dict.fromkeys(urls))
    results: dict[str, LinkResult] = {}
    async with guarded_session(
        policy, threads_max=AT_ONCE_MAX, kept_connection_s=2.0, lookup=lookup, ssl_context=ssl_context
    ) as session:
        asker = _Asker(session, policy, link_timeout_s)
        tasks = [asyncio.create_task(asker.ask(url, results)) for url in wanted[:LINKS_MAX]]
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=all_timeout_s)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            for task in tasks:
                if not task.cancelled():
                    task.result()
    return [results.get(url) or _not_checked(url, "There was no time or room left for it.") for url in wanted]


class _Asker:
    def __init__(self, session: aiohttp.ClientSession, policy: TargetPolicy, timeout_s: float) -> None:
        self._session = session
        self._policy = policy
        self._timeout_s = timeout_s
        self._places = asyncio.Semaphore(AT_ONCE_MAX)
        self._hosts: dict[str, asyncio.Semaphore] = {}

    async def ask(self, url: str, results: dict[str, LinkResult]) -> None:
        host = self._hosts.setdefault(_host(url), asyncio.Semaphore(AT_ONCE_OF_A_HOST_MAX))
        # The host first: many links of one slow site must not take all places.
        async with host, self._places:
            results[url] = await self._ask(url)

    async def _ask(self, url: str) -> LinkResult:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._follow(url)
        except TimeoutError:
            return _unreachable(url, "It did not answer in time.")
        except _RefusedTargetError as error:
            return _not_checked(url, str(error))
        except aiohttp.ClientConnectorDNSError:
            return _unreachable(url, "Its host does not exist, or its name could not be looked up.")
        except aiohttp.ClientSSLError:
            return _unreachable(url, "Its certificate is not valid.")
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, AddressRefusedError):
                return _not_checked(url, "Its address is not public.")
            return _unreachable(url, "No connection could be made.")
        except (aiohttp.ClientError, OSError, ValueError):
            return _unreachable(url, "Its answer could not be read.")

    async def _follow(self, url: str) -> LinkResult:
        status, location = await self._answer("HEAD", url)
        method = "HEAD"
        here = url
        for _ in range(REDIRECTS_MAX + 2):
            if status in _ASK_WITH_GET and method == "HEAD":
                method = "GET"
            elif status in _REDIRECTS and location:
                here = urljoin(here, location)
            else:
                return _judged(url, status)
            status, location = await self._answer(method, here)
        return _unreachable(url, f"It redirects more than {REDIRECTS_MAX} times.", status)

    async def _answer(self, method: str, url: str) -> tuple[int, str | None]:
        """Status and `Location`. Of a page no more than its beginning is read."""
        try:
            target = self._policy.parse_url(url.partition("#")[0])
        except ValueError as error:
            raise _RefusedTargetError(str(error)) from error
        async with self._session.request(method, target, headers=_HEADERS, allow_redirects=False) as response:
            if method == "GET":
                left = BODY_BYTES_MAX
                while left > 0 and not response.content.at_eof():
                    left -= len(await response.content.read(left))
            # What was not read is not waited for.
            response.close()
            return response.status, response.headers.get("Location")


class _RefusedTargetError(Exception):
    """The policy does not let this address be asked. The message is a sentence."""


def _judged(url: str, status: int) -> LinkResult:
    if status < HTTPStatus.BAD_REQUEST:
        return LinkResult(url=url, state="reachable", status=status)
    if status in _DOUBTFUL:
        detail = f"It answered {status}, as sites do that let only people in: look at it yourself."
        return LinkResult(url=url, state="doubtful", status=status, detail=detail)
    return _unreachable(url, f"It answered {status}.", status)


def _unreachable(url: str, detail: str, status: int | None = None) -> LinkResult:
    return LinkResult(url=url, state="unreachable", status=status, detail=detail)


def _not_checked(url: str, detail: str) -> LinkResult:
    return LinkResult(url=url, state="not-checked", detail=detail)


def _host(url: str) -> str:
    try:
        return URL(url).host or ""
    except ValueError:
        return ""


def findings_of(results: Iterable[LinkResult]) -> list[Finding]:
    """What should be looked at. A link that was not checked says so."""
    found = []
    for result in results:
        if result.state == "unreachable":
            found.append(
                Finding(
                    code="link-unreachable",
                    severity="warns",
                    detail=f"'{result.url}' cannot be reached. {result.detail}",
                    advice="Open it, and correct it.",
                    field="content",
                    data={"href": result.url, "status": result.status or 0},
                )
            )
        elif result.state in {"doubtful", "not-checked"}:
            found.append(
                Finding(
                    code="check-did-not-run",
                    severity="warns",
                    detail=f"Whether '{result.url}' can be reached is not known. {result.detail}",
                    advice="Open it in a browser, and see that it is the right page.",
                    field="content",
                    data={"checks": ("links",), "href": result.url},
                )
            )
    return found
