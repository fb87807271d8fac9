"""Whom a mail is previewed as when nobody is named, and the links of previews and test mails; pure. The links act for
nobody, and their pages say so.
"""

from broadsheet_common.contracts.preview_link import PREVIEW_TOKEN
from broadsheet_common.mail.merge_fields import AttributeType, sample_values
from broadsheet_publishing.previews.store import ReaderRow

SUBJECT_MARK = "[Test] "


def links_of(public_url: str) -> tuple[str, str]:
    """The addresses for unsubscribing and for preferences."""
    return f"{public_url}/unsubscribe/{PREVIEW_TOKEN}", f"{public_url}/unsubscribe/{PREVIEW_TOKEN}/choices"


def sample_reader(attribute_types: dict[str, AttributeType]) -> ReaderRow:
    """Ada Lovelace, with a value for each attribute."""
    values = sample_values(attribute_types)
    return ReaderRow(
        name=values.subscriber_name,
        email=values.subscriber_email,
        tags=values.subscriber_tags,
        attributes=dict(values.subscriber_attributes),
    )
