"""Reading the form about an endpoint."""

from collections.abc import Mapping
from typing import Any, Final

from broadsheet_gateway.admin.differences import Difference, differences
from broadsheet_gateway.admin.newsletter_facts import NEWSLETTERS_MAX
from broadsheet_gateway.admin.outgoing_webhooks.views import EVENTS, Endpoint, TypedEndpoint, event_text
from broadsheet_gateway.http.forms import Form

URL_CHARS_MAX: Final = 2_000
DESCRIPTION_CHARS_MAX: Final = 500
ENDPOINT_NEWSLETTERS_MAX: Final = 100
FIELDS_MAX: Final = NEWSLETTERS_MAX + 50
LABELS: Final = {
    "url": "Address that is called", "events": "Events", "newsletter_ids": "Newsletters", "description": "Description",
}  # fmt: skip
_NEWSLETTER: Final = "newsletter_"
_ID_DIGITS_MAX: Final = 18


def read_endpoint(form: Form) -> TypedEndpoint:
    numbers = (name.removeprefix(_NEWSLETTER) for name in form.fields if name.startswith(_NEWSLETTER))
    return TypedEndpoint(
        url=form.text("url").strip()[: URL_CHARS_MAX + 1],
        description=form.text("description").strip()[: DESCRIPTION_CHARS_MAX + 1],
        events=frozenset(event for event, _, _ in EVENTS if form.text(field_of(event)) == "yes"),
        newsletters=frozenset(
            int(one) for one in numbers if one.isascii() and one.isdigit() and len(one) <= _ID_DIGITS_MAX
        ),
    )


def field_of(event: str) -> str:
    """`subscriber.confirmed` is the box `event_confirmed`."""
    return "event_" + event.partition(".")[2]


def typed_of(endpoint: Endpoint) -> TypedEndpoint:
    return TypedEndpoint(
        url=endpoint.url,
        description=endpoint.description,
        events=frozenset(endpoint.events),
        newsletters=frozenset(endpoint.newsletter_ids or ()),
    )


def find_faults(typed: TypedEndpoint) -> dict[str, str]:
    faults: dict[str, str] = {}
    if not typed.url:
        faults["url"] = "Enter the address that is to be called."
    elif len(typed.url) > URL_CHARS_MAX:
        faults["url"] = f"At most {URL_CHARS_MAX:,} characters."
    if len(typed.description) > DESCRIPTION_CHARS_MAX:
        faults["description"] = f"At most {DESCRIPTION_CHARS_MAX} characters."
    if not typed.events:
        faults["events"] = "Choose at least one event."
    if len(typed.newsletters) > ENDPOINT_NEWSLETTERS_MAX:
        faults["newsletter_ids"] = f"At most {ENDPOINT_NEWSLETTERS_MAX} newsletters; none means every one."
    return faults


def body_of(typed: TypedEndpoint) -> dict[str, Any]:
    """What the API takes."""
    return {
        "url": typed.url,
        "description": typed.description,
        "events": [event for event, _, _ in EVENTS if event in typed.events],
        "newsletter_ids": sorted(typed.newsletters) or None,
    }


def differences_between(
    typed: TypedEndpoint, saved: TypedEndpoint, newsletters: Mapping[int, str]
) -> tuple[Difference, ...]:
    """In the form's words. `newsletters`: names by id."""
    return differences(LABELS, _in_words(typed, newsletters), _in_words(saved, newsletters))


def _in_words(typed: TypedEndpoint, newsletters: Mapping[int, str]) -> dict[str, str]:
    names = [newsletters.get(one, f"Newsletter {one}") for one in sorted(typed.newsletters)]
    return {
        "url": typed.url,
        "events": ", ".join(event_text(event) for event, _, _ in EVENTS if event in typed.events),
        "newsletter_ids": ", ".join(names) or "Every newsletter",
        "description": typed.description,
    }
