"""The JSON API for the attributes of subscribers, `/api/v1/attributes`."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import record_audit
from broadsheet_common.contracts.identity import ServiceRequest, requires
from broadsheet_common.http.entity_tag import (
    IfMatchHeader,
    PreconditionFailedError,
    PreconditionRequiredError,
    entity_tag,
    require_match,
)
from broadsheet_common.http.idempotency import (
    IdempotencyInFlightError,
    IdempotencyKeyHeader,
    IdempotencyKeyReusedError,
    find_first_answer,
    keep_answer,
    replay,
)
from broadsheet_common.http.pagination import Page
from broadsheet_common.http.problems import InvalidInputError, NotFoundError
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only
from broadsheet_subscriptions.attributes import store
from broadsheet_subscriptions.attributes.attribute import AttributeType, is_attribute_name
from broadsheet_subscriptions.attributes.define_attribute import (
    AttributeExistsError,
    AttributeInUseError,
    TooManyAttributesError,
    define_attribute,
    lock_attribute,
    relabel_attribute,
    remove_attribute,
)
from broadsheet_subscriptions.tables import idempotency_key

_RAW_CHARS_MAX = 1_000

AttributeName = Annotated[str, PathParameter(max_length=64)]


class Attribute(msgspec.Struct, frozen=True):
    """An attribute that subscribers may have a value for. Dates are texts, `YYYY-MM-DD`."""

    name: str
    type: AttributeType
    label: str
    created_at: datetime


class AttributeInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`label` null means that the name is the label."""

    name: Annotated[str, msgspec.Meta(max_length=_RAW_CHARS_MAX)]
    type: AttributeType
    label: Annotated[str, msgspec.Meta(max_length=_RAW_CHARS_MAX)] | None = None


class AttributeChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    label: Annotated[str, msgspec.Meta(max_length=_RAW_CHARS_MAX)]


class AttributeController(Controller):
    path = "/api/v1/attributes"
    tags = ("Attributes",)
    request_class = JsonRequest

    @get(
        operation_id="listAttributes",
        summary="List attributes by name",
        guards=[requires("attributes:read")],
        responses=documents(),
    )
    async def list_attributes(self, engine: NamedDependency[AsyncEngine]) -> Page[Attribute]:
        """All attributes on one page: there are at most 200."""
        async with engine.connect() as connection:
            return Page([_attribute(row) for row in await store.list_attributes(connection)], None)

    @get(
        "/{name:str}",
        operation_id="getAttribute",
        summary="Get an attribute",
        guards=[requires("attributes:read")],
        responses=documents(NotFoundError),
    )
    async def get_attribute(self, engine: NamedDependency[AsyncEngine], name: AttributeName) -> Response[Attribute]:
        async with engine.connect() as connection:
            row = await store.find_attribute(connection, name) if is_attribute_name(name) else None
        if row is None:
            raise NotFoundError("There is no such attribute.")
        attribute = _attribute(row)
        return Response(attribute, headers={"ETag": entity_tag(attribute)})

    @post(
        operation_id="createAttribute",
        summary="Define an attribute",
        guards=[requires("attributes:write"), json_only],
        responses=documents(
            InvalidInputError,
            AttributeExistsError,
            TooManyAttributesError,
            IdempotencyKeyReusedError,
            IdempotencyInFlightError,
            body=True,
        ),
    )
    async def create_attribute(
        self,
        request: ServiceRequest,
        data: JSONBody[AttributeInput],
        engine: NamedDependency[AsyncEngine],
        key: IdempotencyKeyHeader = None,
    ) -> Response[Attribute]:
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay(answer, Attribute, tag_of=entity_tag)
            label = data.name if data.label is None else data.label
            attribute = _attribute(await define_attribute(connection, name=data.name, type_=data.type, label=label))
            await record_audit(
                connection, request.user, "attribute.created", attribute.name, after={"type": attribute.type}
            )
            await keep_answer(connection, idempotency_key, request, key, status=201, body=attribute)
        return Response(attribute, status_code=201, headers={"ETag": entity_tag(attribute)})

    @patch(
        "/{name:str}",
        operation_id="changeAttribute",
        summary="Give an attribute another label",
        guards=[requires("attributes:write"), json_only],
        responses=documents(
            NotFoundError, InvalidInputError, PreconditionRequiredError, PreconditionFailedError, body=True
        ),
    )
    async def change_attribute(
        self,
        request: ServiceRequest,
        name: AttributeName,
        data: JSONBody[AttributeChange],
        engine: NamedDependency[AsyncEngine],
        if_match: IfMatchHeader = None,
    ) -> Response[Attribute]:
        async with engine.begin() as connection:
            require_match(if_match, _attribute(await lock_attribute(connection, name)))
            attribute = _attribute(await relabel_attribute(connection, name, data.label))
            await record_audit(connection, request.user, "attribute.changed", name, after={"changed": ["label"]})
        return Response(attribute, headers={"ETag": entity_tag(attribute)})

    @delete(
        "/{name:str}",
        operation_id="removeAttribute",
        summary="Remove an attribute and all values of it",
        status_code=204,
        guards=[requires("attributes:write")],
        responses=documents(NotFoundError, AttributeInUseError),
    )
    async def remove_attribute(
        self, request: ServiceRequest, engine: NamedDependency[AsyncEngine], name: AttributeName
    ) -> None:
        """The attribute is hidden at once. Its name cannot be used again until all its values are removed."""
        async with engine.begin() as connection:
            await remove_attribute(connection, name)
            await record_audit(connection, request.user, "attribute.removed", name)


def _attribute(row: store.AttributeRow) -> Attribute:
    return Attribute(row.name, row.type, row.label, row.created_at)
