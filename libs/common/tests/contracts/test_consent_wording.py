"""A sentence that people agreed to is never changed afterwards."""

import hashlib

import pytest

from broadsheet_common.contracts.consent_wording import CURRENT, WORDINGS, current_wording
from broadsheet_common.languages.language import LANGUAGES, Language

SHOWN = {
    1: "6b8fa357833777fdd17ffeaea71f4c051522a4e14826fa1cba88fcccb568bfa0",
    2: "4ab94191e29d29834bf66d4381d80aecf4666805086a5299d5df92f55365da10",
    3: "fa0d41df1b8ed307f2d67d4fee5262cfb31cdd506dd7fcfa7590dae20c40f9b1",
    4: "1e371a5181ffb145b967f35227ad0594152cabf2651260c53c7cddd637e95e8e",
}
"""SHA-256 of every version that was ever shown. A new sentence is added here and there, under a new number."""


def test_every_version_that_was_shown_is_there_as_it_was() -> None:
    assert {version: hashlib.sha256(text.encode()).hexdigest() for version, text in WORDINGS.items()} == SHOWN


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_has_a_version_of_its_own(language: Language) -> None:
    """So that the version alone, which the record keeps, says which words were shown."""
    shown = current_wording(language)
    assert shown.text == WORDINGS[shown.version]
    assert [other for other in LANGUAGES if CURRENT[other] == shown.version] == [language]
    assert len(set(WORDINGS.values())) == len(WORDINGS)
