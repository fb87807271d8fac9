"""Bounces: made by testing addresses and by events, listed, activated."""

import pytest

from broadsheet_postmark_sandbox.events.bounces import BOUNCE_TYPES
from broadsheet_postmark_sandbox.testing import SandboxDriver


def bounces(sandbox: SandboxDriver, **query: str) -> list[dict[str, object]]:
    answer = sandbox.http.get("/bounces", params={"count": "100", "offset": "0", **query})
    answer.raise_for_status()
    rows: list[dict[str, object]] = answer.json()["Bounces"]
    assert answer.json()["TotalCount"] == len(rows)
    return rows


@pytest.mark.parametrize(
    ("local", "kind", "suppressed"),
    [
        ("hardbounce", "HardBounce", True),
        ("SoftBounce", "SoftBounce", False),
        ("transient+1", "Transient", False),
        ("spamcomplaint", "SpamComplaint", True),
        ("anything", "HardBounce", True),
    ],
)
def test_a_testing_address_bounces(sandbox: SandboxDriver, local: str, kind: str, suppressed: bool) -> None:
    address = f"{local}@bounce-testing.postmarkapp.com"
    sent = sandbox.batch(sandbox.message(), sandbox.message(To=address, Tag="t")).json()[1]
    rows = bounces(sandbox)
    assert [(r["Type"], r["TypeCode"], r["MessageID"], r["Tag"]) for r in rows] == [
        (kind, BOUNCE_TYPES[kind].code, sent["MessageID"], "t")
    ]
    assert (sandbox.send(To=address).status_code == 422) is suppressed


def test_bounces_are_listed_newest_first_and_filtered(sandbox: SandboxDriver) -> None:
    for who in ("ada", "bob"):
        sandbox.send(To=f"{who}@mail.example", MessageStream="broadcast", Tag=who)
    sandbox.event(type="Bounce", recipient="ada@mail.example", bounce_type="SoftBounce")
    sandbox.event(type="Bounce", recipient="bob@mail.example", bounce_type="HardBounce")
    assert [row["Email"] for row in bounces(sandbox)] == ["bob@mail.example", "ada@mail.example"]
    for query in (
        {"type": "softbounce"},
        {"inactive": "false"},
        {"emailFilter": "ADA"},
        {"tag": "ada"},
        {"messageID": str(bounces(sandbox)[1]["MessageID"])},
    ):
        assert [row["Email"] for row in bounces(sandbox, **query)] == ["ada@mail.example"]
    assert bounces(sandbox, messagestream="outbound") == []
    assert len(sandbox.http.get("/bounces?count=1&offset=1").json()["Bounces"]) == 1


@pytest.mark.parametrize("query", ["", "count=501&offset=0", "count=500&offset=9501", "count=1&offset=0&sort=up"])
def test_a_bad_query_is_refused(sandbox: SandboxDriver, query: str) -> None:
    answer = sandbox.http.get(f"/bounces?{query}")
    assert (answer.status_code, answer.json()["ErrorCode"]) == (422, 408)


def test_activating_a_bounce_lets_mail_through_again(sandbox: SandboxDriver) -> None:
    sandbox.send()
    sandbox.event(type="Bounce", recipient="ada@mail.example")
    assert sandbox.send().json()["ErrorCode"] == 406
    bounce = bounces(sandbox)[0]
    answer = sandbox.http.put(f"/bounces/{bounce['ID']}/activate", json={}).json()
    assert (answer["Message"], answer["Bounce"]["Inactive"]) == ("OK", False)
    assert sandbox.send().status_code == 200
    assert sandbox.http.get(f"/bounces/{bounce['ID']}/dump").json()["Body"]


def test_a_complaint_cannot_be_activated(sandbox: SandboxDriver) -> None:
    sandbox.send()
    sandbox.event(type="SpamComplaint", recipient="ada@mail.example")
    bounce = bounces(sandbox)[0]
    assert bounce["CanActivate"] is False
    assert sandbox.http.put(f"/bounces/{bounce['ID']}/activate", json={}).status_code == 422
    assert sandbox.send().json()["ErrorCode"] == 406


def test_an_unknown_bounce_is_407(sandbox: SandboxDriver) -> None:
    answer = sandbox.http.get("/bounces/77")
    assert (answer.status_code, answer.json()["ErrorCode"]) == (422, 407)


def test_the_counts_of_bounces_and_of_mail(sandbox: SandboxDriver) -> None:
    for i in range(4):
        sandbox.send(To=f"r{i}@mail.example", Tag="x" if i else None, MessageStream="broadcast" if i > 1 else None)
    sandbox.event(type="Bounce", recipient="r3@mail.example")
    sandbox.event(type="SpamComplaint", recipient="r2@mail.example")
    stats = sandbox.http.get("/deliverystats").json()
    assert stats["InactiveMails"] == 2
    assert stats["Bounces"][0] == {"Name": "All", "Count": 2}
    overview = sandbox.http.get("/stats/outbound").json()
    assert (overview["Sent"], overview["Bounced"], overview["SpamComplaints"]) == (4, 1, 1)
    assert sandbox.http.get("/stats/outbound?tag=x&messagestream=outbound").json()["Sent"] == 1
    assert overview["BounceRate"] == 25
