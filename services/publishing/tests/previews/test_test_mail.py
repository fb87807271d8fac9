"""Test mails: to people who agreed to mail, marked, and counted nowhere."""

from ..conftest import Publishing


def verified(publishing: Publishing) -> str:
    publishing.add_confirmed(1)
    ((email,),) = publishing.rows("SELECT email FROM subscriptions.subscriber")
    return str(email)


def queued(publishing: Publishing) -> list[tuple[str, str, str]]:
    return publishing.rows("SELECT kind, to_email, subject FROM delivery.single_mail ORDER BY id")


async def draft(publishing: Publishing, **fields: object) -> int:
    body = {"title": "The news", "content": "Hello {{ subscriber.name }}"} | fields
    return int((await publishing.post("issues", body)).json()["id"])


async def test_it_goes_to_confirmed_readers_and_to_the_sender(publishing: Publishing) -> None:
    reader = verified(publishing)
    issue_id = await draft(publishing)
    answer = await publishing.post(f"issues/{issue_id}/test", {"to": [reader, "news@example.com", reader.upper()]})
    assert (answer.status_code, answer.json()) == (202, {"sent": 2, "subject": "The news"})
    assert queued(publishing) == [
        ("test", reader, "[Test] The news"),
        ("test", "news@example.com", "[Test] The news"),
    ]
    ((html,),) = publishing.rows("SELECT html_body FROM delivery.single_mail ORDER BY id LIMIT 1")
    assert "Hello Ada Lovelace" in html
    assert "https://news.example.com/unsubscribe/test" in html
    assert publishing.rows("SELECT count(*) FROM delivery.issue_run") == [(0,)]
    steps = (await publishing.get(f"issues/{issue_id}/history")).json()["items"]
    assert (steps[0]["step"], steps[0]["note"]) == ("test_sent", "To 2.")


async def test_it_goes_to_nobody_who_did_not_agree(publishing: Publishing) -> None:
    reader = verified(publishing)
    publishing.add_subscribers(1, state="pending")
    ((pending,),) = publishing.rows("SELECT email FROM subscriptions.subscriber ORDER BY id DESC LIMIT 1")
    issue_id = await draft(publishing)
    answer = await publishing.post(f"issues/{issue_id}/test", {"to": [reader, pending, "stranger@example.com"]})
    assert answer.status_code == 422
    assert [problem["pointer"] for problem in answer.json()["errors"]] == ["/to/1", "/to/2"]
    assert queued(publishing) == []


async def test_it_goes_to_active_users_too(publishing: Publishing) -> None:
    """Authors look at a mail in their own mailboxes before anybody else gets it."""
    publishing.rows(
        "INSERT INTO gateway.user_account (username, email, email_key, deactivated_at) VALUES"
        " ('ada', 'Ada@example.org', 'ada@example.org', NULL), ('gone', 'gone@example.org', 'gone@example.org', now())"
    )
    issue_id = await draft(publishing)
    refused = await publishing.post(f"issues/{issue_id}/test", {"to": ["ADA@example.org", "gone@example.org"]})
    assert (refused.status_code, [problem["pointer"] for problem in refused.json()["errors"]]) == (422, ["/to/1"])
    answer = await publishing.post(f"issues/{issue_id}/test", {"to": ["ADA@example.org"]})
    assert answer.status_code == 202
    assert queued(publishing) == [("test", "ADA@example.org", "[Test] The news")]


async def test_bad_and_too_many_addresses_are_named(publishing: Publishing) -> None:
    issue_id = await draft(publishing)
    bad = await publishing.post(f"issues/{issue_id}/test", {"to": ["nobody", "news@example.com"]})
    assert [problem["pointer"] for problem in bad.json()["errors"]] == ["/to/0"]
    for to in ([], [f"a{n}@example.com" for n in range(11)]):
        answer = await publishing.post(f"issues/{issue_id}/test", {"to": to})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/to")


async def test_the_same_request_sends_once(publishing: Publishing) -> None:
    issue_id = await draft(publishing)
    for _ in range(2):
        answer = await publishing.post(f"issues/{issue_id}/test", {"to": ["news@example.com"]}, key="once")
        assert answer.status_code == 202
    assert len(queued(publishing)) == 1
    await publishing.post(f"issues/{issue_id}/test", {"to": ["news@example.com"]})
    assert len(queued(publishing)) == 2


async def test_a_draft_with_faults_is_sent_to_nobody(publishing: Publishing) -> None:
    issue_id = await draft(publishing, content="{{ subscriber.shoe }}")
    answer = await publishing.post(f"issues/{issue_id}/test", {"to": ["news@example.com"]})
    assert answer.json()["type"] == "urn:broadsheet:problem:issue-has-faults"
    assert queued(publishing) == []
