"""The whole system on ports of its own: the four services as they run in production, and callers of every role."""

import asyncio
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final, get_args

import httpx
import msgspec

from broadsheet_common.contracts.identity import ServiceName
from broadsheet_common.process.settings import HttpUrl
from broadsheet_gateway.access.rights import Grant
from broadsheet_gateway.access.roles import Role
from broadsheet_gateway.app import create_app as create_gateway_app
from broadsheet_postmark_sandbox.testing import running_sandbox_sync
from harness.cluster import Cluster, Database
from harness.http.served_app import START_TIMEOUT_S, serving_app
from harness.system import gateway_settings, make_services, make_user

NOBODY: Final = "nobody"
OWNER: Final = "owner"
OF_ONE_NEWSLETTER: Final = "publisher of one newsletter"
CALLERS: Final = (NOBODY, *(role for role in get_args(Role) if role != OWNER), OF_ONE_NEWSLETTER, OWNER)
"""The owner last: what it removes, the others have asked for."""


class ServedSystem:
    """`keys`: the API key of each caller but nobody."""

    def __init__(self, base_url: str, keys: Mapping[str, str]) -> None:
        self.base_url = base_url
        self._keys = keys
        self._numbers = itertools.count(1)

    def headers(self, caller: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._keys[caller]}"} if caller in self._keys else {}

    def make_records(self, names: Iterable[str]) -> dict[str, Any]:
        """A new record for each parameter of a path that is one's id, by the parameter's name."""
        number = next(self._numbers)
        base_url, headers = f"{self.base_url}/api/v1/", self.headers(OWNER)
        with httpx.Client(base_url=base_url, headers=headers, timeout=START_TIMEOUT_S, trust_env=False) as client:
            made = {name: _make_record(client, name, number) for name in names if name in MADE_BY}
        return made | {name: id_ for name, id_ in WELL_FORMED.items() if name in names}


def _make_record(client: httpx.Client, name: str, number: int) -> Any:
    path, body, id_name = MADE_BY[name]
    text = json.dumps(body).replace("NUMBER", str(number))
    answer = client.post(path, content=text.encode(), headers={"Content-Type": "application/json"})
    assert answer.is_success, (path, answer.text)
    return answer.json()[id_name]


LAYOUT: Final = (
    '<!doctype html><html lang="en"><body>{{ content }}<p>{{ newsletter.postal_address }}'
    '<a href="{{ unsubscribe_url }}">Unsubscribe</a></p></body></html>'
)


MADE_BY: Final[dict[str, tuple[str, dict[str, Any], str]]] = {
    "newsletter_id": ("newsletters", {"name": "made-NUMBER", "postal_address": "1 Quay"}, "id"),
    "issue_id": ("issues", {"title": "made-NUMBER", "content": "Hello"}, "id"),
    "layout_id": ("layouts", {"name": "made-NUMBER", "format": "html", "source": LAYOUT}, "id"),
    "segment_id": (
        "segments",
        {"name": "made-NUMBER", "filter": {"field": "tag", "op": "has", "value": "x"}},
        "id",
    ),
    "subscriber_id": ("subscribers", {"email": "reader-NUMBER@example.com", "name": "A reader"}, "id"),
    "suppression_id": ("suppressions", {"email": "left-NUMBER@example.com", "stream": "broadcast"}, "id"),
    "endpoint_id": (
        "webhook-endpoints",
        {"url": "https://127.0.0.1:49151/", "events": ["subscriber.confirmed"]},
        "id",
    ),
    "key_id": ("api-keys", {"name": "made-NUMBER", "scopes": ["issues:read"]}, "id"),
    "name": ("attributes", {"name": "madeNUMBER", "type": "text", "label": "Made"}, "name"),
}
"""What makes a record whose id is this parameter of a path: where it is posted, as what, and the member of the answer
that is the id.
"""


WELL_FORMED: Final = {"delivery_id": "1-1"}
"""Of nothing that is there: the document does not say how these ids look."""


async def _make_callers(database: Database) -> dict[str, str]:
    keys = {}
    for number, role in enumerate(get_args(Role)):
        _, keys[role] = await make_user(database, f"caller-{number}", Grant(role))
    _, keys[OF_ONE_NEWSLETTER] = await make_user(database, "caller-of-one", Grant("publisher", 1))
    return keys


@contextmanager
def serving_system(cluster: Cluster, redis_url: str) -> Iterator[ServedSystem]:
    with ExitStack() as stack:
        database = stack.enter_context(cluster.database())
        sandbox = stack.enter_context(running_sandbox_sync())
        services: dict[ServiceName, HttpUrl] = {
            name: HttpUrl.parse(f"http://127.0.0.1:{stack.enter_context(serving_app(app))}")
            for name, app in make_services(database, sandbox).items()
        }
        settings = msgspec.structs.replace(
            gateway_settings(database, redis_url),
            subscriptions_url=services["subscriptions"],
            publishing_url=services["publishing"],
            delivery_url=services["delivery"],
            api_key_cache_s=60.0,
        )
        keys = asyncio.run(_make_callers(database))
        port = stack.enter_context(serving_app(create_gateway_app(settings)))
        yield ServedSystem(f"http://127.0.0.1:{port}", keys)
