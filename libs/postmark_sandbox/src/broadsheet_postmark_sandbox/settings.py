"""The sandbox's settings at the start."""

from pathlib import Path
from typing import Literal

import msgspec

UnsubscribeHandling = Literal["None", "Postmark", "Custom"]

DEFAULT_TOKEN = "postmark-sandbox-token"  # noqa: S105  a well-known token for a server that sends nothing
TEST_TOKEN = "POSTMARK_API_TEST"  # noqa: S105  Postmark's public token that validates and sends nothing


class SandboxSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting has a default that suits a laptop.

    - `host`, `port`: where to listen; port 0 takes a free one.
    - `allowed_hosts`: names that clients reach it by, besides `localhost` and addresses (see `same_site`).
    - `token`: the X-Postmark-Server-Token that is accepted, besides POSTMARK_API_TEST.
    - `data_dir`: the folder of the file with the bodies. The file has no name and ends with the process. None: the
      system's folder for temporary files.
    - `latency_ms`: how long every answer of the Postmark API waits.
    - `broadcast_unsubscribe`: how the stream `broadcast` handles unsubscribing.
    - `webhook_urls`: where events go; the user and password are sent to them as basic authentication.
    - `webhook_retry_scale`: 1 keeps Postmark's waits between attempts (1 to 20 minutes), 0.001 turns seconds into
      milliseconds.
    - `automatic_delivery`: send a Delivery event for every recipient automatically.
    - `batch_bytes_max`, `message_bytes_max`: Postmark's limits; lower them to reach them with smaller requests.
    """

    host: str = "127.0.0.1"
    port: int = 8025
    allowed_hosts: tuple[str, ...] = ()
    token: str = DEFAULT_TOKEN
    data_dir: Path | None = None
    latency_ms: float = 0.0
    broadcast_unsubscribe: UnsubscribeHandling = "Custom"
    webhook_urls: tuple[str, ...] = ()
    webhook_user: str | None = None
    webhook_password: str | None = None
    webhook_retry_scale: float = 1.0
    webhook_timeout_s: float = 10.0
    automatic_delivery: bool = False
    batch_bytes_max: int = 50 * 1024 * 1024
    message_bytes_max: int = 10 * 1024 * 1024
