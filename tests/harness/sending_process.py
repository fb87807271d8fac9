"""A process of its own that makes one batch call with the delivery service's client, to be stopped by a test.

    python -m harness.sending_process '{"url": …, "call_timeout_s": 2, "messages": 500, "html_bytes": 400, …}'

It writes one line when the call is over: the name of its result's type. Its clock is ahead by the number (of 8
bytes, seconds) in `clock_file`, which the test may change while the process is stopped. Then much time has passed
for it and no timer is due, as on a machine that was suspended.
"""

import asyncio
import mmap
import ssl
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import uvloop

from broadsheet_common.process.settings import HttpUrl, PostgresUrl, Secret
from broadsheet_delivery.app import create_postmark_http_client
from broadsheet_delivery.postmark.boot_clock import boot_time_s
from broadsheet_delivery.postmark.client import PostmarkClient
from broadsheet_delivery.postmark.message import Message, encode_message
from broadsheet_delivery.settings import DeliverySettings
from harness.keys import ERASURE_KEYS, LINK_SIGNING_KEYS, identity_keys


class SendingOrder(msgspec.Struct, frozen=True):
    """`ca_file` makes it trust a test's certificate; `uvloop` is the event loop of production."""

    clock_file: str

    url: str
    call_timeout_s: float
    messages: int
    html_bytes: int
    uvloop: bool = True
    ca_file: str | None = None


def _settings(order: SendingOrder) -> DeliverySettings:
    return DeliverySettings(
        broadsheet_env="local",
        bind_port=1,
        database_url=PostgresUrl.parse("postgresql://nobody@127.0.0.1:1/none"),
        public_url=HttpUrl.parse("https://news.example.com"),
        identity_public_key=identity_keys()[1],
        link_signing_keys=LINK_SIGNING_KEYS,
        erasure_keys=ERASURE_KEYS,
        mail_from="Broadsheet <newsletter@example.com>",
        postmark_base_url=HttpUrl.parse(order.url),
        postmark_server_token=Secret("token"),
        delivery_http_timeout_s=order.call_timeout_s,
        delivery_lease_s=order.call_timeout_s + 3,
    )


def batch_message(html_bytes: int) -> Message:
    return Message(
        from_="Broadsheet <newsletter@example.com>",
        to="reader@example.com",
        subject="An issue",
        html_body="x" * html_bytes,
        text_body="Hello",
        message_stream="broadcast",
        headers=(),
        metadata={"bs_delivery": "1-1"},
    )


def _clock(path: str) -> Callable[[], float]:
    with Path(path).open("rb") as file:
        ahead = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    return lambda: boot_time_s() + float(struct.unpack("d", ahead[:])[0])


async def send(order: SendingOrder) -> None:
    message = batch_message(order.html_bytes)
    verify = True if order.ca_file is None else ssl.create_default_context(cafile=order.ca_file)
    async with create_postmark_http_client(_settings(order), verify=verify) as http_client:
        client = PostmarkClient(
            http_client,
            base_url=order.url,
            token="token",
            call_timeout_s=order.call_timeout_s,
            clock_s=_clock(order.clock_file),
        )
        result = await client.send_batch([encode_message(message)] * order.messages)
        print(type(result).__name__, flush=True)  # noqa: T201  # what the test reads


if __name__ == "__main__":
    given = msgspec.json.decode(sys.argv[1], type=SendingOrder)
    (uvloop.run if given.uvloop else asyncio.run)(send(given))
