"""`/admin/issues/{id}/preview`: an issue as a reader gets it.

The mail stands in a frame of its own, at its own address, and under a policy that lets it run nothing and ask nothing
but pictures: what an author wrote never runs for another user. Its origin is opaque, so that it could reach nothing of
ours if it did. Beside the editor's text it has our origin instead, so that the editor can keep its place when it is
drawn anew; there it opens no window either, so that nothing of it is ever outside of the sandbox.
"""

import asyncio
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlencode

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from markupsafe import escape

from broadsheet_common.http.problems import ProblemError
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.admin.editor.open_draft import ask_draft
from broadsheet_gateway.admin.editor.preview_reader import NOBODY, ChosenReader, choose_reader
from broadsheet_gateway.admin.editor.views import PreviewChoice, PreviewPage
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.service_calls import ServiceCalls, or_none, parse_id, refusal_sentence, refused_fields
from broadsheet_gateway.admin.subscriber_names import ADDRESS_CHARS_MAX, ask_samples, may_read_subscribers
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError
from broadsheet_gateway.http.responses import HTML, AnyRequest, PageResponse

_PREVIEWS: Final = needs("issues:preview")
_FRAME_POLICY: Final = (
    "sandbox {tokens}; default-src 'none'; img-src https: http: data:; style-src 'unsafe-inline'; "
    "font-src https: data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
_APART: Final = _FRAME_POLICY.format(tokens="allow-popups allow-popups-to-escape-sandbox")
_BESIDE_THE_TEXT: Final = _FRAME_POLICY.format(tokens="allow-same-origin")
"""Never with scripts: the two together are no sandbox at all."""
_SCHEME_QUERY: Final = re.compile(r"\(\s*prefers-color-scheme\s*:\s*(light|dark)\s*\)", re.IGNORECASE)
_META: Final = re.compile(r"<meta\b[^<>]{0,500}>", re.IGNORECASE)
_MEDIA: Final = re.compile(r"""\bmedia=(?:"[^"<>]{0,500}"|'[^'<>]{0,500}')""", re.IGNORECASE)
_CONTENT: Final = re.compile(r"""(\bcontent=)(?:"[^"]*"|'[^']*')""", re.IGNORECASE)
_ALWAYS, _NEVER = "(min-width: 0)", "(max-width: 0)"
"""Queries that may stand wherever one for the scheme may."""
_HAS_FAULTS: Final = 422
_TEXT_DOCUMENT: Final = (
    '<!doctype html><html lang="{language}"><meta charset="utf-8"><title>{title}</title>'
    "<style>:root{{color-scheme:light dark}}body{{margin:1rem;font:1rem/1.5 monospace;white-space:pre-wrap}}</style>"
    "<body>{text}</body></html>"
)

_NOTICE_DOCUMENT: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
    "<style>:root{{color-scheme:light dark}}body{{margin:1rem;font:1rem/1.5 'Avenir Next','Segoe UI',Roboto,"
    "'Helvetica Neue',Arial,'Liberation Sans',sans-serif;white-space:pre-wrap}}</style><body>{text}</body></html>"
)
"""In the type of the page around it: these are our words and not the mail's."""
_NOTHING_WRITTEN: Final = "The mail is shown here once it has a title and words, each time the draft is saved."


class MailPreview(msgspec.Struct, frozen=True, kw_only=True):
    """The API's: a mail as it will be sent."""

    from_: str | None = msgspec.field(name="from", default=None)
    to: str = ""
    subject: str
    preheader: str = ""
    html: str | None
    text: str
    html_bytes: int = 0


def read_choice(request: AnyRequest) -> PreviewChoice:
    """What the address says; what it says wrong is as if it were not said."""
    given = request.query_params
    variant = str(given.get("variant", "1"))
    return PreviewChoice(
        reader=str(given.get("reader", "")).strip()[:ADDRESS_CHARS_MAX],
        part="text" if given.get("part") == "text" else "html",
        scheme="dark" if given.get("scheme") == "dark" else "light",
        width="phone" if given.get("width") == "phone" else "desktop",
        variant=int(variant) if variant in {"1", "2", "3", "4"} else 1,
    )


async def ask_preview(calls: ServiceCalls, issue_id: int, *, variant: int, subscriber_id: int | None) -> MailPreview:
    """Raises as `ServiceCalls.send`: the draft has faults, or there is no such reader."""
    body: dict[str, object] = {"variant": variant}
    if subscriber_id is not None:
        body["subscriber_id"] = subscriber_id
    return await calls.send("publishing", "POST", f"/api/v1/issues/{issue_id}/preview", MailPreview, body=body)


