"""The sentences that people agree to at a sign-up form, by version.

A form shows one sentence and sends its version; the consent record stores the version. So a version that was ever
shown is never changed or removed: a new sentence is added at the end as a new version. A sentence in another language
is a version of its own: the version alone says which words were shown.
"""

from types import MappingProxyType
from typing import Final, NamedTuple

from broadsheet_common.languages.language import Language

WORDINGS: Final[dict[int, str]] = {
    1: (
        "Your name and address are kept to send you this newsletter. "
        "No mail comes before you confirm but the one that asks you to."
    ),
    2: (
        "Ihr Name und Ihre Adresse werden gespeichert, um Ihnen diesen Newsletter zu senden. "
        "Bevor Sie bestätigen, erhalten Sie nur die eine E-Mail, die Sie darum bittet."
    ),
    3: (
        "Votre nom et votre adresse sont conservés pour vous envoyer cette newsletter. "
        "Avant votre confirmation, vous ne recevrez que l’e-mail qui vous la demande."  # noqa: RUF001
    ),
    4: (
        "Su nombre y su dirección se conservan para enviarle este boletín. "
        "Hasta que lo confirme, solo recibirá el correo que le pide la confirmación."
    ),
}


class Wording(NamedTuple):
    version: int
    text: str


CURRENT: Final[MappingProxyType[Language, int]] = MappingProxyType({"en": 1, "de": 2, "fr": 3, "es": 4})
"""The version that forms in a language show."""


def current_wording(language: Language) -> Wording:
    return Wording(CURRENT[language], WORDINGS[CURRENT[language]])
