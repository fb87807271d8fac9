"""`POST /api/v1/subscribers/batch`: many creations and changes of subscribers in one request."""

from typing import Annotated, Any

import msgspec
from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import NARROWED_BY_HANDLER, ServiceRequest, requires
from broadsheet_common.http.idempotency import (
    IdempotencyInFlightError,
    IdempotencyKeyHeader,
    IdempotencyKeyReusedError,
)
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only
from broadsheet_subscriptions.batches.batch_item import BatchItem, BatchResult
from broadsheet_subscriptions.batches.kept_answers import Repeatable
from broadsheet_subscriptions.batches.write_batch import Batch, write_batch
from broadsheet_subscriptions.sign_up.subscribe import ConfirmationPolicy

ITEMS_MAX = 1_000
BODY_MAX_BYTES = 4 * 1024 * 1024


class SubscriberBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Up to 1,000 items. Each is judged by itself: one that is not valid harms no other."""

    # Of any type, so that one that is no `BatchItem` does not spoil the others.
    items: Annotated[list[BatchItem | Any], msgspec.Meta(min_length=1, max_length=ITEMS_MAX)]


class SubscriberBatchResults(msgspec.Struct, frozen=True):
    """The result of each item, in the order sent. `refused`: how many have a `problem`."""

    refused: int
    items: list[BatchResult]


class BatchRequest(JsonRequest):
    """Texts are checked item by item."""

    def check_text(self, document: Any) -> None:
        is_object = isinstance(document, dict)
        super().check_text({name: document[name] for name in document if name != "items"} if is_object else document)


class SubscriberBatchController(Controller):
    path = "/api/v1/subscribers/batch"
    tags = ("Subscribers",)
    request_class = BatchRequest
    request_max_body_size = BODY_MAX_BYTES

    @post(
        operation_id="writeSubscribers",
        summary="Create and change up to 1,000 subscribers",
        status_code=200,
        guards=[requires("subscribers:write", newsletter=NARROWED_BY_HANDLER), json_only],
        responses=documents(IdempotencyKeyReusedError, IdempotencyInFlightError, body=True),
    )
    async def write_subscribers(
        self,
        request: ServiceRequest,
        data: JSONBody[SubscriberBatch],
        engine: NamedDependency[AsyncEngine],
        confirmation_policy: NamedDependency[ConfirmationPolicy],
        key: IdempotencyKeyHeader = None,
    ) -> SubscriberBatchResults:
        batch = Batch(request.user, confirmation_policy, await Repeatable.of(request, key))
        results = await write_batch(engine, batch, data.items)
        return SubscriberBatchResults(sum(one.is_refusal for one in results), results)
