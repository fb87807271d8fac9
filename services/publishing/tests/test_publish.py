"""Publishing through the service's routes, on a real database."""

from .conftest import Publishing


async def test_a_published_issue_is_enqueued_for_everybody_confirmed(publishing: Publishing) -> None:
    publishing.add_confirmed(1_203)
    publishing.add_subscribers(5, state="pending")
    publishing.add_subscribers(5, state="unsubscribed")
    draft = (await publishing.write_issue()).json()
    assert (draft["status"], draft["counts"]["audience"]) == ("draft", 0)
    published = await publishing.publish(draft["id"])
    assert published.status_code == 202
    assert published.json()["status"] == "publishing"
    await publishing.until_fanned_out(draft["id"])
    issue = (await publishing.get(f"issues/{draft['id']}")).json()
    assert issue["status"] == "sending"
    assert (issue["counts"]["audience"], issue["counts"]["pending"]) == (1_203, 1_203)
    assert publishing.rows("SELECT first_seq, last_seq FROM delivery.delivery_chunk ORDER BY id") == [
        (1, 500),
        (501, 1_000),
        (1_001, 1_203),
    ]
