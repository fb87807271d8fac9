"""Merge fields: the names that a template may use, and the values that one mail has for them; pure."""

import re
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

AttributeType = Literal["text", "number", "boolean", "date"]
AttributeValue = str | float | int | bool
"""A value as in JSON; a date as `YYYY-MM-DD`."""

VARIABLES: Final = frozenset({
    "subscriber.name", "subscriber.email", "subscriber.tags", "newsletter.name", "newsletter.slug",
    "newsletter.postal_address", "issue.title", "issue.published_on", "unsubscribe_url", "preferences_url", "web_url",
})  # fmt: skip
"""Every field but the attributes of subscribers, which each installation defines: `subscriber.attributes.<name>`."""
TITLE_VARIABLES: Final = frozenset({
    "subscriber.name", "subscriber.email", "subscriber.tags", "newsletter.name", "newsletter.slug",
    "newsletter.postal_address", "issue.published_on",
})  # fmt: skip
"""What a title may use, besides attributes. It cannot contain itself, and links do not belong in it."""
SUBJECT_VARIABLES: Final = TITLE_VARIABLES | {"issue.title"}
"""What a subject or a preheader may use, besides attributes."""
SHARED_VARIABLES: Final = frozenset(
    {"newsletter.name", "newsletter.slug", "newsletter.postal_address", "issue.published_on", "web_url"}
)
"""The same in every mail of an issue; `issue.title` is too, if the title has no fields that differ."""

ISSUE_VARIABLES: Final = frozenset({"issue.title", "issue.published_on", "web_url"})
"""What a mail that belongs to no issue, as a welcome mail, cannot use."""

_ATTRIBUTES: Final = "subscriber.attributes."
_ATTRIBUTE: Final = re.compile(r"subscriber\.attributes\.([a-z][a-z0-9_]{0,62})")
_OF_TAGS: Final = frozenset({"subscriber.tags.size", "subscriber.tags.first", "subscriber.tags.last"})
_FIELDS: Final = {name: name.replace(".", "_") for name in VARIABLES - {"subscriber.tags"}}


class MailValues(msgspec.Struct, frozen=True):
    """The values merged into one mail, as plain text: the template escapes them.

    `issue_published_on` is a date as `YYYY-MM-DD`, in UTC. `web_url` is empty for an issue without an address on the
    web. `subscriber_attributes` has the values by name; one that a subscriber does not have is left out.
    """

    subscriber_name: str
    subscriber_email: str
    newsletter_name: str
    issue_title: str
    unsubscribe_url: str
    preferences_url: str = ""
    newsletter_slug: str = ""
    newsletter_postal_address: str = ""
    issue_published_on: str = ""
    web_url: str = ""
    subscriber_tags: tuple[str, ...] = ()
    subscriber_attributes: Mapping[str, AttributeValue] = {}


SAMPLE_VALUES: Final = MailValues(
    subscriber_name="Ada Lovelace",
    subscriber_email="ada@example.com",
    newsletter_name="Newsletter",
    issue_title="Title",
    unsubscribe_url="https://example.com/unsubscribe/sample",
    preferences_url="https://example.com/unsubscribe/sample/choices",
    newsletter_slug="newsletter",
    newsletter_postal_address="1 Example Street, Exampletown",
    issue_published_on="2026-01-31",
    web_url="https://example.com/archive/newsletter/title",
    subscriber_tags=("reader",),
)
"""For previews, and for finding templates at publish time that fail for every recipient."""
_SAMPLE_ATTRIBUTES: Final[dict[AttributeType, AttributeValue]] = {
    "text": "Sample",
    "number": 1,
    "boolean": True,
    "date": "2026-01-31",
}


def sample_values(attribute_types: Mapping[str, AttributeType]) -> MailValues:
    """`SAMPLE_VALUES` with a value for each of these attributes."""
    sample = {name: _SAMPLE_ATTRIBUTES[type_] for name, type_ in attribute_types.items()}
    return msgspec.structs.replace(SAMPLE_VALUES, subscriber_attributes=sample)


def attribute_of(variable: str) -> str | None:
    """The name of the attribute that a variable is; None if it is none."""
    found = _ATTRIBUTE.fullmatch(variable)
    return found[1] if found is not None else None


def field_of(variable: str) -> str | None:
    """The field of `MailValues` with the text of a variable; None if there is no such variable, or it is no text."""
    return _FIELDS.get(variable)


def uses_tags(variable: str) -> bool:
    return variable == "subscriber.tags" or variable in _OF_TAGS


def is_known(variable: str, attributes: frozenset[str]) -> bool:
    """Whether mails have this variable. `attributes`: the names of those that the installation has."""
    return variable in VARIABLES or variable in _OF_TAGS or attribute_of(variable) in attributes


def is_among(variable: str, allowed: frozenset[str]) -> bool:
    """Whether a variable is one of `allowed`, part of the tags, or an attribute, where those of people are allowed."""
    return variable in allowed or variable in _OF_TAGS or attribute_of(variable) is not None


def variable_names(attributes: frozenset[str], allowed: frozenset[str] = VARIABLES) -> str:
    """The allowed variables and these attributes in one line, as an author writes them."""
    names = [*sorted(allowed), *(f"{_ATTRIBUTES}{name}" for name in sorted(attributes))]
    return ", ".join(f"{{{{ {name} }}}}" for name in names)


def plain_number(value: AttributeValue | None) -> AttributeValue | None:
    """The same value; a whole number without its fraction, so that it is written as `3` and not as `3.0`."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def text_of(value: AttributeValue | None) -> str:
    """An attribute as it is written in a mail: true and false in lower case; nothing for None."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return str(plain_number(value)).lower() if isinstance(value, bool) else str(plain_number(value))


class Attributes(dict[str, AttributeValue | None]):
    """The attributes of a subscriber, as the engine reads them: one that is missing is None.

    Without this, Liquid would take `attributes.size` for their number where no attribute has that name.
    """

    def __missing__(self, name: str) -> None:
        return None


def globals_of(values: MailValues) -> dict[str, object]:
    """The values in the structure that templates read them from."""
    attributes = Attributes({name: plain_number(value) for name, value in values.subscriber_attributes.items()})
    return {
        "subscriber": {
            "name": values.subscriber_name,
            "email": values.subscriber_email,
            "tags": list(values.subscriber_tags),
            "attributes": attributes,
        },
        "newsletter": {
            "name": values.newsletter_name,
            "slug": values.newsletter_slug,
            "postal_address": values.newsletter_postal_address,
        },
        "issue": {"title": values.issue_title, "published_on": values.issue_published_on},
        "unsubscribe_url": values.unsubscribe_url,
        "preferences_url": values.preferences_url,
        "web_url": values.web_url,
    }
