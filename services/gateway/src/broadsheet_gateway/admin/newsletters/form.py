"""What the forms on newsletters have in common: what was typed, and what is said when it is refused."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, TypeVar

import msgspec

from broadsheet_common.http.entity_tag import PreconditionFailedError
from broadsheet_common.http.problems import ProblemError
from broadsheet_gateway.admin.differences import NOTHING_IS_LOST, differences
from broadsheet_gateway.admin.newsletters.newsletter import LABELS, Fields, errors_by_field
from broadsheet_gateway.admin.newsletters.reader_texts import TEXT_LABELS
from broadsheet_gateway.admin.newsletters.views import NewsletterPage, NewsletterTextsPage
from broadsheet_gateway.admin.service_calls import refusal_sentence, refused_fields
from broadsheet_gateway.admin.time_zones import zone_typed
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError
from broadsheet_gateway.http.forms import Form

NEWSLETTERS_PATH: Final = "/admin/settings/newsletters"
FORM_MAX_BYTES: Final = 512 * 1024
"""A welcome mail's 50,000 characters, each of them three bytes, percent-encoded."""
PageT = TypeVar("PageT", NewsletterPage, NewsletterTextsPage)
_FIELDS: Final = frozenset({*LABELS, *TEXT_LABELS, "to"})


def path_of(newsletter_id: int) -> str:
    return f"{NEWSLETTERS_PATH}/{newsletter_id}"


def typed_fields(form: Form, names: Iterable[str]) -> Fields:
    """A time zone may be typed as its city."""
    return {name: zone_typed(form.text(name)) if name == "time_zone" else plain(form.text(name)) for name in names}


def plain(text: str) -> str:
    """Browsers send line breaks as CR and LF."""
    return text.replace("\r\n", "\n")


def told(refused: UpstreamRefusalError | ProblemError) -> tuple[dict[str, str], str, int]:
    """What to say at the fields, of the whole form, and with which status."""
    if isinstance(refused, UpstreamRefusalError):
        errors = errors_by_field(refused_fields(refused))
        unknown = [detail for name, detail in errors.items() if name not in _FIELDS]
        sentence = " ".join(unknown) if errors else refusal_sentence(refused)
        return errors, sentence, refused.status
    return {}, refusal_sentence(refused), refused.status


async def refused_save(
    view: PageT,
    labels: Mapping[str, str],
    typed: Fields,
    refused: UpstreamRefusalError | ProblemError,
    *,
    version: str,
    read_again: Callable[[], Awaitable[PageT]],
) -> tuple[PageT, int]:
    """The page with everything that was typed, and its status. `version`: what was sent as `If-Match`. If somebody else
    was faster, the page shows both values, and has the version that it shows.
    """
    errors, form_error, status = told(refused)
    if status != PreconditionFailedError.status:
        again = msgspec.structs.replace(view, fields=typed, errors=errors, form_error=form_error, version=version)
        return again, status
    now = await read_again()
    again = msgspec.structs.replace(
        now,
        fields=typed,
        errors=errors,
        form_error=NOTHING_IS_LOST.format(what="this newsletter"),
        differences=differences(labels, typed, now.fields),
    )
    return again, status
