"""Links are asked on request: bounded, to public addresses only, and without anything of a reader's."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest
from aiohttp import web

from broadsheet_common.outgoing.target import TargetPolicy
from broadsheet_publishing.checks.links.check_links import (
    AT_ONCE_OF_A_HOST_MAX,
    LINKS_MAX,
    LinkResult,
    LinkState,
    check_links,
)
from broadsheet_publishing.checks.links.link import askable
from broadsheet_publishing.checks.reading.liquid_markup import shield

# One address of this machine stands for what is public, every other one is what must not be reached.
ALLOWED = TargetPolicy((ip_network("127.0.0.1/32"),), allow_http=True)
Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Site:
    """A site on loopback that keeps what it was asked. A path `/status/<n>` answers with that status."""

    def __init__(self) -> None:
        self.asked: list[web.Request] = []
        self.handlers: dict[str, Handle] = {}
        self.at_once = 0
        self.at_once_max = 0
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        try:
            if (handler := self.handlers.get(request.path)) is not None:
                return await handler(request)
            return web.Response(status=int(request.match_info.get("status", "200")))
        finally:
            self.at_once -= 1

    def methods(self, path: str) -> list[str]:
        return [request.method for request in self.asked if request.path == path]


@asynccontextmanager
async def serving(host: str = "127.0.0.1") -> AsyncGenerator[Site]:
    site = Site()
    app = web.Application()
    app.router.add_route("*", "/status/{status}", site.handle)
    app.router.add_route("*", "/{path:.*}", site.handle)
    runner = web.AppRunner(app, shutdown_timeout=1.0, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, 0).start()
    site.url = f"http://{host}:{runner.addresses[0][1]}"
    try:
        yield site
    finally:
        await runner.cleanup()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with serving() as running:
        yield running


async def ask(url: str, *, timeout_s: float = 10.0) -> LinkResult:
    [result] = await check_links([url], ALLOWED, link_timeout_s=timeout_s)
    return result


@pytest.mark.parametrize(
    ("status", "state"), [(200, "reachable"), (204, "reachable"), (404, "unreachable"), (500, "unreachable"),
                          (403, "doubtful"), (429, "doubtful"), (999, "doubtful")]
)  # fmt: skip
async def test_the_answer_says_whether_a_page_is_there(site: Site, status: int, state: LinkState) -> None:
    result = await ask(f"{site.url}/status/{status}")
    assert (result.state, result.status) == (state, status)
    assert bool(result.detail) == (state != "reachable")


async def test_a_site_that_refuses_head_is_asked_for_the_page(site: Site) -> None:
    async def only_get(request: web.Request) -> web.StreamResponse:
        return web.Response(status=200 if request.method == "GET" else 405)

    site.handlers["/a"] = only_get
    assert (await ask(f"{site.url}/a")).state == "reachable"
    assert site.methods("/a") == ["HEAD", "GET"]
    await ask(f"{site.url}/b")
    assert site.methods("/b") == ["HEAD"]


async def test_redirects_are_followed_and_bounded(site: Site) -> None:
    async def onward(_: web.Request) -> web.StreamResponse:
        return web.Response(status=301, headers={"Location": "/status/200"})

    async def around(_: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": "/around"})

    site.handlers |= {"/onward": onward, "/around": around}
    assert (await ask(f"{site.url}/onward")).state == "reachable"
    assert (await ask(f"{site.url}/around")).state == "unreachable"
    assert len(site.methods("/around")) < 10


@pytest.mark.parametrize("scheme", ["http", "file", "gopher"])
async def test_a_redirect_leads_to_nothing_that_is_not_public(site: Site, scheme: str) -> None:
    async with serving("127.0.0.2") as inside:

        async def inward(_: web.Request) -> web.StreamResponse:
            return web.Response(status=302, headers={"Location": inside.url.replace("http", scheme, 1)})

        site.handlers["/inward"] = inward
        assert (await ask(f"{site.url}/inward")).state == "not-checked"
        assert inside.asked == []


async def test_a_name_that_leads_inside_is_not_asked() -> None:
    async with serving("127.0.0.2") as inside:
        port = inside.url.rpartition(":")[2]

        def lookup(_: str, to_port: int) -> list[tuple[object, object, int, str, tuple[object, ...]]]:
            import socket

            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", to_port))]

        [result] = await check_links([f"http://public.example:{port}/"], ALLOWED, lookup=lookup)
        assert result.state == "not-checked"
        assert inside.asked == []


async def test_no_cookie_no_credentials_and_no_fragment_are_sent(site: Site) -> None:
    async def gives_cookie(_: web.Request) -> web.StreamResponse:
        response = web.Response(status=302, headers={"Location": "/second"})
        response.set_cookie("id", "1")
        return response

    site.handlers["/first"] = gives_cookie
    assert (await ask(f"{site.url}/first#part")).state == "reachable"
    for request in site.asked:
        assert {"cookie", "authorization", "referer"} & {name.lower() for name in request.headers} == set()
    assert (await ask(site.url.replace("//", "//user:word@"))).state == "not-checked"


async def test_a_site_that_does_not_answer_is_waited_for_only_so_long(site: Site) -> None:
    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    site.handlers["/never"] = never
    assert (await ask(f"{site.url}/never", timeout_s=0.1)).state == "unreachable"
    [result] = await check_links([f"{site.url}/never"], ALLOWED, all_timeout_s=0.1)
    assert result.state == "not-checked"


async def test_of_a_page_that_never_ends_little_is_read(site: Site) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        if request.method == "HEAD":
            return web.Response(status=405)
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65_536)

    site.handlers["/endless"] = endless
    assert (await ask(f"{site.url}/endless")).state == "reachable"


async def test_few_links_of_a_site_are_asked_at_once_each_once_and_no_more_than_so_many(site: Site) -> None:
    urls = [f"{site.url}/{number}" for number in range(LINKS_MAX + 5)]
    results = await check_links([*urls, *urls], ALLOWED)
    assert [result.url for result in results] == urls
    assert [result.state for result in results].count("reachable") == LINKS_MAX
    assert {result.state for result in results[LINKS_MAX:]} == {"not-checked"}
    assert len(site.asked) == LINKS_MAX
    assert site.at_once_max <= AT_ONCE_OF_A_HOST_MAX


@pytest.mark.parametrize("url", ["http://[::1", "https://exa mple.org/", "http://127.0.0.1:1/", "http://x" + "x" * 70])
async def test_an_address_that_cannot_be_asked_is_a_result_too(url: str) -> None:
    assert (await ask(url)).state in {"unreachable", "not-checked"}


async def test_without_links_nothing_is_asked() -> None:
    assert await check_links([], ALLOWED) == []


def test_what_belongs_to_a_reader_or_is_our_own_is_never_asked() -> None:
    hrefs = [
        "https://example.org/a",
        " https://example.org/a ",
        "https://example.org/?id={{ subscriber.email }}",
        "{{ unsubscribe_url }}",
        "https://bucket.example/x.pdf?X-Amz-Signature=abc",
        "https://news.example.org/unsubscribe/1.abc",
        "https://news.example.org/archive",
        "mailto:office@example.org",
        "#part",
    ]
    liquid = shield("\n".join(hrefs))
    shielded = liquid.text.split("\n")
    assert askable(shielded, liquid, public_url="https://news.example.org") == ["https://example.org/a"]
