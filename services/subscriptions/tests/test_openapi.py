"""The service's OpenAPI document: open, complete, and every route with its problems."""

from harness.http.openapi import assert_documented, read_operations, with_idempotency_key

from .conftest import Subscriptions


async def test_the_document_lists_every_route_with_its_problems(subscriptions: Subscriptions) -> None:
    operations = await read_operations(subscriptions.client, title="Broadsheet subscriptions")
    assert set(operations) == {
        "GET /api/v1/subscribers",
        "POST /api/v1/subscribers",
        "POST /api/v1/subscribers/batch",
        "POST /api/v1/subscribers/search",
        "GET /api/v1/subscribers/{subscriber_id}",
        "PATCH /api/v1/subscribers/{subscriber_id}",
        "POST /api/v1/subscribers/{subscriber_id}/send-confirmation",
        "POST /api/v1/subscribers/{subscriber_id}/unsubscribe",
        "GET /api/v1/subscribers/{subscriber_id}/export",
        "POST /api/v1/subscribers/{subscriber_id}/erase",
        "POST /api/v1/newsletters/{newsletter_id}/sign-up-mails/preview",
        "GET /api/v1/newsletters/{newsletter_id}/report",
        "GET /api/v1/newsletters/{newsletter_id}/report/csv",
        "POST /public/unsubscribes/all",
        "POST /public/preferences-links",
        "POST /public/preferences/lookup",
        "POST /public/preferences/leave",
        "POST /public/preferences/name",
        "POST /public/preferences/address",
        "POST /public/preferences/export",
        "POST /public/preferences/erase",
        "POST /public/address-changes",
        "POST /public/address-changes/lookup",
        "GET /api/v1/webhook-endpoints",
        "POST /api/v1/webhook-endpoints",
        "GET /api/v1/webhook-endpoints/{endpoint_id}",
        "PATCH /api/v1/webhook-endpoints/{endpoint_id}",
        "DELETE /api/v1/webhook-endpoints/{endpoint_id}",
        "POST /api/v1/webhook-endpoints/{endpoint_id}/rotate-secret",
        "POST /api/v1/webhook-endpoints/{endpoint_id}/test",
        "GET /api/v1/webhook-endpoints/{endpoint_id}/deliveries",
        "GET /api/v1/webhook-deliveries/{delivery_id}",
        "POST /api/v1/webhook-deliveries/{delivery_id}/retry",
        "GET /api/v1/attributes",
        "POST /api/v1/attributes",
        "GET /api/v1/attributes/{name}",
        "PATCH /api/v1/attributes/{name}",
        "DELETE /api/v1/attributes/{name}",
        "GET /api/v1/segments",
        "POST /api/v1/segments",
        "POST /api/v1/segments/count",
        "GET /api/v1/segments/{segment_id}",
        "PATCH /api/v1/segments/{segment_id}",
        "DELETE /api/v1/segments/{segment_id}",
        "GET /api/v1/subscribers/{subscriber_id}/consent",
        "GET /api/v1/consents",
        "GET /api/v1/imports",
        "POST /api/v1/imports",
        "GET /api/v1/imports/{import_id}",
        "GET /api/v1/imports/{import_id}/sample",
        "GET /api/v1/imports/{import_id}/rejects",
        "GET /api/v1/imports/{import_id}/rejected-rows",
        "GET /api/v1/imports/{import_id}/reject-reasons",
        "POST /api/v1/imports/{import_id}/start",
        "POST /api/v1/imports/{import_id}/cancel",
        "POST /api/v1/imports/{import_id}/undo",
        "GET /api/v1/exports/subscribers",
        "POST /public/subscriptions",
        "POST /public/confirmations",
        "POST /public/confirmations/lookup",
        "POST /public/unsubscribes",
        "POST /public/unsubscribes/lookup",
    }
    assert_documented(
        operations,
        without_body=frozenset(
            {
                "POST /api/v1/webhook-endpoints/{endpoint_id}/test",
                "POST /api/v1/webhook-deliveries/{delivery_id}/retry",
                "POST /api/v1/imports/{import_id}/cancel",
                "POST /api/v1/imports/{import_id}/undo",
            }
        ),
    )


async def test_only_the_routes_with_effects_take_an_idempotency_key(subscriptions: Subscriptions) -> None:
    operations = await read_operations(subscriptions.client, title="Broadsheet subscriptions")
    assert with_idempotency_key(operations) == {
        "POST /api/v1/attributes",
        "POST /api/v1/imports",
        "POST /api/v1/imports/{import_id}/start",
        "POST /api/v1/imports/{import_id}/cancel",
        "POST /api/v1/imports/{import_id}/undo",
        "POST /api/v1/segments",
        "POST /api/v1/subscribers",
        "POST /api/v1/subscribers/batch",
        "POST /api/v1/subscribers/{subscriber_id}/send-confirmation",
        "POST /api/v1/subscribers/{subscriber_id}/unsubscribe",
        "POST /api/v1/subscribers/{subscriber_id}/erase",
        "POST /api/v1/webhook-endpoints",
        "POST /api/v1/webhook-endpoints/{endpoint_id}/rotate-secret",
        "POST /api/v1/webhook-endpoints/{endpoint_id}/test",
        "POST /api/v1/webhook-deliveries/{delivery_id}/retry",
    }
