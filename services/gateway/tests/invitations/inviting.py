"""What tests of invitations share: an owner who invites, and what the mail holds."""

import re
from typing import Any

import httpx

from harness.owner import AUDIT_LOG

from ..conftest import Gateway, csrf_token_of

ADDRESS = "grace@example.com"
NEW = "quite another passphrase"
EDITOR = {"role": "editor", "newsletter_id": 3}
INVITATIONS = "/api/v1/users/invitations"
_LINK = re.compile(r"http://127\.0\.0\.1:8081(/invitation/[A-Za-z0-9_-]{43})\n")
_RECORDED = f"""
    SELECT action, actor, target_id, after FROM {AUDIT_LOG} WHERE at > %s AND action LIKE 'user.%%' ORDER BY at
"""


class Owner:
    """Somebody signed in who may let people in."""

    def __init__(self, gateway: Gateway, client: httpx.AsyncClient, headers: dict[str, str]) -> None:
        self.gateway = gateway
        self.client = client
        self.headers = headers

    async def invite(self, email: str = ADDRESS, *roles: dict[str, Any], name: str = "Grace") -> httpx.Response:
        body = {"email": email, "name": name, "roles": list(roles) or [EDITOR]}
        return await self.client.post(INVITATIONS, json=body, headers=self.headers)

    async def post(self, path: str) -> httpx.Response:
        return await self.client.post(f"{INVITATIONS}/{path}", headers=self.headers)

    async def listed(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.client.get(INVITATIONS)).json()["items"]
        return found


async def owner_of(gateway: Gateway, username: str = "author") -> Owner:
    client = await gateway.signed_in(username)
    token = await csrf_token_of(client)
    return Owner(gateway, client, {"sec-fetch-site": "same-origin", "x-csrf-token": token})


def links(gateway: Gateway) -> list[str]:
    texts = gateway.sql("SELECT text_body FROM delivery.single_mail WHERE kind = 'invitation' ORDER BY id")
    return [found[1] for (text,) in texts if (found := _LINK.search(text)) is not None]


async def accept(gateway: Gateway, link: str, **typed: str) -> httpx.Response:
    form = {"username": "grace", "name": "Grace Hopper", "password": NEW, "password_check": NEW} | typed
    return await (await gateway.client()).post(link, data=form)


def recorded(gateway: Gateway, since: object) -> list[tuple[Any, ...]]:
    """What the audit log says of users since a moment."""
    return gateway.sql(_RECORDED, since)


def warm_up(gateway: Gateway) -> None:
    """The cool-down of every invitation is over."""
    gateway.sql("UPDATE gateway.invitation SET sent_at = sent_at - interval '1 minute'")
