"""Answers of Postmark's API, and of somebody else in its place, as the delivery service reads them."""

from typing import Final

import httpx
import msgspec

from broadsheet_delivery.postmark.answer import HttpAnswer

PROXY_PAGE: Final = b"<html><head><title>Answered</title></head><body><h1>By a proxy</h1></body></html>"


def http_answer(status: int, content: bytes = b"", **headers: str) -> HttpAnswer:
    return HttpAnswer(
        status, httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()}), content
    )


def json_answer(status: int, value: object) -> HttpAnswer:
    return http_answer(status, msgspec.json.encode(value))


def refused(status: int, code: int) -> HttpAnswer:
    """As Postmark refuses a whole request."""
    content = msgspec.json.encode({"ErrorCode": code, "Message": "As it is."})
    return http_answer(status, content, X_PM_ApiErrorCode=str(code))
