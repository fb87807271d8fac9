"""The `Idempotency-Key` that a form carries in a hidden field, so that sending it twice makes one thing."""

import re
import secrets
from typing import Final

from broadsheet_gateway.http.forms import Form

FIELD: Final = "idempotency_key"
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")


def new_form_key() -> str:
    return secrets.token_urlsafe(16)


def form_key_of(form: Form) -> str:
    """The key that came with the form; a new one where none of ours did."""
    given = form.text(FIELD)
    return given if _KEY.fullmatch(given) else new_form_key()
