"""A newsletter's own words for readers as fields of a form, in the order in which a reader meets them; pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from broadsheet_common.languages.reader_texts import ReaderTexts
from broadsheet_gateway.admin.newsletters.newsletter import Fields, Newsletter

Picture = Literal[
    "sign-up", "check-inbox", "confirmation-mail", "confirm", "confirmed", "already-subscribed-mail", "unsubscribe",
    "unsubscribed", "archive",
]  # fmt: skip
"""The last part of the address at which a page or mail is shown with these words."""


class TextField(msgspec.Struct, frozen=True):
    """`rows`: of the field; one row is a line."""

    name: str
    label: str
    rows: int = 1


class TextGroup(msgspec.Struct, frozen=True):
    """The words of one page or mail. `hint`: where it is met, and what of it stays ours."""

    picture: Picture
    heading: str
    hint: str
    fields: tuple[TextField, ...]

    @property
    def field_names(self) -> str:
        return " ".join(field.name for field in self.fields)


def _fields(prefix: str, what: str, *parts: Literal["subject", "heading", "text", "button"]) -> tuple[TextField, ...]:
    named = {"subject": "Subject", "heading": "Heading", "text": "Text", "button": "Button"}
    return tuple(TextField(f"{prefix}_{part}", f"{named[part]} {what}", 4 if part == "text" else 1) for part in parts)


GROUPS: Final = (
    TextGroup(
        "sign-up",
        "Under the sign-up form",
        "Three promises. The page's heading, text and button are with the newsletter's settings.",
        tuple(
            field
            for number, ordinal in ((1, "first"), (2, "second"), (3, "third"))
            for field in (
                TextField(f"promise_{number}_heading", f"Heading of the {ordinal} promise"),
                TextField(f"promise_{number}_text", f"Text of the {ordinal} promise", 2),
            )
        ),
    ),
    TextGroup(
        "check-inbox",
        "After the sign-up form",
        "It is the same for everybody, so that nobody learns who is subscribed.",
        _fields("check_inbox", "after the form", "heading", "text"),
    ),
    TextGroup(
        "confirmation-mail",
        "Mail that asks to confirm",
        "What it says of its link, and to somebody who did not ask for it, stays ours. It holds no other web address.",
        _fields("confirmation_mail", "of the mail that asks to confirm", "subject", "heading", "text", "button"),
    ),
    TextGroup(
        "confirm",
        "Page that its link opens",
        "Nothing is confirmed before the button is pressed.",
        _fields("confirm", "of the page that confirms", "heading", "text", "button"),
    ),
    TextGroup(
        "confirmed",
        "After confirming",
        "",
        _fields("confirmed", "after confirming", "heading", "text"),
    ),
    TextGroup(
        "already-subscribed-mail",
        "Mail to somebody who signs up again",
        "They are subscribed already, and the mail says so.",
        _fields("already_subscribed_mail", "of the mail to who signs up again", "subject", "heading", "text"),
    ),
    TextGroup(
        "unsubscribe",
        "Before leaving",
        "The button and the way to other choices stay ours.",
        _fields("unsubscribe", "before leaving", "heading", "text"),
    ),
    TextGroup(
        "unsubscribed",
        "After leaving",
        "That a mail may still be on its way, and the way back, stay ours.",
        _fields("unsubscribed", "after leaving", "heading", "text"),
    ),
    TextGroup("archive", "Issues on the web", "", (TextField("archive_heading", "Heading of the list of issues"),)),
)
TEXT_LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {field.name: field.label for group in GROUPS for field in group.fields}
)
"""Every field of the form, in its order."""
_OF_MAILS: Final = ("confirmation_mail_", "already_subscribed_mail_")


def text_fields_of(newsletter: Newsletter) -> Fields:
    return {name: getattr(newsletter.texts, name) for name in TEXT_LABELS}


def changed_texts(saved: Fields, typed: Fields) -> dict[str, str]:
    return {name: text.strip() for name, text in typed.items() if text.strip() != saved[name].strip()}


def as_texts(typed: Fields) -> ReaderTexts:
    return ReaderTexts(**{name: typed[name].strip() for name in TEXT_LABELS})


def texts_of_mails(typed: Fields) -> dict[str, str]:
    return {name: typed[name].strip() for name in TEXT_LABELS if name.startswith(_OF_MAILS)}
