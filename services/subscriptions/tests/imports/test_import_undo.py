"""Taking an import back: what came with it goes, what it changed is as before, and life since is left alone."""

from ..conftest import Subscriptions
from ..importing import Importing


async def undone(importing: Importing, import_id: int) -> dict[str, object]:
    response = await importing.post(f"/{import_id}/undo")
    assert (response.status_code, response.json()["status"]) == (202, "undoing")
    found = await importing.ended(import_id)
    assert found["status"] == "undone"
    again = await importing.post(f"/{import_id}/undo")
    assert (again.status_code, again.json()["status"]) == (202, "undone")
    assert importing.audited(import_id) == ["import.created", "import.undone"]
    undo: dict[str, object] = found["undo"]
    return undo


async def test_all_is_as_before_when_nothing_has_happened_since(
    subscriptions: Subscriptions, importing: Importing
) -> None:
    importing.add_attribute("city")
    await subscriptions.subscribe_and_confirm("here@example.com")
    await subscriptions.sign_up("pending@example.com")
    second = subscriptions.add_newsletter("second")
    await subscriptions.public("subscriptions", email="other@example.com", name="Other", newsletter_id=second)
    columns = "email, name, attributes, tags, newsletter_id, state, confirmed_at, import_id"
    before = importing.people(columns)
    found = await importing.run(
        "email,name,city,tags,status\nhere@example.com,New Name,Wien,x,\npending@example.com,P,,,\n"
        "other@example.com,,Graz,,\nnew@example.com,New,Linz,y,\ngone@example.com,Gone,,,unsubscribed\n",
        existing="overwrite",
    )
    assert (found["counts"]["created"], found["counts"]["updated"]) == (2, 3)
    assert importing.people(columns) != before
    assert await undone(importing, found["id"]) == {"removed": 2, "restored": 3, "kept": {}}
    assert importing.people(columns) == before


async def test_what_happened_since_stays_and_is_counted_by_reason(
    subscriptions: Subscriptions, importing: Importing
) -> None:
    importing.add_attribute("city")
    await subscriptions.subscribe_and_confirm("here@example.com")
    second = subscriptions.add_newsletter("second")
    emails = ["left", "elsewhere", "again", "untouched"]
    found = await importing.run(
        "\n".join(["email,name,city", "here@example.com,Changed,Wien", *(f"{one}@example.com,," for one in emails)]),
        existing="overwrite",
    )
    await subscriptions.public("unsubscribes", token=subscriptions.unsubscribe_token("left@example.com"))
    await subscriptions.public("subscriptions", email="elsewhere@example.com", name="E", newsletter_id=second)
    subscriptions.rows("UPDATE subscriptions.subscriber SET name = 'Chosen' WHERE email = 'here@example.com'")
    await importing.run("email,city\nagain@example.com,Graz\n", existing="overwrite")
    undo = await undone(importing, found["id"])
    assert undo == {
        "removed": 1,
        "restored": 1,
        "kept": {"changed_since": 1, "left_since": 1, "has_another_subscription": 1, "in_a_later_import": 1},
    }
    assert importing.people("email, name, attributes, newsletter_id, state") == [
        ("again@example.com", "", {"city": "Graz"}, 1, "confirmed"),
        ("elsewhere@example.com", "", {}, second, "pending"),
        ("here@example.com", "Chosen", {}, 1, "confirmed"),
        ("left@example.com", "", {}, 1, "unsubscribed"),
    ]


async def test_people_who_came_otherwise_while_it_ran_stay(subscriptions: Subscriptions, importing: Importing) -> None:
    """Their ids are among those of the imported."""
    await subscriptions.subscribe_and_confirm("before@example.com")
    found = await importing.run("email\none@example.com\ntwo@example.com\n")
    other = await importing.run("email\nother@example.com\n")
    await subscriptions.sign_up("after@example.com")
    subscriptions.rows(
        "UPDATE subscriptions.import_lane SET first_added_id = 1, last_added_id = 1000 WHERE import_id = %s",
        found["id"],
    )
    assert await undone(importing, found["id"]) == {"removed": 2, "restored": 0, "kept": {}}
    assert [email for email, *_ in importing.people()] == [
        "after@example.com",
        "before@example.com",
        "other@example.com",
    ]
    assert await undone(importing, other["id"]) == {"removed": 1, "restored": 0, "kept": {}}


async def test_who_confirmed_a_mail_of_the_import_themselves_stays(
    subscriptions: Subscriptions, importing: Importing
) -> None:
    found = await importing.run("email\nasked@example.com\nsilent@example.com\n", state="pending")
    subscriptions.rows(
        "UPDATE subscriptions.subscription SET state = 'confirmed', confirmed_at = now() FROM subscriptions.subscriber "
        "WHERE subscriber_id = subscriber.id AND email = 'asked@example.com'"
    )
    undo = await undone(importing, found["id"])
    assert undo == {"removed": 1, "restored": 0, "kept": {"subscription_changed_since": 1}}
    assert [email for email, *_ in importing.people()] == ["asked@example.com"]


async def test_values_of_an_attribute_that_was_removed_meanwhile_do_not_come_back(
    subscriptions: Subscriptions, importing: Importing
) -> None:
    importing.add_attribute("city")
    importing.add_attribute("plan")
    await subscriptions.subscribe_and_confirm("ada@example.com")
    subscriptions.rows("""UPDATE subscriptions.subscriber SET attributes = '{"city": "Wien", "plan": "old"}'""")
    found = await importing.run("email,city\nada@example.com,Graz\n", existing="overwrite")
    subscriptions.rows("UPDATE subscriptions.attribute SET removed_at = now() WHERE name = 'plan'")
    assert await undone(importing, found["id"]) == {"removed": 0, "restored": 1, "kept": {}}
    assert importing.people("attributes") == [({"city": "Wien"},)]


async def test_a_dry_run_has_nothing_to_undo(importing: Importing) -> None:
    found = await importing.run("email\nada@example.com\n", dry_run=True)
    assert (await importing.post(f"/{found['id']}/undo")).status_code == 409
