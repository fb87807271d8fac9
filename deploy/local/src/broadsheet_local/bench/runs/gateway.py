"""`bench gateway`: what the gateway answers a second, how soon and at what cost, and the services alone beside it."""

import asyncio
import os
from collections.abc import Callable, Sequence
from functools import partial
from urllib.parse import urlsplit

import httpx
import msgspec
from httpx_aiohttp import HttpxAiohttpClient

from broadsheet_common.contracts.identity import (
    IDENTITY_HEADER,
    PUBLIC_IDENTITY,
    Identity,
    IdentityMinter,
    ServiceName,
)
from broadsheet_common.contracts.link_token import LinkSigner
from broadsheet_common.contracts.permissions import GRANTABLE
from broadsheet_local.bench.inputs.visitors import Repeated, SignUpCalls, SignUps, Webhooks
from broadsheet_local.bench.measuring.database import connected
from broadsheet_local.bench.measuring.gateway_figures import GatewayFigures, Measured, Overload, slowness_ms
from broadsheet_local.bench.measuring.http_load import LOCALHOST, LoadFigures, Work, offer_load, raw_request
from broadsheet_local.bench.measuring.kept_sign_ups import count_kept, count_mails_left, count_still_subscribed
from broadsheet_local.bench.measuring.processes import ProcessMeter
from broadsheet_local.bench.runs.archive import publish_page
from broadsheet_local.demo.people import expect
from broadsheet_local.environment import WEBHOOK_USER
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.concurrency import in_thread
from broadsheet_local.supervision.supervisor import Say
from broadsheet_local.system import LocalSystem

CONNECTIONS = 32
OVERLOAD_CONNECTIONS = 512
OVERLOAD_FACTOR = 5
CROWD = tuple(f"127.0.1.{number}" for number in range(1, 65))
"""Where an overload comes from: the connections of one address have a bound, and an admin is not one of the crowd."""
READERS = 20_000
HELD_P99_MS = 100.0
HELD_PART = 0.99
"""A rate is held if so many of its requests are answered rightly before its time is over."""
PARTS_OF_MOST = (0.9, 0.85, 0.8, 0.75, 0.6)
"""The rates that are tried, of the most that the connections carried without a rate."""
QUIET_PER_S = 50.0
"""The rate at which nobody waits for anybody else: the time of one request alone."""
MAILS_TIMEOUT_S = 120.0
POLL_S = 0.5
ADMIN_PAGES_PER_S = 5.0
LOGIN_TIMEOUT_S = 30.0
US_PER_S = 1_000_000

PAGE_BYTES_MIN = 1_000
LIST_ROWS = 50
_API_CALLER = Identity(subject="key:1", scopes=GRANTABLE)

_READERS = """
WITH reader AS (
    INSERT INTO subscriptions.subscriber (email, email_key, name)
    SELECT address, address, 'Reader ' || number
      FROM generate_series(1, %s) AS number, format('member-%%s@example.com', number) AS address
    RETURNING id)
INSERT INTO subscriptions.subscription (newsletter_id, subscriber_id, state, confirmed_at)
SELECT 1, id, 'confirmed', now() FROM reader RETURNING id, subscriber_id
"""


class _Asking:
    """Addresses and credentials of one system."""

    def __init__(self, system: LocalSystem) -> None:
        self.system = system
        self.gateway = _host_and_port(system.addresses.gateway_url)
        self.subscriptions = ("127.0.0.1", system.addresses.subscriptions_port)
        self.publishing = ("127.0.0.1", system.addresses.publishing_port)
        self.key = {"Authorization": f"Bearer {system.credentials.api_key}"}
        self._minter = IdentityMinter(system.credentials.identity_private_key_file.read_text())

    def identity(self, identity: Identity, service: ServiceName) -> dict[str, str]:
        """The header of a service's caller; it is good for a minute."""
        return {IDENTITY_HEADER: self._minter.mint(identity, service)}


