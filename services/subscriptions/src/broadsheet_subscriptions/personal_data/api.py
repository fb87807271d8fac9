"""The operator's routes for a person's data: `/api/v1/subscribers/{id}/export` and `…/erase`."""

from datetime import datetime

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.address_hash import AddressHasher
from broadsheet_common.contracts.audit import record_audit
from broadsheet_common.contracts.identity import ServiceRequest, requires
from broadsheet_common.http.idempotency import (
    IdempotencyInFlightError,
    IdempotencyKeyHeader,
    IdempotencyKeyReusedError,
    find_first_answer,
    keep_answer,
    replay,
)
from broadsheet_common.http.problems import NotFoundError
from broadsheet_common.http.record_id import PathId
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only
from broadsheet_subscriptions.personal_data.erase_subscriber import AddressChangesNowError, erase_subscriber
from broadsheet_subscriptions.personal_data.export_person import PersonalData, export_person
from broadsheet_subscriptions.tables import idempotency_key


class EraseInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Has no members."""


class Erasure(msgspec.Struct, frozen=True):
    """`finished`: no data names the person any more. Until then, usually for seconds, the delivery service still
    removes data.
    """

    subscriber_id: int
    erased_at: datetime
    finished: bool


class PersonalDataController(Controller):
    path = "/api/v1/subscribers"
    tags = ("Subscribers",)
    request_class = JsonRequest

    @get(
        "/{subscriber_id:int}/export",
        operation_id="exportSubscriber",
        summary="Export all data held about a person",
        description="The same document that the person can get: details, consent, mails and engagement.",
        guards=[requires("personal-data:export")],
        responses=documents(NotFoundError),
    )
    async def export(
        self, request: ServiceRequest, engine: NamedDependency[AsyncEngine], subscriber_id: PathId
    ) -> PersonalData:
        # One snapshot, so that the parts are consistent with each other.
        async with engine.execution_options(isolation_level="REPEATABLE READ").begin() as connection:
            exported = await export_person(connection, subscriber_id)
            # Committed before the answer is sent: nothing leaves without an entry.
            await record_audit(connection, request.user, "subscriber.exported", subscriber_id)
        return exported

    @post(
        "/{subscriber_id:int}/erase",
        operation_id="eraseSubscriber",
        summary="Erase a person for good",
        description=(
            "Nothing is sent to them from this moment on. The counts of issues stay. A keyed hash of the address stays "
            "too, so that a suppressed address is suppressed again if it is entered again. Repeating the request "
            "changes nothing."
        ),
        status_code=200,
        guards=[requires("personal-data:erase"), json_only],
        responses=documents(
            NotFoundError, AddressChangesNowError, IdempotencyKeyReusedError, IdempotencyInFlightError, body=True
        ),
    )
    async def erase(
        self,
        request: ServiceRequest,
        subscriber_id: PathId,
        data: JSONBody[EraseInput],
        engine: NamedDependency[AsyncEngine],
        address_hasher: NamedDependency[AddressHasher],
        key: IdempotencyKeyHeader = None,
    ) -> Response[Erasure]:
        del data
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay(answer, Erasure)
            erased = await erase_subscriber(
                connection, address_hasher, subscriber_id=subscriber_id, requested_by=request.user.subject
            )
            await record_audit(connection, request.user, "subscriber.erased", subscriber_id)
            shown = Erasure(erased.subscriber_id, erased.erased_at, erased.finished)
            await keep_answer(connection, idempotency_key, request, key, status=200, body=shown)
        return Response(shown, status_code=200)
