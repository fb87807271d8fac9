"""A mail about a sign-up as a reader gets it, for whoever writes its words. Nothing is stored or sent."""

from typing import Literal

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.preview_link import PREVIEW_TOKEN
from broadsheet_common.http.problems import NotFoundError
from broadsheet_subscriptions.sign_up import store
from broadsheet_subscriptions.sign_up.confirmation_mail import ConfirmationMail
from broadsheet_subscriptions.sign_up.subscribe import ConfirmationPolicy, write_already, write_mail

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
    written = msgspec.structs.replace(newsletter, texts=msgspec.structs.replace(newsletter.texts, **texts))
    return write_already(written) if kind == "already_subscribed" else write_mail(written, PREVIEW_TOKEN, policy)
