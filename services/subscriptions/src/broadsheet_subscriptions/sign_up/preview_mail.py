"""A mail about a sign-up as a reader gets it, for whoever writes its words. Nothing is stored or sent."""

from typing import Literal

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.preview_link import PREVIEW_TOKEN
from broadsheet_common.http.problems import NotFoundError
from broadsheet_common.languages.reader_texts import ReaderTexts
from broadsheet_subscriptions.sign_up import store
from broadsheet_subscriptions.sign_up.confirmation_mail import (
    ConfirmationMail,
    write_already_subscribed_mail,
    write_confirmation_mail,
)
from broadsheet_subscriptions.sign_up.subscribe import ConfirmationPolicy

SignUpMailKind = Literal["confirmation", "already_subscribed"]


async def preview_mail(
    connection: AsyncConnection,
    newsletter_id: int,
    kind: SignUpMailKind,
    texts: dict[str, str],
    policy: ConfirmationPolicy,
) -> ConfirmationMail:
    """`texts`: what is being written, by the names of `ReaderTexts`; the others are as they are saved. Its link acts
    for nobody.

    Raises:
        NotFoundError: there is no such newsletter.
    """
    newsletter = await store.find_newsletter(connection, newsletter_id)
    if newsletter is None:
        raise NotFoundError("There is no such newsletter.")
    own: ReaderTexts = msgspec.structs.replace(newsletter.texts, **texts)
    if kind == "already_subscribed":
        return write_already_subscribed_mail(
            look=newsletter.look, postal_address=newsletter.postal_address, language=newsletter.language, texts=own
        )
    return write_confirmation_mail(
        look=newsletter.look,
        postal_address=newsletter.postal_address,
        language=newsletter.language,
        public_url=policy.public_url,
        token=PREVIEW_TOKEN,
        lifetime_s=int(policy.lifetime.total_seconds()),
        texts=own,
    )