def _host_and_port(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 80


def _host(address: tuple[str, int]) -> str:
    return f"{address[0]}:{address[1]}"


async def measure_gateway(system: LocalSystem, seconds: int, only: Sequence[str], say: Say) -> GatewayFigures:
    """`only`: which of `GATEWAY_LOADS`; the figures of the others are 0 or missing."""
    load_before = round(os.getloadavg()[0], 2)
    slow_before = slowness_ms()
    bench = _Bench(system, seconds=seconds, say=say)
    through: dict[str, Measured] = {}
    alone: dict[str, Measured] = {}
    lost: dict[str, int] = {}
    path = await publish_page(system) if "archive" in only else ""
    readers = await in_thread(partial(_add_readers, system.database_url))
    if "sign_up" in only:
        through["sign_up"], through["form"], alone["form"], lost["sign_ups"] = await bench.sign_ups()
    if "read" in only:
        through["read"], alone["read"] = await bench.reads([subscriber_id for _, subscriber_id in readers])
    if "list" in only:
        through["list"], alone["list"] = await bench.lists()
    if "archive" in only:
        through["archive"], alone["archive"] = await bench.archive(path)
    if "one_click" in only:
        through["one_click"], alone["one_click"], lost["one_clicks"] = await bench.one_clicks(
            [subscription_id for subscription_id, _ in readers]
        )
    if "webhook" in only:
        through["webhook"] = await bench.webhooks()
    overload = None
    if "overload" in only:
        knee = through["sign_up"].most_per_s if "sign_up" in through else 0.0
        overload = await bench.overload(knee)
        lost["sign_ups_of_overload"] = overload.lost

    def rate(kind: str) -> float:
        return through[kind].per_s if kind in through else 0.0

    return GatewayFigures(
        sign_ups_per_s=rate("sign_up"),
        sign_up_p99_ms=through["sign_up"].ms_p99 if "sign_up" in through else 0.0,
        sign_ups_lost=lost.get("sign_ups", 0),
        reads_per_s=rate("read"),
        lists_per_s=rate("list"),
        archive_per_s=rate("archive"),
        one_click_per_s=rate("one_click"),
        webhooks_per_s=rate("webhook"),
        hop_ratio=round(through["read"].quiet_ms_p50 / alone["read"].quiet_ms_p50, 2) if "read" in through else 0.0,
        cpu_us_by_process=through["sign_up"].cpu_us if "sign_up" in through else {},
        connections=CONNECTIONS,
        seconds=seconds,
        processors=os.cpu_count() or 1,
        load_before=load_before,
        slowness=round((slow_before + slowness_ms()) / 2, 1),
        through_gateway=through,
        service_alone=alone,
        overload=overload,
        lost=lost,
    )


def _add_readers(url: str) -> list[tuple[int, int]]:
    """Confirmed readers: the ids of their subscriptions and of themselves."""
    with connected(url) as connection:
        readers = connection.execute(_READERS, (READERS,)).fetchall()
        connection.execute("ANALYZE subscriptions.subscriber, subscriptions.subscription")
    return [(int(subscription_id), int(subscriber_id)) for subscription_id, subscriber_id in readers]


class _Bench:
    def __init__(self, system: LocalSystem, *, seconds: int, say: Say) -> None:
        self._system = system
        self._asking = _Asking(system)
        self._seconds = seconds
        self._say = say

    async def sign_ups(self) -> tuple[Measured, Measured, Measured, int]:
        gateway, service = self._asking.gateway, self._asking.subscriptions
        made: list[SignUps | SignUpCalls] = []

        def with_pages() -> Work:
            made.append(SignUps(_host(gateway), run=f"visitor{len(made)}", with_pages=True))
            return made[-1]

        def forms_only() -> Work:
            made.append(SignUps(_host(gateway), run=f"form{len(made)}", with_pages=False))
            return made[-1]

        def at_the_service() -> Work:
            public = self._asking.identity(PUBLIC_IDENTITY, "subscriptions")
            made.append(SignUpCalls(_host(service), public, run=f"call{len(made)}"))
            return made[-1]

        self._say("sign-ups, a page with a ticket before each")
        sign_ups = await self._measure("sign_up", with_pages, gateway, settle=self._mails_sent, requests_each=2)
        self._say("sign-ups without a page of their own")
        forms = await self._measure("sign_up", forms_only, gateway, settle=self._mails_sent)
        self._say("sign-ups at the service alone")
        alone = await self._measure("sign_up", at_the_service, service, settle=self._mails_sent)
        acknowledged = [address for one in made for address in one.acknowledged]
        return sign_ups, forms, alone, await self._lost(acknowledged)

    async def reads(self, ids: list[int]) -> tuple[Measured, Measured]:
        return await self._both(
            "read",
            [f"/api/v1/subscribers/{subscriber_id}" for subscriber_id in ids[:: max(1, len(ids) // 5_000)]],
            check=lambda _, body: body.startswith(b'{"id":'),
        )

    async def lists(self) -> tuple[Measured, Measured]:
        paths = [
            f"/api/v1/subscribers?limit={LIST_ROWS}",
            f"/api/v1/subscribers?limit={LIST_ROWS}&newsletter_id=1&state=confirmed",
        ]
        return await self._both("list", paths, check=lambda _, body: body.count(b'"email":') == LIST_ROWS)

    async def _both(
        self, kind: str, paths: list[str], *, check: Callable[[int, bytes], bool]
    ) -> tuple[Measured, Measured]:
        gateway, service = self._asking.gateway, self._asking.subscriptions

        # The identity lives for a minute: minted anew for each load.
        def at_the_service() -> Work:
            identity = self._asking.identity(_API_CALLER, "subscriptions")
            return Repeated(
                kind, [raw_request("GET", p, host=_host(service), headers=identity) for p in paths], check=check
            )

        def at_the_gateway() -> Work:
            return Repeated(
                kind, [raw_request("GET", p, host=_host(gateway), headers=self._asking.key) for p in paths], check=check
            )

        self._say(f"{kind}: through the gateway")
        through = await self._measure(kind, at_the_gateway, gateway)
        self._say(f"{kind}: the service alone")
        return through, await self._measure(kind, at_the_service, service)

    async def archive(self, path: str) -> tuple[Measured, Measured]:
        gateway, service = self._asking.gateway, self._asking.publishing
        request = raw_request("GET", path, host=_host(gateway), headers={"Accept-Encoding": "identity"})
        self._say("pages of the archive")
        through = await self._measure(
            "archive",
            lambda: Repeated("archive", [request], check=lambda _, body: len(body) > PAGE_BYTES_MIN),
            gateway,
        )
        _, _, newsletter, _, issue = path.split("/")

        def at_the_service() -> Work:
            identity = self._asking.identity(PUBLIC_IDENTITY, "publishing")
            target = f"/public/archive/{newsletter}/issues/{issue}"
            return Repeated("archive", [raw_request("GET", target, host=_host(service), headers=identity)])

        self._say("the same from the service alone, which keeps nothing")
        return through, await self._measure("archive", at_the_service, service)

    async def one_clicks(self, subscription_ids: list[int]) -> tuple[Measured, Measured, int]:
        gateway, service = self._asking.gateway, self._asking.subscriptions
        signer = LinkSigner.parse(self._system.credentials.link_signing_keys_file.read_text())
        tokens = [signer.sign("unsubscribe", one) for one in subscription_ids]
        half = len(tokens) // 2
        body = b"List-Unsubscribe=One-Click"
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        # One list for all loads of this kind: nobody leaves twice unless all have left.
        clicks = Repeated(
            "one_click",
            [
                raw_request("POST", f"/unsubscribe/{token}", host=_host(gateway), headers=form, body=body)
                for token in tokens[:half]
            ],
        )
        self._say("one-click unsubscribes")
        through = await self._measure("one_click", lambda: clicks, gateway)
        identity = self._asking.identity(PUBLIC_IDENTITY, "subscriptions")
        as_json = {"Content-Type": "application/json", **identity}
        calls = Repeated(
            "one_click",
            [
                raw_request(
                    "POST",
                    "/public/unsubscribes",
                    host=_host(service),
                    headers=as_json,
                    body=msgspec.json.encode({"token": token}),
                )
                for token in tokens[half:]
            ],
        )
        self._say("the same at the service alone")
        alone = await self._measure("one_click", lambda: calls, service)
        left = [*subscription_ids[: min(half, clicks.right)], *subscription_ids[half : half + calls.right]]
        return through, alone, await in_thread(partial(count_still_subscribed, self._system.database_url, left))

    async def webhooks(self) -> Measured:
        gateway = self._asking.gateway
        password = self._system.credentials.webhook_password_file.read_text()
        runs = iter(range(1_000))

        def events() -> Webhooks:
            return Webhooks(_host(gateway), user=WEBHOOK_USER, password=password, run=f"bench-{next(runs)}")

        self._say("webhooks")
        return await self._measure("webhook", events, gateway)

    async def overload(self, knee_per_s: float) -> Overload:
        """Forms only, on many connections, and an admin who looks at a page all the while."""
        gateway = self._asking.gateway
        if not knee_per_s:
            # The first load only warms everything up.
            for run in ("warm-up", "knee"):
                most = await self._offer(SignUps(_host(gateway), run=run, with_pages=False), gateway, rate_per_s=None)
                knee_per_s = most.kinds["sign_up"].answered_per_s
        self._say(f"five times the {knee_per_s:.0f} sign-ups a second that are carried")
        work = SignUps(_host(gateway), run="over", with_pages=False)
        page = await self._dashboard()
        admin = Repeated("admin", [page], check=lambda _, body: b"</html>" in body)
        found, seen = await asyncio.gather(
            self._offer(
                work,
                gateway,
                rate_per_s=OVERLOAD_FACTOR * knee_per_s,
                connections=OVERLOAD_CONNECTIONS,
                sources=CROWD,
            ),
            self._offer(admin, gateway, rate_per_s=ADMIN_PAGES_PER_S, connections=1),
        )
        pages = seen.kinds["admin"]
        await self._mails_sent()
        forms = found.kinds["sign_up"]
        return Overload(
            offered_per_s=found.offered_per_s,
            taken_per_s=forms.answered_per_s,
            taken_ms_p99=forms.ms_p99,
            refused=forms.refused,
            refused_ms_p99=forms.refused_ms_p99,
            wrong=forms.wrong,
            lost=await self._lost(work.acknowledged),
            admin_pages=pages.asked,
            admin_ms_p99=pages.ms_p99,
            admin_wrong=pages.wrong + pages.refused,
        )

    async def _dashboard(self) -> bytes:
        """A signed-in user's request for the dashboard."""
        url = self._system.addresses.gateway_url
        login = {"username": self._system.username, "password": self._system.password}
        async with HttpxAiohttpClient(base_url=url, trust_env=False, timeout=LOGIN_TIMEOUT_S) as client:
            signed_in = await client.post("/login", data=login, headers={"Origin": url})
            expect(signed_in, httpx.codes.SEE_OTHER, "signing in")
            cookies = "; ".join(f"{name}={value}" for name, value in signed_in.cookies.items())
        return raw_request("GET", "/admin/dashboard", host=_host(self._asking.gateway), headers={"Cookie": cookies})

    async def _measure(
        self,
        kind: str,
        make: Callable[[], Work],
        where: tuple[str, int],
        *,
        settle: Callable[[], object] | None = None,
        requests_each: int = 1,
    ) -> Measured:
        """`settle`: waits until what the load has caused is done, which belongs to its cost. `requests_each`: how many
        requests, all but one of another kind, belong to one of this kind.
        """
        # Connections, statements and templates are ready before anything is measured.
        await self._offer(make(), where, rate_per_s=None, seconds=1.0)
        quiet = await self._offer(make(), where, rate_per_s=QUIET_PER_S * requests_each, seconds=2.0)
        most = await self._offer(make(), where, rate_per_s=None, seconds=max(1.0, self._seconds / 2))
        await self._settled(settle)
        most_of_kind = most.kinds[kind]
        for part in PARTS_OF_MOST:
            rate_per_s = most_of_kind.answered_per_s * part
            meter = ProcessMeter(self._system.process_ids(), samples_memory=False)
            async with meter:
                found = await self._offer(make(), where, rate_per_s=rate_per_s * requests_each)
                await self._settled(settle)
            mine = found.kinds[kind]
            is_held = mine.ms_p99 <= HELD_P99_MS and mine.answered_per_s >= HELD_PART * rate_per_s
            if is_held or part == PARTS_OF_MOST[-1]:
                break
        else:
            raise AssertionError("there are rates to try")
        times = max(1, mine.asked)
        cpu_us = {name: use.cpu_s * US_PER_S / times for name, use in meter.uses.items()}
        cpu_us["total"] = sum(cpu_us.values())
        wrong = sum(one.wrong for load in (quiet, most, found) for one in load.kinds.values())
        measured = Measured(
            per_s=mine.answered_per_s,
            ms_p50=mine.ms_p50,
            ms_p99=mine.ms_p99,
            is_held=is_held,
            refused=mine.refused,
            wrong=wrong,
            most_per_s=most_of_kind.answered_per_s,
            most_ms_p99=most_of_kind.ms_p99,
            quiet_ms_p50=quiet.kinds[kind].ms_p50,
            cpu_us={name: round(us, 1) for name, us in cpu_us.items()},
        )
        self._say(
            f"  {measured.per_s:,.0f} a second, p50 {measured.ms_p50:.1f} ms, p99 {measured.ms_p99:.1f} ms; at most "
            f"{measured.most_per_s:,.0f}; {measured.cpu_us['total']:,.0f} µs of CPU each"
        )
        return measured

    async def _offer(
        self,
        work: Work,
        where: tuple[str, int],
        *,
        rate_per_s: float | None,
        seconds: float | None = None,
        connections: int = CONNECTIONS,
        sources: Sequence[str] = (LOCALHOST,),
    ) -> LoadFigures:
        load = partial(
            offer_load,
            work,
            url=where,
            connections=connections,
            rate_per_s=rate_per_s,
            seconds=float(self._seconds) if seconds is None else seconds,
            sources=sources,
        )
        try:
            return await in_thread(load)
        except OSError as error:
            raise LaunchError(f"no connection to {_host(where)}: {error}") from error

    async def _settled(self, settle: Callable[[], object] | None) -> None:
        if settle is not None:
            await settle()  # type: ignore[misc]

    async def _mails_sent(self) -> None:
        """Until every confirmation mail is settled. Raises LaunchError when that takes too long."""
        async with asyncio.timeout(MAILS_TIMEOUT_S):
            left = 1
            while left:
                await asyncio.sleep(POLL_S)
                left = await in_thread(partial(count_mails_left, self._system.database_url))

    async def _lost(self, acknowledged: list[str]) -> int:
        kept = await in_thread(partial(count_kept, self._system.database_url, acknowledged))
        return len(acknowledged) - kept
