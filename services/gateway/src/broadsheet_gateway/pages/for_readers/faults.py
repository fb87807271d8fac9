"""What readers are told of errors, in their language.

Services say what is wrong in English. Their texts that readers may meet are listed here, so that the catalogues have
them; for any other text a page in another language says in general what to do, instead of a sentence in English.
"""

from collections.abc import Mapping
from typing import Final

from broadsheet_common.http.problems import Problem, ProblemError, as_sentence
from broadsheet_common.languages.catalogue import marked
from broadsheet_common.languages.language import Language
from broadsheet_gateway.pages.for_readers.words import CATALOGUES

TEXTS_OF_SERVICES: Final = frozenset(
    {
        # Titles.
        marked("The input is not valid"),
        marked("The request could not be read"),
        marked("Not found"),
        marked("The service is temporarily unavailable; try again"),
        marked("Something went wrong on our side"),
        marked("This resource does not support this method"),
        marked("The request did not arrive in time"),
        marked("The body is too large"),
        marked("Too many requests; try again later"),
        marked("This link is not valid or has expired"),
        marked("This link is not known, or is too old"),
        marked("This address has subscriptions of its own"),
        marked("Your address is being changed at this moment"),
        marked("Very many people are signing up at this moment"),
        # What to do.
        marked("There is no such newsletter."),
        marked("There is no such page in an archive."),
        marked("There is no subscription to this newsletter."),
        marked("The link is not complete: open it exactly as it is in the mail."),
        marked("Subscribe again to get a new one."),
        marked("Links to your own page work for a short time. Ask for a new one at the foot of any issue."),
        marked("Unsubscribe it with the link in a mail that it gets, then confirm again."),
        marked("Press the button again in a moment."),
        marked("The form could not be read."),
        marked(
            "Nothing is lost: wait for a few seconds, then reload this page. Your browser still has what you typed, "
            "and sends it again."
        ),
        # At a field.
        marked("An e-mail address is needed."),
        marked("An email address must have an @-sign."),
        marked("There must be something before the @-sign."),
        marked("There must be something after the @-sign."),
        marked("The part before the @ may hold only ASCII characters."),
        marked("The e-mail address is too long."),
        marked("The part after the @ needs a dot: no mail goes to a top-level domain."),
        marked("This address belongs to an office, not to a person: please use one of your own."),
        marked("Addresses that are only for a while are not taken here: please use another."),
        marked("This is your address already."),
        marked("A name is needed."),
        marked("A name may not hold line breaks or control characters."),
        marked("A name may be at most 256 characters long."),
    }
)
_FIELDS: Final = {
    "email": marked("This is not a complete e-mail address. Please check it."),
    "name": marked("This name cannot be used. Please write it in another way."),
}
_ANY_FIELD: Final = marked("Please check this.")
_SERVER_FAULT_MIN: Final = 500


def known_words(text: str, language: Language, otherwise: str = "") -> str:
    """A text of a service in this language; `otherwise` if there is no translation of it."""
    catalogue = CATALOGUES[language]
    return catalogue(text) if text in catalogue else otherwise


def in_words(errors: Mapping[str, str], language: Language) -> dict[str, str]:
    """The faults of a form by field, in this language."""
    translate = CATALOGUES[language]
    return {
        field: as_sentence(known_words(detail, language, translate(_FIELDS.get(field, _ANY_FIELD))))
        for field, detail in errors.items()
    }


def sign_up_fault(error: ProblemError, language: Language) -> str:
    """What stands above a sign-up form that could not be taken; what was typed is in it."""
    translate = CATALOGUES[language]
    reason = known_words(error.detail, language) if error.detail else ""
    reason = reason or known_words(error.title, language, translate("Something went wrong on our side"))
    again = translate("Nothing was lost: please send the form again in a moment.")
    return f"{as_sentence(reason)} {again}"


def title_and_detail(problem: Problem, language: Language) -> tuple[str, str]:
    """What an error page says. A detail that is not known in this language is left out; a title is replaced."""
    translate = CATALOGUES[language]
    if problem.status >= _SERVER_FAULT_MIN:
        general = translate("Something went wrong on our side")
    else:
        general = translate("The request could not be read")
    return known_words(problem.title, language, general), known_words(problem.detail, language)
