"""One trace from the gateway's request to the queue."""

from harness.system import System

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = {"traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01", "x-request-id": "request-1"}


async def test_a_trace_goes_from_the_gateway_through_the_services_into_the_queue(system: System) -> None:
    response = await system.visitor.post(
        "/subscriptions", data={"name": "Reader", "email": "reader@example.com"}, headers=TRACEPARENT
    )
    assert response.headers["x-request-id"] == "request-1"
    [(traceparent,)] = system.seed.execute("SELECT traceparent FROM delivery.single_mail")
    assert str(traceparent).split("-")[1] == TRACE_ID
    assert (await system.confirm(await system.confirmation_link("reader@example.com"))).status_code == 200
    created = await system.api.post(
        "/api/v1/issues",
        json={"title": "An issue", "format": "html", "content": "<p>x</p>", "text_content": "x", "publish": True},
        headers=TRACEPARENT,
    )
    assert created.status_code == 201
    [(traceparent,)] = system.seed.execute("SELECT traceparent FROM delivery.issue_run")
    assert str(traceparent).split("-")[1] == TRACE_ID
