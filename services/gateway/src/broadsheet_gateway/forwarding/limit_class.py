"""Which limit a request of the API counts for besides the one for all: reads, writes, or what costs much. Pure."""

from typing import Final, Literal

LimitClass = Literal["api-read", "api-write", "api-expensive"]

EXPENSIVE: Final = frozenset({
    ("GET", "/api/v1/exports/subscribers"),
    ("GET", "/api/v1/subscribers/{id}/export"),
    ("GET", "/api/v1/imports/{id}/rejects"),
    ("GET", "/api/v1/imports/{id}/reject-reasons"),
    ("GET", "/api/v1/consents"),
    ("GET", "/api/v1/issues/{id}/report"),
    ("GET", "/api/v1/issues/{id}/report/csv"),
    ("GET", "/api/v1/newsletters/{id}/engagement"),
    ("GET", "/api/v1/newsletters/{id}/engagement/csv"),
    ("GET", "/api/v1/newsletters/{id}/report"),
    ("GET", "/api/v1/newsletters/{id}/report/csv"),
    ("POST", "/api/v1/imports"),
    ("POST", "/api/v1/imports/{id}/start"),
    ("POST", "/api/v1/imports/{id}/undo"),
    ("POST", "/api/v1/subscribers/batch"),
    ("POST", "/api/v1/subscribers/search"),
    ("POST", "/api/v1/segments/count"),
    ("POST", "/api/v1/issues/{id}/audience"),
    ("POST", "/api/v1/issues/{id}/checks"),
    ("POST", "/api/v1/issues/{id}/preview"),
    ("POST", "/api/v1/newsletters/{id}/sign-up-mails/preview"),
    ("POST", "/api/v1/newsletters/{id}/welcome-mail/preview"),
})  # fmt: skip
"""By method and template of the route table: files, batches, searches, counts, and what is compiled or computed."""


def limit_class(method: str, template: str) -> LimitClass:
    asked = "GET" if method == "HEAD" else method
    if (asked, template) in EXPENSIVE:
        return "api-expensive"
    return "api-read" if asked == "GET" else "api-write"
