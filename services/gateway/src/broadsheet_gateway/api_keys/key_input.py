"""What a key is asked to be, checked; pure."""

from datetime import UTC, datetime

from broadsheet_common.http.problems import FieldProblem, InvalidInputError


def parse_name(text: str) -> str:
    """Raises `InvalidInputError`."""
    name = " ".join(text.split())
    if not name or not name.isprintable():
        raise InvalidInputError(errors=(FieldProblem("/name", "It needs characters that can be shown."),))
    return name


def parse_expiry(when: datetime | None) -> datetime | None:
    """Raises `InvalidInputError` for a moment without a time zone, or one that is over."""
    if when is None:
        return None
    if when.tzinfo is None:
        raise InvalidInputError(errors=(FieldProblem("/expires_at", "It needs a time zone, for example Z."),))
    if when <= datetime.now(UTC):
        raise InvalidInputError(errors=(FieldProblem("/expires_at", "This is in the past."),))
    return when
