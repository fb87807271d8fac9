"""`bench subscribers`: pages, searches and counts of a long list, through the service's own API in this process.

Nothing else runs, so that what is timed is a request from its first byte to its answer, and not a wait for
others. Every answer is compared with the computed one.
"""

import bisect
import gc
import random
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self, cast

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from litestar import Litestar

from broadsheet_common.contracts.identity import IDENTITY_HEADER, Identity, IdentityMinter
from broadsheet_common.contracts.permissions import parse_permissions
from broadsheet_common.http.pagination import encode_cursor
from broadsheet_common.process.database import create_engine
from broadsheet_common.process.logs import configure_logs
from broadsheet_common.process.settings import load_settings
from broadsheet_local.bench.inputs.many_subscribers import CLUSTERED_TAG, ISSUE_ID, Facts, write_subscribers
from broadsheet_local.bench.measuring.claim_log import percentile
from broadsheet_local.bench.measuring.database import connected
from broadsheet_local.bench.measuring.figures import RequestTimes, SubscriberFigures
from broadsheet_local.bench.measuring.own_postgres import own_postgres
from broadsheet_local.embedded.postgres import EmbeddedPostgres
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.concurrency import in_thread
from broadsheet_local.supervision.supervisor import Say
from broadsheet_subscriptions.app import create_app
from broadsheet_subscriptions.segments.freeze_audience import freeze_audiences
from broadsheet_subscriptions.settings import SubscriptionsSettings

SEED = 1
PAGE_SIZE = 50
PREFIX_CHARS_MAX = 6
MS_PER_S = 1_000
WARM_UP = 20
BATCH_ITEMS = 1_000
BATCHES = 5
DB_PASSWORD = "bench"  # noqa: S105  # of a database that lives for this measurement, on loopback

Query = dict[str, str | int]
Expected = Callable[[Facts], bool]

_VIP_AGE, _RECENT_DAYS = 40, 30


def _country(value: str) -> dict[str, Any]:
    return {"field": "attribute", "name": "country", "op": "eq", "value": value}


_OPENED = {"field": "engagement", "event": "opened", "issue_id": ISSUE_ID}
TREES: dict[str, tuple[dict[str, Any], Expected]] = {
    "everybody": ({"all": []}, lambda _: True),
    "text": (_country("fr"), lambda one: one.country == "FR"),
    "number": (
        {"field": "attribute", "name": "age", "op": "ge", "value": _VIP_AGE},
        lambda one: one.age >= _VIP_AGE,
    ),
    "tag": ({"field": "tag", "op": "has", "value": "common"}, lambda one: "common" in one.tags),
    "name_contains": ({"field": "name", "op": "contains", "value": "zu"}, lambda one: "zu" in one.name.lower()),
    "domain": (
        {"field": "email", "op": "domain", "value": ["d1.example.com", "d7.example.com"]},
        lambda one: one.n % 50 in {1, 7},
    ),
    "state": (
        {"field": "subscription", "newsletter_id": 1, "state": "pending"},
        lambda one: one.state == "pending",
    ),
    "opened_issue": (_OPENED, lambda one: one.opened),
    "did_not_open_lately": (
        {"not": {"field": "engagement", "event": "opened", "within_days": _RECENT_DAYS}},
        lambda one: one.opened_days_ago is None or one.opened_days_ago > _RECENT_DAYS,
    ),
    "all_of_it": (
        {
            "all": [
                {"any": [_country("fr"), _country("de"), {"field": "tag", "op": "has", "value": "rare"}]},
                {"field": "attribute", "name": "age", "op": "between", "value": [20, 60]},
                {"not": {"field": "engagement", "event": "opened", "within_days": _RECENT_DAYS}},
                {"field": "engagement", "event": "received", "issue_id": ISSUE_ID},
                {"field": "subscription", "newsletter_id": 2, "state": "none"},
            ]
        },
        lambda one: (
            (one.country in {"FR", "DE"} or "rare" in one.tags)
            and 20 <= one.age <= 60  # noqa: PLR2004  # the tree's own
            and (one.opened_days_ago is None or one.opened_days_ago > _RECENT_DAYS)
            and one.received
            and not one.on_second
        ),
    ),
}


async def measure_subscribers(*, count: int, requests: int, counts: int, say: Say) -> SubscriberFigures:
    """Raises LaunchError when a request fails; wrong answers are counted."""
    async with own_postgres(SUBSCRIPTIONS_DB_PASSWORD=DB_PASSWORD) as postgres:
        return await _measure(postgres, count=count, requests=requests, counts=counts, say=say)


