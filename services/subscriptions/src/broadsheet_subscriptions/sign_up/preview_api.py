"""The route that shows a mail about a sign-up to whoever writes its words; below `/api/v1/newsletters`."""

from typing import Annotated

import msgspec
from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import newsletter_in_path, requires
from broadsheet_common.http.problems import InvalidInputError, NotFoundError
from broadsheet_common.http.record_id import PathId
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only
from broadsheet_subscriptions.sign_up.preview_mail import SignUpMailKind, preview_mail
from broadsheet_subscriptions.sign_up.subscribe import ConfirmationPolicy

PreviewText = Annotated[str, msgspec.Meta(max_length=10_000)]


class SignUpMailTexts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is being written, in place of what is saved: those of the newsletter's `texts` that stand in these mails.
    One that is left out is as it is saved; an empty one means our own words.
    """

    confirmation_mail_subject: PreviewText | UnsetType = UNSET
    confirmation_mail_heading: PreviewText | UnsetType = UNSET
    confirmation_mail_text: PreviewText | UnsetType = UNSET
    confirmation_mail_button: PreviewText | UnsetType = UNSET
    already_subscribed_mail_subject: PreviewText | UnsetType = UNSET
    already_subscribed_mail_heading: PreviewText | UnsetType = UNSET
    already_subscribed_mail_text: PreviewText | UnsetType = UNSET

    def given(self) -> dict[str, str]:
        return {name: text for name in self.__struct_fields__ if (text := getattr(self, name)) is not UNSET}


class SignUpMailPreviewInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`mail`: the one that asks to confirm, or the one to somebody who is subscribed already."""

    mail: SignUpMailKind
    texts: SignUpMailTexts = SignUpMailTexts()


class SignUpMailPreview(msgspec.Struct, frozen=True, kw_only=True):
    subject: str
    html: str
    text: str


class SignUpMailController(Controller):
    path = "/api/v1/newsletters"
    tags = ("Previews",)
    request_class = JsonRequest

    @post(
        "/{newsletter_id:int}/sign-up-mails/preview",
        operation_id="previewSignUpMail",
        summary="A mail about a sign-up as a reader gets it",
        status_code=200,
        guards=[requires("newsletters:read", newsletter=newsletter_in_path), json_only],
        responses=documents(NotFoundError, InvalidInputError, body=True),
    )
    async def preview_sign_up_mail(
        self,
        newsletter_id: PathId,
        data: JSONBody[SignUpMailPreviewInput],
        engine: NamedDependency[AsyncEngine],
        confirmation_policy: NamedDependency[ConfirmationPolicy],
    ) -> SignUpMailPreview:
        """Its link acts for nobody."""
        async with engine.connect() as connection:
            mail = await preview_mail(connection, newsletter_id, data.mail, data.texts.given(), confirmation_policy)
        return SignUpMailPreview(subject=mail.subject, html=mail.html_body, text=mail.text_body)
