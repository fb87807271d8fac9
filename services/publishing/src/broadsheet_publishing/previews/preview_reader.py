"""As whom a mail is previewed."""

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http.problems import FieldProblem, InvalidInputError
from broadsheet_common.mail.issue_mail import Reader
from broadsheet_publishing.issues.interface import read_attribute_types
from broadsheet_publishing.previews import store
from broadsheet_publishing.previews.sample_reader import links_of, sample_reader


class NoSubscriberError(InvalidInputError):
    def __init__(self) -> None:
        super().__init__(
            errors=(FieldProblem(pointer="/subscriber_id", detail="The newsletter has no such subscriber."),)
        )


async def read_reader(
    connection: AsyncConnection,
    public_url: str,
    newsletter_id: int,
    *,
    subscriber_id: int | None,
    sample: store.ReaderRow | None,
) -> Reader:
    """This subscriber of the newsletter, or this sample person; neither: a person with a value for everything.

    Raises:
        NoSubscriberError: nobody of this number is on the newsletter.
    """
    person = sample
    if subscriber_id is not None:
        person = await store.find_reader(connection, newsletter_id=newsletter_id, subscriber_id=subscriber_id)
        if person is None:
            raise NoSubscriberError
    if person is None:
        person = sample_reader(await read_attribute_types(connection))
    unsubscribe_url, preferences_url = links_of(public_url)
    return Reader(
        name=person.name,
        email=person.email,
        tags=person.tags,
        attributes=person.attributes,
        unsubscribe_url=unsubscribe_url,
        preferences_url=preferences_url,
    )
