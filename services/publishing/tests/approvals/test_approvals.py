"""A second person's approval: for one version of an issue, by somebody who did not write or ask."""

import pytest

from harness.owner import AUDIT_LOG

from ..conftest import ISSUE, Publishing

AUTHOR, EDITOR = "user:1", "user:2"


async def asked(publishing: Publishing, **fields: object) -> int:
    """A draft of a newsletter that wants approval, for which its author asked."""
    assert (await publishing.patch("newsletters/1", {"requires_approval": True})).status_code == 200
    publishing.add_confirmed(1)
    issue_id = int((await publishing.post("issues", ISSUE | fields, subject=AUTHOR)).json()["id"])
    answer = await publishing.post(f"issues/{issue_id}/approval", {"note": "Please look"}, subject=AUTHOR)
    assert (answer.status_code, answer.json()["state"]) == (201, "requested")
    return issue_id


async def decide(
    publishing: Publishing, issue_id: int, decision: str, *, version: int = 1, subject: str
) -> tuple[int, str]:
    body = {"decision": decision, "version": version}
    answer = await publishing.post(f"issues/{issue_id}/approval/decision", body, subject=subject)
    return answer.status_code, answer.json().get("state") or answer.json()["type"].rpartition(":")[2]


async def publish(publishing: Publishing, issue_id: int) -> tuple[int, str]:
    answer = await publishing.publish(issue_id, subject=AUTHOR)
    return answer.status_code, answer.json().get("detail", "")


async def test_an_approved_issue_goes_out(publishing: Publishing) -> None:
    issue_id = await asked(publishing)
    assert await publish(publishing, issue_id) == (409, "Its approval was asked for, and nobody has decided yet.")
    assert await decide(publishing, issue_id, "approved", subject=EDITOR) == (200, "approved")
    assert (await publish(publishing, issue_id))[0] == 202
    steps = (await publishing.get(f"issues/{issue_id}/history")).json()["items"]
    assert [(step["step"], step["actor"]) for step in reversed(steps)] == [
        ("created", AUTHOR),
        ("approval_requested", AUTHOR),
        ("approved", EDITOR),
        ("published", AUTHOR),
    ]


async def test_the_same_decision_with_its_key_gets_the_first_answer_again(publishing: Publishing) -> None:
    issue_id = await asked(publishing)
    path, body = f"issues/{issue_id}/approval/decision", {"decision": "approved", "version": 1}
    first = await publishing.post(path, body, key="a", subject=EDITOR)
    again = await publishing.post(path, body, key="a", subject=EDITOR)
    assert (first.status_code, again.status_code, again.content) == (200, 200, first.content)
    other = await publishing.post(path, body | {"decision": "refused"}, key="a", subject=EDITOR)
    assert (other.status_code, other.json()["type"].rpartition(":")[2]) == (422, "idempotency-key-reused")
    steps = (await publishing.get(f"issues/{issue_id}/history")).json()["items"]
    assert [step["step"] for step in steps].count("approved") == 1


async def test_without_being_asked_for_it_does_not_go_out(publishing: Publishing) -> None:
    await publishing.patch("newsletters/1", {"requires_approval": True})
    publishing.add_confirmed(1)
    refused = await publishing.write_issue(publish=True)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:broadsheet:problem:not-approved")
    issue_id = (await publishing.write_issue()).json()["id"]
    schedule = await publishing.post(f"issues/{issue_id}/schedule", {"at": "2027-01-15T08:00:00Z"})
    assert (schedule.status_code, schedule.json()["type"]) == (409, "urn:broadsheet:problem:not-approved")


async def test_a_change_after_it_makes_it_void(publishing: Publishing) -> None:
    issue_id = await asked(publishing)
    await decide(publishing, issue_id, "approved", subject=EDITOR)
    await publishing.patch(f"issues/{issue_id}", {"title": "Another title"}, subject=AUTHOR)
    assert (await publishing.get(f"issues/{issue_id}/approval")).json()["state"] == "void"
    assert await publish(publishing, issue_id) == (409, "It was changed since its approval was asked for: ask again.")
    assert (await decide(publishing, issue_id, "approved", subject=EDITOR)) == (409, "nothing-to-decide")
    await publishing.post(f"issues/{issue_id}/approval", {}, subject=AUTHOR)
    assert await decide(publishing, issue_id, "approved", version=1, subject=EDITOR) == (409, "nothing-to-decide")
    assert await decide(publishing, issue_id, "approved", version=2, subject=EDITOR) == (200, "approved")


@pytest.mark.parametrize("subject", [AUTHOR, "key:7"])
async def test_who_wrote_or_asked_does_not_decide_and_a_key_neither(publishing: Publishing, subject: str) -> None:
    issue_id = await asked(publishing)
    assert await decide(publishing, issue_id, "approved", subject=subject) == (403, "not-yours-to-decide")
    assert (await publishing.get(f"issues/{issue_id}/approval")).json()["state"] == "requested"


async def test_who_saved_last_does_not_decide(publishing: Publishing) -> None:
    issue_id = await asked(publishing)
    await publishing.patch(f"issues/{issue_id}", {"title": "By the editor"}, subject=EDITOR)
    await publishing.post(f"issues/{issue_id}/approval", {}, subject=AUTHOR)
    assert await decide(publishing, issue_id, "approved", version=2, subject=EDITOR) == (403, "not-yours-to-decide")
    assert await decide(publishing, issue_id, "approved", version=2, subject="user:3") == (200, "approved")


async def test_a_refused_issue_stays_and_can_be_asked_for_again(publishing: Publishing) -> None:
    issue_id = await asked(publishing)
    again = await publishing.post(f"issues/{issue_id}/approval", {}, subject=AUTHOR)
    assert (again.status_code, again.json()["type"]) == (409, "urn:broadsheet:problem:asked-already")
    assert await decide(publishing, issue_id, "refused", subject=EDITOR) == (200, "refused")
    assert await publish(publishing, issue_id) == (409, "Its approval was refused.")
    audited = publishing.rows(
        f"SELECT action, actor FROM {AUDIT_LOG} WHERE target_id = %s AND action LIKE 'issue.%%ed' ORDER BY at DESC",
        str(issue_id),
    )
    assert audited[0] == ("issue.refused", EDITOR)
    assert (await publishing.post(f"issues/{issue_id}/approval", {}, subject=AUTHOR)).json()["state"] == "requested"
