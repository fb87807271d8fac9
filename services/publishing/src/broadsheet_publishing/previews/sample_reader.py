"""The links of previews and test mails, pure: they act for nobody, and their pages say so."""

from broadsheet_common.contracts.preview_link import PREVIEW_TOKEN
from broadsheet_common.mail.issue_mail import Reader
from broadsheet_common.mail.merge_fields import AttributeType, sample_values

SUBJECT_MARK = "[Test] "


def links_of(public_url: str) -> tuple[str, str]:
    """The addresses for unsubscribing and for preferences."""
    return f"{public_url}/unsubscribe/{PREVIEW_TOKEN}", f"{public_url}/unsubscribe/{PREVIEW_TOKEN}/choices"


def sample_reader(public_url: str, attribute_types: dict[str, AttributeType]) -> Reader:
    """Ada Lovelace, with a value for each attribute."""
    values = sample_values(attribute_types)
    unsubscribe_url, preferences_url = links_of(public_url)
    return Reader(
        name=values.subscriber_name,
        email=values.subscriber_email,
        tags=values.subscriber_tags,
        attributes=values.subscriber_attributes,
        unsubscribe_url=unsubscribe_url,
        preferences_url=preferences_url,
    )
