"""The pages of outgoing webhooks and of suppressions, with the services behind them: what the forms send is taken."""

import re

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

    changed = await system.visitor.post(path, data=form | {"event_bounced": "yes", "newsletter_1": "yes"})
    assert (changed.status_code, changed.headers["location"]) == (303, path)
    page = (await system.visitor.get(path)).text
    assert re.search(r'name="event_bounced"[^>]* checked', page)
    refused = await system.visitor.post(path, data=form | {"url": "not an address"})
    assert (refused.status_code, 'id="url-error"' in refused.text) == (422, True)

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
