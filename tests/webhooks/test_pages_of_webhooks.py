"""The pages of outgoing webhooks and of suppressions, with the services behind them: what the forms send is taken."""

import re
from html import unescape

from harness.system import System

PRESSED = {"idempotency_key": ""}
"""The form of a button."""


async def test_a_webhook_is_added_changed_tested_and_deleted_by_forms(system: System) -> None:
    await system.log_in()
    form = {"url": "https://hooks.example.com/one", "description": "Records", "event_confirmed": "yes"}
    made = await system.visitor.post("/admin/webhooks/new", data=form)
    assert made.status_code == 200, made.text
    first = re.findall(r"whsec_[A-Za-z0-9+/=]+", made.text)
    [path] = re.findall(r'href="(/admin/webhooks/\d+)"', made.text)
    assert len(first) == 1

    version = {"version": await _version(system, path)}
    changed = await system.visitor.post(path, data=form | version | {"event_bounced": "yes", "newsletter_1": "yes"})
    assert (changed.status_code, changed.headers["location"]) == (303, path)
    page = (await system.visitor.get(path)).text
    assert re.search(r'name="event_bounced"[^>]* checked', page)
    now = {"version": await _version(system, path)}
    refused = await system.visitor.post(path, data=form | now | {"url": "not an address"})
    assert (refused.status_code, 'id="url-error"' in refused.text) == (422, True)

    late = await system.visitor.post(path, data=form | version | {"description": "Mine"})
    assert (late.status_code, "Where what you typed differs" in late.text) == (412, True)
    mine = form | {"description": "Mine", "version": _version_of(late.text)}
    assert (await system.visitor.post(path, data=mine)).status_code == 303

    for step, shown in (("disable", "Disabled"), ("enable", "Enabled")):
        assert (await system.visitor.post(f"{path}/{step}", data=PRESSED)).status_code == 303
        assert shown in (await system.visitor.get("/admin/webhooks")).text
    rotated = await system.visitor.post(f"{path}/rotate-secret", data={"overlap": "3600"})
    assert re.findall(r"whsec_[A-Za-z0-9+/=]+", rotated.text) not in ([], first)

    queued = await system.visitor.post(f"{path}/test", data=PRESSED)
    assert queued.status_code == 303
    delivery = await system.visitor.get(queued.headers["location"])
    assert (delivery.status_code, "Test message" in delivery.text) == (200, True)
    assert "Test message" in (await system.visitor.get(f"{path}?status=waiting")).text

    deleted = await system.visitor.post(f"{path}/delete", data={"sure": "yes"})
    assert (deleted.status_code, deleted.headers["location"]) == (303, "/admin/webhooks")
    assert "Nobody is told of changes yet" in (await system.visitor.get("/admin/webhooks")).text


async def test_of_two_who_set_the_limits_the_second_sees_both_and_sets_theirs(system: System) -> None:
    await system.log_in()
    seen = {"version": await _version(system, "/admin/sending")}
    limits = "/admin/sending/limits"
    assert (await system.visitor.post(limits, data=seen | {"messages_per_s_max": "250"})).status_code == 303
    late = await system.visitor.post(limits, data=seen | {"messages_per_s_max": "80"})
    assert (late.status_code, "Where what you typed differs" in late.text) == (412, True)
    again = {"messages_per_s_max": "80", "version": _version_of(late.text)}
    assert (await system.visitor.post(limits, data=again)).status_code == 303
    assert (await system.api.get("/api/v1/senders")).json()["sending"]["messages_per_s_max"] == 80


async def _version(system: System, path: str) -> str:
    return _version_of((await system.visitor.get(path)).text)


def _version_of(page: str) -> str:
    [found] = re.findall(r'name="version" value="([^"]+)"', page)
    return unescape(str(found))


async def test_an_address_is_suppressed_found_and_lifted_by_forms(system: System) -> None:
    await system.log_in()
    form = {"email": "Reader@example.com", "stream": "", "note": "By telephone."}
    assert (await system.visitor.post("/admin/suppressions/new", data=form)).status_code == 303
    found = (await system.visitor.get("/admin/suppressions?email=reader%40example.com")).text
    assert "By telephone." in found
    assert "Every stream" in found
    lifts = re.findall(r'action="(/admin/suppressions/\d+/lift)"', found)
    assert lifts
    for lift in lifts:
        assert (await system.visitor.post(lift, data=PRESSED)).status_code == 303
    assert "Nothing fits" in (await system.visitor.get("/admin/suppressions?email=reader%40example.com")).text
    lifted = (await system.visitor.get("/admin/suppressions?email=reader%40example.com&active=no")).text
    assert "Lifted" in lifted
    refused = await system.visitor.post("/admin/suppressions/new", data=form | {"email": "reader"})
    assert (refused.status_code, 'id="email-error"' in refused.text) == (422, True)


async def test_a_chosen_export_comes_as_a_file(system: System) -> None:
    await system.log_in()
    system.seed.subscribers(2)
    chosen = await system.visitor.post(
        "/admin/exports", data={"format": "csv", "newsletter": "1", "state": "confirmed"}
    )
    assert chosen.status_code == 303
    file = await system.visitor.get(chosen.headers["location"])
    assert file.headers["content-disposition"] == 'attachment; filename="subscribers.csv"'
    assert file.text.count("@example.com") == 2
