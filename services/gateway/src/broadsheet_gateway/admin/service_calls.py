"""What a page asks of the services, under the identity of whoever is signed in."""

from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import urlencode

from broadsheet_common.contracts.identity import ServiceName
from broadsheet_common.http.problems import ForbiddenError, NotFoundError, ProblemError, as_sentence
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.header_fields import header_field
from broadsheet_gateway.forwarding.upstreams import TaggedAnswer, UpstreamRefusalError, Upstreams

_ID_DIGITS_MAX = 18

T = TypeVar("T")
Query = Mapping[str, str | int | Sequence[int] | None]


class ServiceCalls:
    """Calls of one request. Every one of them may also raise `UnavailableError` or `UpstreamTimeoutError`."""

    def __init__(self, upstreams: Upstreams, session: Session) -> None:
        self._upstreams = upstreams
        self._identity = session.identity

    async def get(self, service: ServiceName, path: str, answer: type[T], query: Query | None = None) -> T:
        """`query`: members that are None or empty are left out, and of a list each is given. Raises as `get_tagged`
        does.
        """
        return (await self.get_tagged(service, path, answer, query)).value

    async def get_tagged(
        self, service: ServiceName, path: str, answer: type[T], query: Query | None = None
    ) -> TaggedAnswer[T]:
        """With the `ETag` that a change must send as `if_match`.

        Raises:
            NotFoundError: there is no such thing, or the user may not know of it.
            ForbiddenError: the user may not.
            UpstreamRefusalError: the service refused for another reason.
        """
        given = {name: value for name, value in (query or {}).items() if value is not None and value != ""}
        asked = urlencode(given, doseq=True)
        return await self._call(service, "GET", f"{path}?{asked}" if asked else path, answer)

    async def send(
        self,
        service: ServiceName,
        method: str,
        path: str,
        answer: type[T],
        *,
        body: object = None,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> T:
        """A change. `answer` of one without a body (204) is `type(None)`. Raises as `send_tagged` does."""
        sent = await self.send_tagged(
            service, method, path, answer, body=body, if_match=if_match, idempotency_key=idempotency_key
        )
        return sent.value

    async def send_tagged(
        self,
        service: ServiceName,
        method: str,
        path: str,
        answer: type[T],
        *,
        body: object = None,
        if_match: str | None = None,
        idempotency_key: str | None = None,
        prefer: str | None = None,
    ) -> TaggedAnswer[T]:
        """With the `ETag` that the changed thing has now. `prefer`: RFC 7240. Tags and keys come from hidden fields:
        what no page of ours has put there, and a header could not carry, is left out.

        Raises:
            NotFoundError, ForbiddenError: as `get`.
            UpstreamRefusalError: refused; `refused_fields` says at which fields of the form.
        """
        headers = {"if-match": if_match, "idempotency-key": idempotency_key, "prefer": prefer}
        given = {name: value for name, value in headers.items() if value is not None and header_field(value)}
        return await self._call(service, method, path, answer, body=body, headers=given)

    async def upload(
        self,
        service: ServiceName,
        path: str,
        answer: type[T],
        *,
        content: AsyncIterator[bytes],
        content_type: str,
        upload_s: float,
        idempotency_key: str,
    ) -> T:
        """A file that is passed on as it comes, for `upload_s` at most. Raises as `send` does."""
        headers = {"content-type": content_type, "idempotency-key": idempotency_key}
        with _known_refusals():
            return await self._upstreams.upload(
                service,
                path,
                identity=self._identity,
                answer=answer,
                content=content,
                upload_s=upload_s,
                headers=headers,
            )

    async def _call(
        self,
        service: ServiceName,
        method: str,
        path: str,
        answer: type[T],
        *,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> TaggedAnswer[T]:
        with _known_refusals():
            return await self._upstreams.call_tagged(
                service, method, path, identity=self._identity, answer=answer, body=body, headers=headers
            )


@contextmanager
def _known_refusals() -> Iterator[None]:
    try:
        yield
    except UpstreamRefusalError as refusal:
        if refusal.status == NotFoundError.status:
            raise NotFoundError(refusal.problem.detail) from refusal
        if refusal.status == ForbiddenError.status:
            raise ForbiddenError(refusal.problem.detail) from refusal
        raise


async def or_none(asked: Awaitable[T]) -> T | None:
    """A part of a page that may be missing: the page says so and shows the rest."""
    try:
        return await asked
    except (ProblemError, UpstreamRefusalError):
        return None  # logged where it was raised


def parse_id(text: str) -> int:
    """Raises `NotFoundError` for what is not an id, as for an unknown one."""
    if not (text.isascii() and text.isdigit() and len(text) <= _ID_DIGITS_MAX):
        raise NotFoundError
    return int(text)


def refused_fields(refusal: UpstreamRefusalError) -> dict[str, str]:
    """What is wrong, by the field of the body: `/welcome_mail/subject` is `welcome_mail/subject`."""
    return {
        error.pointer.removeprefix("/"): as_sentence(error.detail)
        for error in refusal.problem.errors
        if error.pointer != ""
    }


def refusal_sentence(error: UpstreamRefusalError | ProblemError) -> str:
    """Why the whole form was refused, for its `form_error`. Of a service that does not answer, that it does not."""
    if isinstance(error, UpstreamRefusalError):
        return as_sentence(error.problem.detail or error.problem.title)
    return as_sentence(error.detail or error.title)