@get("/issues/{issue_id:str}/preview", include_in_schema=False, opt=_PREVIEWS)
async def show_preview(
    issue_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    number, choice = parse_id(issue_id), read_choice(context.request)
    issue = (await ask_draft(context.calls, number)).value
    reader, samples = await asyncio.gather(
        choose_reader(context.calls, context.session, issue.newsletter_id, choice.reader),
        ask_samples(context.calls, context.session, issue.newsletter_id),
    )
    view = PreviewPage(
        signed_in=context.session.signed_in,
        issue_id=number,
        title=issue.title,
        chosen=choice,
        is_draft=issue.status.value == "draft",
        variants=1 + (len(issue.ab_test.others) if issue.ab_test is not None else 0),
        frame_path=frame_path(number, choice, reader.subscriber_id),
        faults=issue.faults,
        may_choose_reader=may_read_subscribers(context.session, issue.newsletter_id),
        samples=samples,
        reader_error=reader.error,
        candidates=reader.candidates,
    )
    if reader.error:
        return context.responder.page(view, status=422)
    try:
        mail = await ask_preview(context.calls, number, variant=choice.variant, subscriber_id=reader.subscriber_id)
    except UpstreamRefusalError as refusal:
        if _is_nobody(refusal):
            return context.responder.page(msgspec.structs.replace(view, reader_error=NOBODY), status=422)
        return context.responder.page(
            msgspec.structs.replace(view, refusal=refusal_sentence(refusal)), status=refusal.status
        )
    return context.responder.page(
        msgspec.structs.replace(
            view,
            subject=mail.subject,
            preheader=mail.preheader,
            sender=mail.from_ or "",
            to=mail.to,
            text=mail.text,
            html_bytes=mail.html_bytes,
            has_html=mail.html is not None,
        )
    )


def frame_path(issue_id: int, choice: PreviewChoice, subscriber_id: int | None) -> str:
    """With the reader's number: the frame has nobody to look for."""
    reader = "" if subscriber_id is None else str(subscriber_id)
    given = {"reader": reader, "scheme": choice.scheme, "variant": choice.variant, "part": choice.part}
    return (
        f"/admin/issues/{issue_id}/preview/frame?{urlencode({name: value for name, value in given.items() if value})}"
    )


@get("/issues/{issue_id:str}/preview/frame", include_in_schema=False, opt=_PREVIEWS)
async def show_frame(
    issue_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> Response[str]:
    """The mail's own HTML, as it is mailed; or its plain text as a document. `scheme=dark`: as a mail program with a
    dark look shows it, which is for the mail's own styles to answer. `beside=text`: as the editor shows it. A draft
    that cannot be a mail yet is no error here: the frame says why.
    """
    html = await _framed(context, parse_id(issue_id), read_choice(context.request))
    is_beside_the_text = context.request.query_params.get("beside") == "text"
    return Response(html, media_type=HTML, headers=frame_headers(is_beside_the_text=is_beside_the_text))


def frame_headers(*, is_beside_the_text: bool) -> dict[str, str]:
    policy = _BESIDE_THE_TEXT if is_beside_the_text else _APART
    return {"Content-Security-Policy": policy, "X-Frame-Options": "SAMEORIGIN"}


async def _framed(context: PageContext, issue_id: int, choice: PreviewChoice) -> str:
    try:
        reader = ChosenReader()
        if choice.reader:
            newsletter_id = (await ask_draft(context.calls, issue_id)).value.newsletter_id
            reader = await choose_reader(context.calls, context.session, newsletter_id, choice.reader)
        if reader.error:
            return _notice(_told(reader))
        mail = await ask_preview(context.calls, issue_id, variant=choice.variant, subscriber_id=reader.subscriber_id)
    except (UpstreamRefusalError, ProblemError) as error:
        if isinstance(error, UpstreamRefusalError) and _is_nobody(error):
            return _notice(NOBODY)
        return _notice(await _why_no_mail(context, issue_id, error))
    if choice.part == "text" or mail.html is None:
        return _plain(mail.text)
    return with_scheme(mail.html, choice.scheme)


async def _why_no_mail(context: PageContext, issue_id: int, error: UpstreamRefusalError | ProblemError) -> str:
    """A draft without a word has no fault yet. Of another one, its faults with their places."""
    found = await or_none(ask_draft(context.calls, issue_id)) if error.status == _HAS_FAULTS else None
    if found is None:
        return refusal_sentence(error)
    draft = found.value
    if not draft.content.strip() and not (draft.text_content or "").strip():
        return _NOTHING_WRITTEN
    faults = (
        f"{one.field.replace('_', ' ').capitalize()}{f', line {one.line}' if one.line else ''}: {one.detail}"
        for one in draft.faults
    )
    return "\n".join((refusal_sentence(error), *faults))


def _is_nobody(refusal: UpstreamRefusalError) -> bool:
    return "subscriber_id" in refused_fields(refusal)


def _told(reader: ChosenReader) -> str:
    return "\n".join((reader.error, *(f"{one.email} {one.name}".strip() for one in reader.candidates)))


def with_scheme(html: str, scheme: str) -> str:
    """The document in a colour scheme, whatever the browser prefers: its own rules for that scheme hold, and those for
    the other do not. Its words stay as they are. The work grows with the length alone, whatever an author wrote.
    """

    def answer(query: re.Match[str]) -> str:
        return _ALWAYS if query[1].lower() == scheme else _NEVER

    def answered(found: re.Match[str]) -> str:
        return _SCHEME_QUERY.sub(answer, found[0])

    def meta(found: re.Match[str]) -> str:
        return _CONTENT.sub(rf'\g<1>"{scheme}"', found[0]) if "color-scheme" in found[0].lower() else found[0]

    parts = []
    for text, is_style in _parts(html):
        parts.append(_SCHEME_QUERY.sub(answer, text) if is_style else _META.sub(meta, _MEDIA.sub(answered, text)))
    return "".join(parts)


def _parts(html: str) -> Iterator[tuple[str, bool]]:
    """The document in pieces: what stands in `<style>`, and what does not."""
    lower, position = html.lower(), 0
    while (begin := lower.find("<style", position)) != -1:
        end = lower.find("</style", begin)
        end = len(html) if end == -1 else end
        yield html[position:begin], False
        yield html[begin:end], True
        position = end
    yield html[position:], False


def _plain(text: str) -> str:
    return _TEXT_DOCUMENT.format(language="", title="Plain text", text=escape(text))


def _notice(text: str) -> str:
    return _NOTICE_DOCUMENT.format(title="No preview", text=escape(text))


PREVIEW_HANDLERS: tuple[HTTPRouteHandler, ...] = (show_preview, show_frame)
