"""What the visitors of `bench gateway` ask for: public pages and forms, API requests, links in mail, webhooks."""

import base64
import re
from collections.abc import Callable, Sequence
from urllib.parse import quote

import msgspec

from broadsheet_local.bench.measuring.http_load import raw_request
from broadsheet_local.errors import LaunchError

PAGE = "page"
_TICKET = re.compile(rb'name="form_ticket" value="([^"]+)"')
_OK, _ACCEPTED = 200, 202


class SignUps:
    """People at the default newsletter's form: each asks for the page and sends the form with the ticket of a page that
    was answered before. `acknowledged` are the addresses whose form was answered as every form is.
    """

    def __init__(self, host: str, *, run: str, with_pages: bool) -> None:
        """`run` keeps the addresses of several loads apart. Without pages, all forms have the first ticket."""
        self._host = host
        self._run = run
        self._with_pages = with_pages
        self._page = raw_request("GET", "/", host=host, headers={"Accept-Encoding": "identity"})
        self._head = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": f"http://{host}",
            "Referer": f"http://{host}/",
            "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Benchmark",
        }
        self._ticket: str | None = None
        self._asked = 0
        self._is_page_next = True
        self._answer: bytes | None = None
        self.acknowledged: list[str] = []

    def request(self) -> tuple[str, int, bytes]:
        if self._ticket is None or (self._with_pages and self._is_page_next):
            self._is_page_next = False
            return PAGE, 0, self._page
        self._is_page_next = True
        self._asked += 1
        form = f"name=Newcomer+{self._asked}&email={quote(self._address(self._asked))}&website=&wording=1"
        body = f"{form}&form_ticket={quote(self._ticket)}".encode()
        return (
            "sign_up",
            self._asked,
            raw_request("POST", "/subscriptions", host=self._host, headers=self._head, body=body),
        )

    def answered(self, kind: str, number: int, status: int, body: bytes) -> bool:
        if kind == PAGE:
            found = _TICKET.search(body)
            if status != _OK or found is None:
                return False
            self._ticket = found[1].decode()
            return True
        self._answer = self._answer or (body if status == _OK else None)
        if status != _OK or body != self._answer:
            return False
        self.acknowledged.append(self._address(number))
        return True

    def _address(self, number: int) -> str:
        return f"{self._run}-{number:07d}@example.com"


class SignUpCalls:
    """The gateway's call to the service, one a sign-up."""

    def __init__(self, host: str, identity: dict[str, str], *, run: str) -> None:
        self._host = host
        self._head = {"Content-Type": "application/json", **identity}
        self._run = run
        self._asked = 0
        self.acknowledged: list[str] = []

    def request(self) -> tuple[str, int, bytes]:
        self._asked += 1
        visitor = {"ip": "127.0.0.1", "user_agent": "Mozilla/5.0 (X11; Linux x86_64) Benchmark", "form_url": None}
        body = {"email": self._address(self._asked), "name": "Newcomer", "wording_version": 1, "visitor": visitor}
        return "sign_up", self._asked, raw_request(
            "POST", "/public/subscriptions", host=self._host, headers=self._head, body=msgspec.json.encode(body)
        )  # fmt: skip

    def answered(self, kind: str, number: int, status: int, body: bytes) -> bool:  # noqa: ARG002  # as in `Work`
        if status != _ACCEPTED:
            return False
        self.acknowledged.append(self._address(number))
        return True

    def _address(self, number: int) -> str:
        return f"{self._run}-{number:07d}@example.com"


class Repeated:
    """Requests that are known before, asked one after another and from the start again. `check` judges an answer;
    `right` counts the answers that were as asked.
    """

    def __init__(
        self,
        kind: str,
        requests: Sequence[bytes],
        *,
        status: int = _OK,
        check: Callable[[int, bytes], bool] | None = None,
    ) -> None:
        if not requests:
            raise LaunchError(f"there is nothing to ask for: {kind}")
        self._kind = kind
        self._requests = requests
        self._status = status
        self._check = check
        self._asked = -1
        self.right = 0

    def request(self) -> tuple[str, int, bytes]:
        self._asked += 1
        number = self._asked % len(self._requests)
        return self._kind, number, self._requests[number]

    def answered(self, kind: str, number: int, status: int, body: bytes) -> bool:  # noqa: ARG002  # as in `Work`
        is_right = status == self._status and (self._check is None or self._check(number, body))
        self.right += is_right
        return is_right


class Webhooks:
    """Postmark's events about mails, each with an id of its own. `taken` counts those that were answered 200."""

    def __init__(self, host: str, *, user: str, password: str, run: str) -> None:
        credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._host = host
        self._head = {"Content-Type": "application/json", "Authorization": f"Basic {credentials}"}
        self._run = run
        self._asked = 0
        self.taken = 0

    def request(self) -> tuple[str, int, bytes]:
        self._asked += 1
        event = {
            "RecordType": "Delivery",
            "ServerID": 1,
            "MessageStream": "broadcast",
            "MessageID": f"{self._run}-{self._asked:012d}",
            "Recipient": f"reader-{self._asked:07d}@example.com",
            "Tag": "",
            "DeliveredAt": "2026-01-01T00:00:00Z",
            "Details": "Test",
            "Metadata": {},
        }
        return "webhook", self._asked, raw_request(
            "POST", "/webhooks/postmark", host=self._host, headers=self._head, body=msgspec.json.encode(event)
        )  # fmt: skip

    def answered(self, kind: str, number: int, status: int, body: bytes) -> bool:  # noqa: ARG002  # as in `Work`
        self.taken += status == _OK
        return status == _OK
