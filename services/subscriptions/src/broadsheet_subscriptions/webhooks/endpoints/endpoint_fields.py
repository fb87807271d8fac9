"""The fields of an endpoint that may be set, and their checks."""

from collections.abc import Sequence
from typing import Final

import msgspec

from broadsheet_common.http.problems import FieldProblem, InvalidInputError
from broadsheet_common.outgoing.target import TargetPolicy
from broadsheet_subscriptions.webhooks.endpoints.endpoint import Endpoint
from broadsheet_subscriptions.webhooks.sending.event import EventType

DESCRIPTION_CHARS_MAX: Final = 500


class EndpointFields(msgspec.Struct, frozen=True):
    url: str
    description: str
    events: list[EventType]
    newsletter_ids: list[int] | None
    enabled: bool


def fields_of(endpoint: Endpoint) -> EndpointFields:
    return EndpointFields(
        endpoint.url, endpoint.description, endpoint.events, endpoint.newsletter_ids, endpoint.enabled
    )


def parse_fields(
    policy: TargetPolicy,
    *,
    url: str,
    description: str,
    events: Sequence[EventType],
    newsletter_ids: Sequence[int] | None,
    enabled: bool,
) -> EndpointFields:
    """Raises `InvalidInputError` that names every invalid field. Does not check whether the newsletters exist."""
    problems: list[FieldProblem] = []
    try:
        policy.parse_url(url)
    except ValueError as error:
        problems.append(FieldProblem(pointer="/url", detail=str(error)))
    if not all(character.isprintable() for character in description):
        problems.append(FieldProblem(pointer="/description", detail="It must be one line without control characters."))
    if problems:
        raise InvalidInputError(errors=tuple(problems))
    return EndpointFields(
        url,
        description,
        list(dict.fromkeys(events)),
        None if newsletter_ids is None else sorted(set(newsletter_ids)),
        enabled,
    )
