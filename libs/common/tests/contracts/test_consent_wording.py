"""A sentence that people agreed to is never changed afterwards."""

import hashlib

from broadsheet_common.contracts.consent_wording import CURRENT_VERSION, CURRENT_WORDING, WORDINGS

SHOWN = {1: "6b8fa357833777fdd17ffeaea71f4c051522a4e14826fa1cba88fcccb568bfa0"}
"""SHA-256 of every version that was ever shown. A new sentence is added here and there, under a new number."""


def test_every_version_that_was_shown_is_there_as_it_was() -> None:
    assert {version: hashlib.sha256(text.encode()).hexdigest() for version, text in WORDINGS.items()} == SHOWN


def test_the_current_one_is_the_newest() -> None:
    assert max(WORDINGS) == CURRENT_VERSION
    assert WORDINGS[CURRENT_VERSION] == CURRENT_WORDING
