"""Define, relabel and remove attributes. Each function works in the caller's transaction."""

import re

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http.problems import ConflictError, FieldProblem, InvalidInputError, NotFoundError
from broadsheet_subscriptions.attributes import store
from broadsheet_subscriptions.attributes.attribute import AttributeType, is_attribute_name

LABEL_CHARS_MAX = 200
_UNPRINTABLE = re.compile("[\0-\x1f\x7f\u2028\u2029\ud800-\udfff]")


class AttributeExistsError(ConflictError):
    slug, title = "attribute-exists", "There is an attribute of this name, or its values are still being removed"


class TooManyAttributesError(ConflictError):
    slug, title = "too-many-attributes", f"There may be at most {store.ATTRIBUTES_MAX} attributes"


class AttributeInUseError(ConflictError):
    slug, title = "attribute-in-use", "A segment uses this attribute"


async def define_attribute(
    connection: AsyncConnection, *, name: str, type_: AttributeType, label: str
) -> store.AttributeRow:
    """Raises InvalidInputError, AttributeExistsError, TooManyAttributesError."""
    if not is_attribute_name(name):
        detail = "A name is a small letter and then up to 62 small letters, digits and underscores."
        raise InvalidInputError(errors=(FieldProblem(pointer="/name", detail=detail),))
    if not await store.has_room(connection):
        raise TooManyAttributesError
    row = await store.insert_attribute(connection, name=name, type_=type_, label=_parse_label(label))
    if row is None:
        raise AttributeExistsError
    return row


async def relabel_attribute(connection: AsyncConnection, name: str, label: str) -> store.AttributeRow:
    """Raises InvalidInputError, NotFoundError."""
    parsed = _parse_label(label)
    await lock_attribute(connection, name)
    return await store.set_label(connection, name, parsed)


async def remove_attribute(connection: AsyncConnection, name: str) -> None:
    """It is hidden from the commit on; its values are removed in the background (`remove_attribute_values`).

    Raises NotFoundError, AttributeInUseError.
    """
    await lock_attribute(connection, name)
    if await store.is_used(connection, name):
        raise AttributeInUseError
    await store.set_removed(connection, name)


async def lock_attribute(connection: AsyncConnection, name: str) -> store.AttributeRow:
    row = await store.find_attribute(connection, name, lock=True) if is_attribute_name(name) else None
    if row is None:
        raise NotFoundError("There is no such attribute.")
    return row


def _parse_label(raw: str) -> str:
    label = raw.strip()
    if not label or len(label) > LABEL_CHARS_MAX or _UNPRINTABLE.search(label):
        detail = f"A label has 1 to {LABEL_CHARS_MAX} characters, and no control characters."
        raise InvalidInputError(errors=(FieldProblem(pointer="/label", detail=detail),))
    return label
