"""`/admin/password`: the checks in the original's order, and what a change does to sessions."""

import pytest

from harness.system import PASSWORD, USERNAME, System

NEW = "ink, paper and seven presses"


async def _change(system: System, current: str, new: str, repeated: str) -> str:
    """Send the form; answers the message of the page it leads to."""
    answer = await system.visitor.post(
        "/admin/password",
        data={"current_password": current, "new_password": new, "new_password_check": repeated},
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/password")
    page = await system.visitor.get("/admin/password")
    assert page.status_code == 200
    return page.text


async def _can_log_in(system: System, password: str) -> bool:
    async with system.client() as browser:
        answer = await browser.post("/login", data={"username": USERNAME, "password": password})
    return str(answer.headers["location"]) == "/admin/dashboard"


async def test_the_form_needs_a_login(system: System) -> None:
    answer = await system.visitor.get("/admin/password")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


async def test_the_change_needs_a_login_and_changes_nothing_without(system: System) -> None:
    form = {"current_password": PASSWORD, "new_password": NEW, "new_password_check": NEW}
    answer = await system.visitor.post("/admin/password", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert await _can_log_in(system, PASSWORD)


async def test_the_form_has_its_three_fields(system: System) -> None:
    await system.log_in()
    page = (await system.visitor.get("/admin/password")).text
    for name in ("current_password", "new_password", "new_password_check"):
        assert f'name="{name}"' in page


async def test_new_passwords_must_match(system: System) -> None:
    await system.log_in()
    assert "the field values must match" in await _change(system, PASSWORD, NEW, NEW + "!")
    assert await _can_log_in(system, PASSWORD)


async def test_the_current_password_must_be_correct(system: System) -> None:
    await system.log_in()
    assert "The current password is incorrect." in await _change(system, "wrong", NEW, NEW)
    assert await _can_log_in(system, PASSWORD)


@pytest.mark.parametrize("new", ["x2-bR_tPq!z", "Kq7 " * 32 + "z"], ids=["11 characters", "129 characters"])
async def test_a_new_password_of_11_or_129_characters_is_refused(system: System, new: str) -> None:
    await system.log_in()
    assert "between 12 and 128 characters" in await _change(system, PASSWORD, new, new)
    assert await _can_log_in(system, PASSWORD)


@pytest.mark.parametrize(
    "new", ["x2-bR_tPq!zW", "Kq7 vapour lamp. " * 7 + "fjords xy"], ids=["12 characters", "128 characters"]
)
async def test_a_new_password_of_12_or_128_characters_is_taken(system: System, new: str) -> None:
    await system.log_in()
    assert "Your password has been changed." in await _change(system, PASSWORD, new, new)
    assert await _can_log_in(system, new)


async def test_the_checks_come_in_the_order_match_length_current(system: System) -> None:
    await system.log_in()
    assert "must match" in await _change(system, "wrong", "short", "shorter")
    assert "between 12 and 128" in await _change(system, "wrong", "short", "short")
    assert "is incorrect" in await _change(system, "wrong", NEW, NEW)


async def test_the_message_is_shown_once(system: System) -> None:
    await system.log_in()
    assert "is incorrect" in await _change(system, "wrong", NEW, NEW)
    assert "is incorrect" not in (await system.visitor.get("/admin/password")).text


async def test_changing_the_password_works_and_the_old_one_no_longer_does(system: System) -> None:
    await system.log_in()
    assert "Your password has been changed." in await _change(system, PASSWORD, NEW, NEW)
    assert (await system.visitor.post("/admin/logout")).headers["location"] == "/login"
    assert not await _can_log_in(system, PASSWORD)
    assert await _can_log_in(system, NEW)


async def test_a_change_ends_every_other_session_of_the_user_and_keeps_this_one(system: System) -> None:
    await system.log_in()
    async with system.client() as elsewhere:
        await elsewhere.post("/login", data={"username": USERNAME, "password": PASSWORD})
        assert (await elsewhere.get("/admin/dashboard")).status_code == 200
        await _change(system, PASSWORD, NEW, NEW)
        assert (await elsewhere.get("/admin/dashboard")).headers["location"] == "/login"
    assert (await system.visitor.get("/admin/dashboard")).status_code == 200


async def test_a_missing_field_is_400(system: System) -> None:
    await system.log_in()
    answer = await system.visitor.post("/admin/password", data={"current_password": PASSWORD, "new_password": NEW})
    assert answer.status_code == 400
    assert await _can_log_in(system, PASSWORD)