async def _measure(
    postgres: EmbeddedPostgres, *, count: int, requests: int, counts: int, say: Say
) -> SubscriberFigures:
    say(f"writing {count:,} subscribers")
    await in_thread(lambda: _fill(postgres.url, count))
    configure_logs(service="bench", log_format="json", level="WARNING")
    key = Ed25519PrivateKey.generate()
    settings = _settings(postgres, key)
    app = create_app(settings)
    async with _Api(app, key) as api:
        say(f"asking for pages, {requests:,} of each kind")
        judge = _Judge(count)
        pages = {kind: await _time_pages(api, kind, judge, requests=requests) for kind in _KINDS}
        searches = {name: await _time_searches(api, name, judge, requests=requests) for name in _SEARCHED}
        say(f"counting segments, {counts:,} times each")
        found = {name: await _time_counts(api, name, judge, times=counts) for name in TREES}
        previews = await _time_counts(api, "all_of_it", judge, times=counts, newsletter_id=1)
        say(f"writing batches of {BATCH_ITEMS:,}, {BATCHES} of each kind")
        batches = {kind: await _time_batches(api, kind, judge) for kind in ("create", "change")}
    say("freezing the audience of an issue")
    freeze_s, wrong_members = await _time_freeze(postgres.url, settings, count)
    return SubscriberFigures(
        subscribers=count,
        page_ms=pages,
        search_ms=searches,
        segment_count_ms=found,
        audience_preview_ms=previews,
        batch_ms=batches,
        freeze_audience_seconds=round(freeze_s, 2),
        wrong_answers=judge.wrong + wrong_members,
    )


def _fill(url: str, count: int) -> None:
    with connected(url) as connection:
        write_subscribers(connection, count)


def _settings(postgres: EmbeddedPostgres, key: Ed25519PrivateKey) -> SubscriptionsSettings:
    public_key = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return load_settings(
        SubscriptionsSettings,
        {
            "BROADSHEET_ENV": "local",
            "BIND_PORT": "1",
            "DATABASE_URL": postgres.url_for("broadsheet_subscriptions", DB_PASSWORD),
            "PUBLIC_URL": "http://127.0.0.1",
            "IDENTITY_PUBLIC_KEY": public_key.decode(),
            **{
                name: f"bench:{secrets.token_hex(32)}"
                for name in ("LINK_SIGNING_KEYS", "ERASURE_KEYS", "SECRET_ENCRYPTION_KEYS")
            },
        },
    )


class _Api:
    """The service's routes without a socket; its background loops do not run."""

    def __init__(self, app: Litestar, key: Ed25519PrivateKey) -> None:
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(cast("Any", app)), base_url="http://bench")
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        self._minter = IdentityMinter(pem)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def list(self, query: Query) -> tuple[dict[str, Any], float]:
        """The answer, and how long it took in milliseconds."""
        return await self._request("GET", "/api/v1/subscribers", params=query)

    async def search(self, tree: dict[str, Any], query: Query) -> tuple[dict[str, Any], float]:
        return await self._request("POST", "/api/v1/subscribers/search", json={"filter": tree, **query})

    async def count(self, body: dict[str, Any]) -> tuple[dict[str, Any], float]:
        return await self._request("POST", "/api/v1/segments/count", json=body)

    async def batch(self, items: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], float]:
        return await self._request("POST", "/api/v1/subscribers/batch", json={"items": items})

    async def _request(self, method: str, path: str, **arguments: Any) -> tuple[dict[str, Any], float]:
        token = self._minter.mint(Identity("key:1", parse_permissions(["read", "write"])), "subscriptions")
        began_s = time.perf_counter()
        answer = await self._client.request(method, path, headers={IDENTITY_HEADER: token}, **arguments)
        elapsed_ms = (time.perf_counter() - began_s) * MS_PER_S
        if answer.status_code != httpx.codes.OK:
            raise LaunchError(f"{method} {path} answered {answer.status_code}: {answer.text[:500]}")
        body: dict[str, Any] = answer.json()
        return body, elapsed_ms


