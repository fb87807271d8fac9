"""Faults on every endpoint of the Postmark API except the sending ones, whose faults depend on their messages."""

import asyncio

from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send

from broadsheet_postmark_sandbox.api.answers import Answer, accepts_first, faulty_answer
from broadsheet_postmark_sandbox.state import Sandbox


class FaultyReads(ASGIMiddleware):
    """Wait as the rules say, then let the endpoint answer, or send a fault in place of its answer."""

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        sandbox: Sandbox = scope["litestar_app"].state.sandbox
        path = scope["path"].rstrip("/")
        decision = sandbox.faults.decide(str(scope.get("method", "")), path)
        delay_s = sandbox.live.latency_ms / 1000 + decision.delay_s + decision.late_s
        if delay_s:
            await asyncio.sleep(delay_s)
        if decision.answer is None:
            await next_app(scope, receive, send)
            return
        proper = Answer(status=200, body=b"{}")
        if accepts_first(decision.answer):
            proper = await _answer_of(next_app, scope, receive)
        await faulty_answer(decision.answer, proper)(scope, receive, send)


async def _answer_of(app: ASGIApp, scope: Scope, receive: Receive) -> Answer:
    """Run the endpoint and return its answer; these answers are small and complete."""
    starts: list[HTTPResponseStartEvent] = []
    parts: list[bytes] = []

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            starts.append(message)
        elif message["type"] == "http.response.body":
            parts.append(message["body"])

    await app(scope, receive, keep)
    headers = tuple((k, v) for k, v in starts[0]["headers"] if k.lower() != b"content-length")
    return Answer(status=starts[0]["status"], body=b"".join(parts), headers=headers)
