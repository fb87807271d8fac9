"""A newsletter's stream is checked when it is set: refused if it is known not to fit, else checked soon."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_publishing.newsletters.check_stream import StreamChecker

from .conftest import Publishing, PublishingOwner

WRONG = "Postmark's stream 'letters' is archived."


def answer(
    owner: PublishingOwner,
    stream: str,
    state: str,
    *,
    reason: str | None = None,
    handling: str = "custom",
    age: str = "0",
) -> None:
    """As delivery stores what Postmark said."""
    owner.rows(
        "INSERT INTO delivery.stream_check"
        " (message_stream, unsubscribe_handling, requested_at, checked_at, state, reason)"
        " VALUES (%s, %s, now() - %s::interval, now() - %s::interval, %s, %s)"
        " ON CONFLICT (message_stream, unsubscribe_handling) DO UPDATE"
        " SET checked_at = excluded.checked_at, state = excluded.state, reason = excluded.reason",
        stream, handling, age, age, state, reason,
    )  # fmt: skip


def requested(owner: PublishingOwner) -> set[tuple[str, str]]:
    return set(
        owner.rows(
            "SELECT message_stream, unsubscribe_handling FROM delivery.stream_check "
            "WHERE checked_at IS NULL OR checked_at < requested_at"
        )
    )


async def create(publishing: Publishing, **fields: object) -> Any:
    return await publishing.post("newsletters", {"name": "Letters"} | fields)


async def test_one_that_nobody_knows_is_accepted_and_asked_about(
    publishing: Publishing, owner: PublishingOwner
) -> None:
    made = await create(publishing, message_stream="letters")
    assert made.status_code == 201
    assert made.json()["stream_check"] == {
        "state": "unknown", "detail": "Postmark has not been asked yet.", "checked_at": None
    }  # fmt: skip
    assert requested(owner) == {("letters", "custom")}
    answer(owner, "letters", "fits")
    shown = (await publishing.get(f"newsletters/{made.json()['id']}")).json()["stream_check"]
    assert (shown["state"], shown["detail"]) == ("ok", None)
    assert shown["checked_at"] is not None


async def test_one_that_is_not_named_is_asked_about_too(publishing: Publishing, owner: PublishingOwner) -> None:
    assert (await create(publishing)).json()["stream_check"]["state"] == "unknown"
    assert requested(owner) == {("broadcast", "custom")}


async def test_one_that_is_known_not_to_fit_is_refused(publishing: Publishing, owner: PublishingOwner) -> None:
    made = await create(publishing)
    answer(owner, "letters", "mismatch", reason=WRONG)
    for refused in (
        await create(publishing, message_stream="letters"),
        await publishing.patch(f"newsletters/{made.json()['id']}", {"message_stream": "letters"}),
    ):
        assert refused.status_code == 422
        assert refused.json()["errors"] == [{"pointer": "/message_stream", "detail": WRONG}]
    assert ("letters", "custom") in requested(owner), "it may have been mended there meanwhile"
    assert (await publishing.get(f"newsletters/{made.json()['id']}")).json()["message_stream"] == "broadcast"
    assert (
        await create(publishing, name="Other", message_stream="letters", unsubscribe_handling="postmark")
    ).status_code == 201


async def test_the_handling_of_unsubscribes_has_to_fit_too(publishing: Publishing, owner: PublishingOwner) -> None:
    made = await create(publishing)
    answer(owner, "broadcast", "mismatch", reason="It handles unsubscribing itself.", handling="postmark")
    path = f"newsletters/{made.json()['id']}"
    assert (await publishing.patch(path, {"unsubscribe_handling": "postmark"})).status_code == 422


async def test_what_is_known_too_long_refuses_nothing(publishing: Publishing, owner: PublishingOwner) -> None:
    answer(owner, "letters", "mismatch", reason=WRONG, age="16 minutes")
    made = await create(publishing, message_stream="letters")
    assert made.status_code == 201
    assert ("letters", "custom") in requested(owner)
    assert made.json()["stream_check"]["state"] == "mismatch", "it says what was heard last, and when"


async def test_a_newsletter_whose_stream_does_not_fit_any_more_can_still_be_edited(
    publishing: Publishing, owner: PublishingOwner
) -> None:
    made = await create(publishing, message_stream="letters")
    answer(owner, "letters", "mismatch", reason=WRONG)
    changed = await publishing.patch(f"newsletters/{made.json()['id']}", {"name": "Other", "message_stream": "letters"})
    assert changed.status_code == 200
    assert changed.json()["stream_check"]["detail"] == WRONG


async def test_a_creation_that_is_repeated_gets_its_first_answer(
    publishing: Publishing, owner: PublishingOwner
) -> None:
    body = {"name": "Letters", "message_stream": "letters"}
    first = await publishing.post("newsletters", body, key="once")
    answer(owner, "letters", "mismatch", reason=WRONG)
    again = await publishing.post("newsletters", body, key="once")
    assert (again.status_code, again.json()) == (201, first.json())


async def test_a_list_shows_it_for_each(publishing: Publishing, owner: PublishingOwner) -> None:
    await create(publishing, message_stream="letters")
    answer(owner, "letters", "fits")
    items = (await publishing.get("newsletters")).json()["items"]
    assert [item["stream_check"]["state"] for item in items] == ["unknown", "ok"]


@asynccontextmanager
async def answering(owner: PublishingOwner, state: str, reason: str | None = None) -> AsyncIterator[None]:
    """Delivery, which answers whatever is asked."""

    async def run() -> None:
        while True:
            for stream, handling in await asyncio.to_thread(requested, owner):
                await asyncio.to_thread(answer, owner, stream, state, reason=reason, handling=handling)
            await asyncio.sleep(0.01)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("known", [None, "fits", "mismatch"])
async def test_the_answer_to_the_request_is_waited_for(
    engine: AsyncEngine, owner: PublishingOwner, known: str | None
) -> None:
    if known is not None:
        answer(owner, "letters", known, age="16 minutes" if known == "fits" else "1 minute")
    async with answering(owner, "mismatch", WRONG):
        check = await StreamChecker(engine, wait_s=20).check("letters", "custom")
    assert (check.state, check.detail) == ("mismatch", WRONG)


async def test_one_that_was_mended_at_postmark_is_accepted_at_once(engine: AsyncEngine, owner: PublishingOwner) -> None:
    answer(owner, "letters", "mismatch", reason=WRONG, age="1 minute")
    async with answering(owner, "fits"):
        check = await StreamChecker(engine, wait_s=20).check("letters", "custom")
    assert check.state == "ok"


async def test_one_that_fitted_a_moment_ago_is_not_asked_about_again(
    engine: AsyncEngine, owner: PublishingOwner
) -> None:
    answer(owner, "letters", "fits", age="1 minute")
    assert (await StreamChecker(engine, wait_s=20).check("letters", "custom")).state == "ok"
    assert requested(owner) == set()