class _Judge:
    """Checks answers, and counts those that are wrong."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.wrong = 0
        everybody = [Facts(n, count) for n in range(1, count + 1)]
        self._addresses = sorted((one.email, one.n) for one in everybody)
        self._names = sorted((one.name.lower(), one.n) for one in everybody)
        self._last_names = sorted((one.last_name.lower(), one.n) for one in everybody)
        # These millions of objects are long-lived: the garbage collector need not walk them while requests are timed.
        gc.freeze()

    def page(self, ids: list[int], fits: Expected) -> None:
        """Checks that the page is newest first, that all on it match, and that no match between its first and last
        is missing.
        """
        span = range(ids[0], ids[-1] - 1, -1) if ids else ()
        self._note(ids == [one for one in span if fits(Facts(one, self.count))])

    def page_by_address(self, ids: list[int], prefix: str) -> None:
        """Checks that the page holds the first of all subscribers whose address begins with `prefix`."""
        self._first_of(ids, _beginning(self._addresses, prefix, len(ids) + 1))

    def page_by_name(self, ids: list[int], prefix: str) -> None:
        """Checks that the page holds the first of all whose whole name or last name begins with `prefix`, sorted,
        each once.
        """
        whole = _beginning(self._names, prefix, len(ids) + 1)
        last = _beginning(self._last_names, prefix, self.count)
        others = [(key, n) for key, n in last if not Facts(n, self.count).name.lower().startswith(prefix)]
        self._first_of(ids, sorted(whole + others[: len(ids) + 1]))

    def matching(self, found: int, fits: Expected) -> None:
        self._note(found == sum(1 for n in range(1, self.count + 1) if fits(Facts(n, self.count))))

    def batch(self, body: dict[str, Any], count: int) -> None:
        """Checks that every item was taken, and that the results are in order."""
        self._note(body["refused"] == 0 and [one["index"] for one in body["items"]] == list(range(count)))

    def _first_of(self, ids: list[int], expected: list[tuple[str, int]]) -> None:
        """A page that is not full must end with the last match."""
        numbers = [n for _, n in expected]
        is_whole = len(ids) % PAGE_SIZE == 0 or len(ids) == len(numbers)
        self._note(is_whole and ids == numbers[: len(ids)])

    def _note(self, is_right: bool) -> None:
        self.wrong += 0 if is_right else 1


def _beginning(ordered: list[tuple[str, int]], prefix: str, limit: int) -> list[tuple[str, int]]:
    first = bisect.bisect_left(ordered, (prefix, 0))
    found = ordered[first : first + limit]
    return [one for one in found if one[0].startswith(prefix)]


Judgement = Callable[[_Judge, list[int]], None]
Asked = tuple[Query, Judgement]


def _ask_newest(dice: random.Random, count: int) -> Asked:
    return {"cursor": encode_cursor(dice.randint(1, count + 1))}, lambda judge, ids: judge.page(ids, lambda _: True)


def _ask_with(query: Query, fits: Expected) -> Callable[[random.Random, int], Asked]:
    def ask(dice: random.Random, count: int) -> Asked:
        cursor = encode_cursor(dice.randint(1, count + 1))
        return {**query, "cursor": cursor}, lambda judge, ids: judge.page(ids, fits)

    return ask


def _ask_address(dice: random.Random, count: int) -> Asked:
    prefix = Facts(dice.randint(1, count), count).email[: dice.randint(1, PREFIX_CHARS_MAX)]
    return {"email_prefix": prefix}, lambda judge, ids: judge.page_by_address(ids, prefix)


def _ask_name(dice: random.Random, count: int) -> Asked:
    facts = Facts(dice.randint(1, count), count)
    word = facts.first_name if dice.random() < 1 / 2 else facts.last_name
    prefix = word[: dice.randint(1, PREFIX_CHARS_MAX)]
    return {"name_prefix": prefix}, lambda judge, ids: judge.page_by_name(ids, prefix.lower())


_KINDS: dict[str, Callable[[random.Random, int], Asked]] = {
    "newest": _ask_newest,
    "newsletter": _ask_with({"newsletter_id": 2}, lambda one: one.on_second),
    "confirmed": _ask_with({"newsletter_id": 1, "state": "confirmed"}, lambda one: one.state == "confirmed"),
    "unsubscribed": _ask_with({"newsletter_id": 1, "state": "unsubscribed"}, lambda one: one.state == "unsubscribed"),
    "state_anywhere": _ask_with({"state": "pending"}, lambda one: one.state == "pending"),
    "common_tag": _ask_with({"tag": "common"}, lambda one: "common" in one.tags),
    "rare_tag": _ask_with({"tag": "rare"}, lambda one: "rare" in one.tags),
    "clustered_tag": _ask_with({"tag": CLUSTERED_TAG}, lambda one: CLUSTERED_TAG in one.tags),
    "address_prefix": _ask_address,
    "name_prefix": _ask_name,
    "tag_and_state": _ask_with(
        {"tag": "common", "newsletter_id": 1, "state": "pending"},
        lambda one: "common" in one.tags and one.state == "pending",
    ),
    "nobody_fits": _ask_with({"tag": "rare", "state": "pending"}, lambda _: False),
}


async def _time_pages(api: _Api, kind: str, judge: _Judge, *, requests: int) -> RequestTimes:
    """After each page the next one is requested, if there is one."""
    dice = random.Random(f"{SEED} {kind}")  # noqa: S311  # repeatable, no secret
    times_ms: list[float] = []
    for number in range(WARM_UP + requests):
        query, check = _KINDS[kind](dice, judge.count)
        query["limit"] = PAGE_SIZE
        body, elapsed_ms = await api.list(query)
        ids = _ids(body)
        check(judge, ids)
        if number >= WARM_UP:
            times_ms.append(elapsed_ms)
        if body["next_cursor"] is not None:
            body, elapsed_ms = await api.list(query | {"cursor": body["next_cursor"]})
            check(judge, ids + _ids(body))
            if number >= WARM_UP:
                times_ms.append(elapsed_ms)
    return _times(times_ms)


def _ids(page: dict[str, Any]) -> list[int]:
    return [int(item["id"]) for item in page["items"]]


_SEARCHED = ("opened_issue", "state", "all_of_it")


async def _time_searches(api: _Api, name: str, judge: _Judge, *, requests: int) -> RequestTimes:
    tree, fits = TREES[name]
    dice = random.Random(f"{SEED} search {name}")  # noqa: S311  # repeatable, no secret
    times_ms: list[float] = []
    for number in range(WARM_UP + requests):
        query: Query = {"limit": PAGE_SIZE, "cursor": encode_cursor(dice.randint(1, judge.count + 1))}
        body, elapsed_ms = await api.search(tree, query)
        judge.page(_ids(body), fits)
        if number >= WARM_UP:
            times_ms.append(elapsed_ms)
    return _times(times_ms)


async def _time_counts(
    api: _Api, name: str, judge: _Judge, *, times: int, newsletter_id: int | None = None
) -> RequestTimes:
    tree, fits = TREES[name]
    times_ms: list[float] = []
    for number in range(times + 1):
        body, elapsed_ms = await api.count({"filter": tree, "newsletter_id": newsletter_id})
        if number == 0:
            judge.matching(body["matching"], fits)
            if newsletter_id is not None:
                judge.matching(body["audience"]["recipients"], lambda one: fits(one) and one.state == "confirmed")
                judge.matching(
                    body["audience"]["suppressed"],
                    lambda one: fits(one) and one.state == "confirmed" and one.is_suppressed,
                )
        else:
            times_ms.append(elapsed_ms)
    return _times(times_ms)


async def _time_batches(api: _Api, kind: str, judge: _Judge) -> RequestTimes:
    """New addresses, or changes of people anywhere in the list."""
    dice = random.Random(f"{SEED} batch {kind}")  # noqa: S311  # repeatable, no secret
    times_ms: list[float] = []
    items: list[dict[str, Any]]
    for number in range(BATCHES):
        if kind == "create":
            emails = (f"batch-{number}-{item}@new.example.com" for item in range(BATCH_ITEMS))
            items = [{kind: {"email": email, "name": "New Reader", "tags": ["batch"]}} for email in emails]
        else:
            ids = dice.sample(range(1, judge.count + 1), BATCH_ITEMS)
            items = [{kind: {"id": one, "tags": ["batch"], "attributes": {"age": 30}}} for one in ids]
        body, elapsed_ms = await api.batch(items)
        judge.batch(body, len(items))
        times_ms.append(elapsed_ms)
    return _times(times_ms)


_REQUEST_AUDIENCE = """
WITH kept AS (INSERT INTO subscriptions.segment (name, filter) VALUES ('Bench', %s) RETURNING id)
INSERT INTO subscriptions.audience (issue_id, newsletter_id, segment_id, filter) SELECT 1, 1, id, %s FROM kept
"""
_FROZEN = "SELECT completed_at IS NOT NULL, member_count FROM subscriptions.audience WHERE issue_id = 1"


async def _time_freeze(url: str, settings: SubscriptionsSettings, count: int) -> tuple[float, int]:
    """Seconds from the request to the last member, and 1 if the number of members is wrong, else 0."""
    tree = '{"any": [{"field": "attribute", "name": "country", "op": "in", "value": ["fr", "us"]}]}'
    with connected(url) as connection:
        connection.execute(_REQUEST_AUDIENCE, (tree, tree))
        engine = create_engine(
            settings.database_url, application_name="bench", pool_size=1, timeout_s=settings.database_timeout_s
        )
        began_s = time.perf_counter()
        await freeze_audiences(engine)
        elapsed_s = time.perf_counter() - began_s
        await engine.dispose()
        row = connection.execute(_FROZEN).fetchone()
    expected = sum(1 for one in _everybody(count) if one.country in {"FR", "US"} and one.state == "confirmed")
    return elapsed_s, 0 if row == (True, expected) else 1


def _everybody(count: int) -> Iterator[Facts]:
    return (Facts(n, count) for n in range(1, count + 1))


def _times(times_ms: list[float]) -> RequestTimes:
    return RequestTimes(
        requests=len(times_ms),
        p50=round(percentile(times_ms, 50), 1),
        p99=round(percentile(times_ms, 99), 1),
        max=round(max(times_ms), 1),
    )
