"""The service's OpenAPI document: open, complete, and every route with its problems."""

from harness.http.openapi import assert_documented, read_operations, with_idempotency_key

from .conftest import Publishing


async def test_the_document_lists_every_route_with_its_problems(publishing: Publishing) -> None:
    operations = await read_operations(publishing.client, title="Broadsheet publishing")
    assert set(operations) == {
        "GET /api/v1/newsletters",
        "POST /api/v1/newsletters",
        "POST /api/v1/newsletters/{newsletter_id}/archive",
        "POST /api/v1/newsletters/{newsletter_id}/unarchive",
        "GET /api/v1/layouts",
        "POST /api/v1/layouts",
        "GET /api/v1/layouts/{layout_id}",
        "PATCH /api/v1/layouts/{layout_id}",
        "DELETE /api/v1/layouts/{layout_id}",
        "GET /api/v1/newsletters/{newsletter_id}",
        "PATCH /api/v1/newsletters/{newsletter_id}",
        "GET /api/v1/issues",
        "POST /api/v1/issues",
        "GET /api/v1/issues/{issue_id}",
        "PATCH /api/v1/issues/{issue_id}",
        "DELETE /api/v1/issues/{issue_id}",
        "POST /api/v1/issues/{issue_id}/duplicate",
        "GET /api/v1/issues/{issue_id}/revisions",
        "GET /api/v1/issues/{issue_id}/revisions/{version}",
        "GET /api/v1/issues/{issue_id}/revisions/{version}/changes",
        "POST /api/v1/issues/{issue_id}/revisions/{version}/restore",
        "POST /api/v1/issues/{issue_id}/checks",
        "POST /api/v1/issues/{issue_id}/audience",
        "POST /api/v1/newsletters/{newsletter_id}/welcome-mail/preview",
        "POST /api/v1/newsletters/{newsletter_id}/welcome-mail/test",
        "POST /api/v1/issues/{issue_id}/preview",
        "POST /api/v1/issues/{issue_id}/test",
        "GET /api/v1/issues/{issue_id}/ab-test",
        "GET /api/v1/issues/{issue_id}/waves",
        "POST /api/v1/issues/{issue_id}/winner",
        "GET /api/v1/issues/{issue_id}/approval",
        "POST /api/v1/issues/{issue_id}/approval",
        "POST /api/v1/issues/{issue_id}/approval/decision",
        "GET /api/v1/issues/{issue_id}/history",
        "POST /api/v1/issues/{issue_id}/publish",
        "POST /api/v1/issues/{issue_id}/cancel",
        "POST /api/v1/issues/{issue_id}/schedule",
        "DELETE /api/v1/issues/{issue_id}/schedule",
        "POST /api/v1/issues/{issue_id}/archive",
        "GET /public/archive",
        "GET /public/archive/{newsletter_slug}/issues",
        "GET /public/archive/{newsletter_slug}/issues/{issue_slug}",
        "GET /public/archive/{newsletter_slug}/feed",
    }
    bodiless = frozenset(
        {
            "POST /api/v1/issues/{issue_id}/cancel",
            "POST /api/v1/issues/{issue_id}/duplicate",
            "POST /api/v1/issues/{issue_id}/revisions/{version}/restore",
            "POST /api/v1/newsletters/{newsletter_id}/archive",
            "POST /api/v1/newsletters/{newsletter_id}/unarchive",
        }
    )
    assert_documented(operations, without_body=bodiless)


async def test_only_the_routes_with_effects_take_an_idempotency_key(publishing: Publishing) -> None:
    operations = await read_operations(publishing.client, title="Broadsheet publishing")
    assert with_idempotency_key(operations) == {
        "POST /api/v1/newsletters",
        "POST /api/v1/layouts",
        "POST /api/v1/issues",
        "POST /api/v1/issues/{issue_id}/duplicate",
        "POST /api/v1/newsletters/{newsletter_id}/welcome-mail/test",
        "POST /api/v1/issues/{issue_id}/test",
        "POST /api/v1/issues/{issue_id}/publish",
        "POST /api/v1/issues/{issue_id}/cancel",
        "POST /api/v1/issues/{issue_id}/schedule",
        "POST /api/v1/issues/{issue_id}/approval",
        "POST /api/v1/issues/{issue_id}/approval/decision",
        "POST /api/v1/issues/{issue_id}/archive",
        "POST /api/v1/issues/{issue_id}/revisions/{version}/restore",
        "POST /api/v1/issues/{issue_id}/winner",
        "POST /api/v1/newsletters/{newsletter_id}/archive",
        "POST /api/v1/newsletters/{newsletter_id}/unarchive",
    }
