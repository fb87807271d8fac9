"""Refuses sign-ups that the gateway cannot carry, before anything is done for them.

A refusal costs a small part of what a sign-up costs, so that several times the load that is carried neither slows down
what was taken nor keeps anybody from the other pages. What was typed stays in the browser: reloading the page sends
the form again. Scripts of any site may read the refusal: it says nothing about anybody.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import structlog
from litestar.types import HTTPScope

from broadsheet_common.http.problems import PROBLEM_MEDIA_TYPE, UnavailableError, problem_of
from broadsheet_common.http.service_app import ReadyAnswer
from broadsheet_common.languages.catalogue import marked
from broadsheet_common.languages.language import LANGUAGES, Language, language_asked_for
from broadsheet_common.process.metrics import Counter
from broadsheet_gateway.pages import Pages
from broadsheet_gateway.pages.for_readers.words import CATALOGUES
from broadsheet_gateway.pages.views import ErrorPage
from broadsheet_gateway.sign_up.newsletter_directory import HOME_PATH, NEWSLETTERS_PREFIX

RETRY_AFTER_S: Final = 5
NOTED_EVERY_S: Final = 1.0
_TITLE: Final = marked("Very many people are signing up at this moment")
_DETAIL: Final = marked(
    "Nothing is lost: wait for a few seconds, then reload this page. Your browser still has what you typed, and sends "
    "it again."
)

_log = structlog.get_logger()


class OverloadRefusal:
    """`is_full`: whether as many sign-ups as may be are under way. `headers`: the security headers of a page."""

    def __init__(
        self,
        is_full: Callable[[], bool],
        pages: Pages,
        refused: Counter,
        *,
        headers: Sequence[tuple[bytes, bytes]],
    ) -> None:
        self._is_full = is_full
        self._refused = refused
        self._unnoted = 0
        self._noted_at_s = float("-inf")
        self._pages = {
            language: _ready(_page(pages, language), "text/html; charset=utf-8", headers) for language in LANGUAGES
        }
        problem = msgspec.json.encode(problem_of(UnavailableError(f"{_TITLE}.")))
        self._problem = _ready(problem, PROBLEM_MEDIA_TYPE, (*headers, (b"access-control-allow-origin", b"*")))

    def __call__(self, scope: HTTPScope) -> ReadyAnswer | None:
        if scope["method"] != "POST" or not self._is_full() or not _is_sign_up(scope["path"]):
            return None
        self._note()
        wants_page, asked = False, b""
        for name, value in scope["headers"]:
            if name == b"accept":
                wants_page = wants_page or b"text/html" in value
            elif name == b"accept-language":
                asked = value
        if not wants_page:
            return self._problem
        # Not the newsletter's: a refusal asks nobody anything.
        return self._pages[language_asked_for(asked.decode("latin-1"))]

    def _note(self) -> None:
        self._refused.inc()
        self._unnoted += 1
        now_s = time.monotonic()
        if now_s - self._noted_at_s >= NOTED_EVERY_S:
            _log.warning("sign_up.overload", refused=self._unnoted)
            self._unnoted, self._noted_at_s = 0, now_s


def _page(pages: Pages, language: Language) -> bytes:
    translate = CATALOGUES[language]
    view = ErrorPage(
        status=UnavailableError.status,
        title=translate(_TITLE),
        detail=translate(_DETAIL),
        request_id="",
        asked=language,
    )
    return pages.render(view).encode()


def _is_sign_up(path: str) -> bool:
    if path == HOME_PATH:
        return True
    return path.startswith(NEWSLETTERS_PREFIX) and "/" not in path[len(NEWSLETTERS_PREFIX) :]


def _ready(body: bytes, media_type: str, headers: Sequence[tuple[bytes, bytes]]) -> ReadyAnswer:
    return ReadyAnswer(
        UnavailableError.status,
        (
            (b"content-type", media_type.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"retry-after", str(RETRY_AFTER_S).encode()),
            *headers,
        ),
        body,
    )
