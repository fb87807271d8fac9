"""A list whose rows share their times: pages must neither lose nor repeat one."""

from harness.system import System


async def test_120_subscribers_of_three_moments_are_all_listed_once_in_pages_of_20(system: System) -> None:
    system.seed.subscribers(120)
    system.seed.execute(
        "UPDATE subscriptions.subscriber SET created_at = timestamptz '2026-01-01 12:00Z' + make_interval(days => "
        "(id %% 3)::integer)"
    )
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(7):
        query = {"limit": "20", **({"cursor": cursor} if cursor else {})}
        page = (await system.api.get("/api/v1/subscribers", params=query)).json()
        assert len(page["items"]) == 20
        seen += [item["email"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 120
