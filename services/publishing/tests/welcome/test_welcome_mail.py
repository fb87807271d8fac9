"""The welcome mail of a newsletter: what may be saved and enabled, and what delivery gets of it."""

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.background.set_aside import SetAside
from broadsheet_publishing.compiling.compiled_issue import CompileError, Fault
from broadsheet_publishing.compiling.compiler import Compiler, CompilerBusyError
from broadsheet_publishing.welcome.refresh_welcome import LOOP, refresh_welcomes

from ..conftest import Publishing, PublishingOwner, until

WELCOME = {"enabled": True, "subject": "Welcome, {{ subscriber.name }}", "content": "# Hello\n\nYou are *in*."}
ADDRESS = "1 Example Street, Example Town"
LAYOUT = "<html><head><title>{{ issue.title }}</title></head><body><p>%s</p>{{ content }}</body></html>"


async def make(publishing: Publishing, **fields: object) -> dict[str, Any]:
    answer = await publishing.post("newsletters", {"name": "Second", "postal_address": ADDRESS} | fields)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def change(publishing: Publishing, newsletter_id: int, *, tag: str = "*", **fields: object) -> dict[str, Any]:
    answer = await publishing.patch(f"newsletters/{newsletter_id}", fields, tag=tag)
    assert answer.status_code == 200, answer.text
    changed: dict[str, Any] = answer.json()
    return changed


def published(owner: PublishingOwner, newsletter_id: int) -> list[tuple[str, str, str]]:
    """What delivery sends: subject, HTML and text."""
    return owner.rows(
        "SELECT subject, html_content, text_content FROM publishing.published_welcome_mails WHERE newsletter_id = %s",
        newsletter_id,
    )


def errors(answer: Any) -> dict[str, str]:
    assert answer.status_code == 422, answer.text
    return {error["pointer"]: error["detail"] for error in answer.json()["errors"]}


async def test_without_one_it_is_empty_and_off(publishing: Publishing) -> None:
    made = await make(publishing)
    assert made["welcome_mail"] == {"enabled": False, "subject": "", "content": "", "faults": []}
    assert published(publishing, made["id"]) == []


async def test_an_enabled_one_is_compiled_into_the_newsletters_look_when_it_is_saved(publishing: Publishing) -> None:
    made = await make(publishing, welcome_mail=WELCOME, language="fr", accent_colour="#00ff7f")
    assert made["welcome_mail"] == WELCOME | {"faults": []}
    [(subject, html, text)] = published(publishing, made["id"])
    assert subject == "Welcome, {{ subscriber.name }}"
    assert "<em>in</em>" in html
    assert 'lang="fr"' in html
    assert "{{ unsubscribe_url }}" in html
    assert "{{ unsubscribe_url }}" in text
    assert "{{ preferences_url }}" in text
    assert "web_url" not in html + text, "it has no page on the web"
    assert ADDRESS.split(",", maxsplit=1)[0] in html
    shown = await publishing.get(f"newsletters/{made['id']}")
    assert shown.json() == made


async def test_a_part_may_be_changed_alone_and_it_is_switched_off_and_on_again(publishing: Publishing) -> None:
    made = await make(publishing, welcome_mail=WELCOME)
    off = await change(publishing, made["id"], welcome_mail={"enabled": False})
    assert off["welcome_mail"] == WELCOME | {"enabled": False, "faults": []}
    assert published(publishing, made["id"]) == []
    await change(publishing, made["id"], welcome_mail={"subject": "Again"})
    on = await change(publishing, made["id"], welcome_mail={"enabled": True})
    assert on["welcome_mail"]["subject"] == "Again"
    assert [row[0] for row in published(publishing, made["id"])] == ["Again"]


async def test_what_delivery_gets_has_another_version_when_it_is_another_mail(publishing: Publishing) -> None:
    def version() -> int:
        [(found,)] = publishing.rows("SELECT content_version FROM publishing.published_welcome_mails")
        return int(found)

    made = await make(publishing, welcome_mail=WELCOME)
    before = version()
    await change(publishing, made["id"], welcome_mail=WELCOME)
    assert version() == before
    await change(publishing, made["id"], welcome_mail={"content": "Corrected"})
    assert version() > before


@pytest.mark.parametrize(
    ("fields", "pointer", "said"),
    [
        ({"content": ""}, "/welcome_mail/content", "Content is needed"),
        ({"subject": " "}, "/welcome_mail/subject", "needed"),
        ({"content": "Hello {{ subscriber.nme }}"}, "/welcome_mail/content", "Line 1, column 10: There is no field"),
        ({"content": "One\n\n{{ issue.title }}"}, "/welcome_mail/content", "Line 3, column 4: There is no field"),
        ({"content": "{{ issue.published_on }}"}, "/welcome_mail/content", "issue.published_on"),
        ({"content": "[Web]({{ web_url }})"}, "/welcome_mail/content", "web_url"),
        ({"content": "{% if web_url %}x{% endif %}"}, "/welcome_mail/content", "web_url"),
        ({"subject": "{{ issue.published_on }}"}, "/welcome_mail/subject", "issue.published_on"),
        ({"subject": "{{ issue.title }}"}, "/welcome_mail/subject", "issue.title"),
        ({"content": "{% if subscriber.name %}x"}, "/welcome_mail/content", "not valid"),
    ],
)
async def test_one_that_cannot_be_made_is_refused_when_enabled_and_stored_with_its_faults_when_not(
    publishing: Publishing, fields: dict[str, str], pointer: str, said: str
) -> None:
    made = await make(publishing, welcome_mail=WELCOME)
    before = published(publishing, made["id"])
    found = errors(await publishing.patch(f"newsletters/{made['id']}", {"welcome_mail": fields}))
    assert said in found[pointer]
    assert published(publishing, made["id"]) == before, "nothing changed"
    stored = await change(publishing, made["id"], welcome_mail=fields | {"enabled": False})
    [fault] = stored["welcome_mail"]["faults"]
    assert fault["field"] == pointer.rpartition("/")[2]
    assert stored["welcome_mail"].items() >= fields.items()
    again = errors(await publishing.patch(f"newsletters/{made['id']}", {"welcome_mail": {"enabled": True}}))
    assert again.keys() == found.keys()
    mended = await change(publishing, made["id"], welcome_mail=WELCOME)
    assert mended["welcome_mail"]["faults"] == []


async def test_the_names_that_a_fault_lists_can_be_used(publishing: Publishing) -> None:
    body = {"name": "x", "postal_address": ADDRESS, "welcome_mail": WELCOME | {"content": "{{ issue.title }}"}}
    detail = errors(await publishing.post("newsletters", body))["/welcome_mail/content"]
    listed = detail.partition("There are: ")[2].rstrip(".").split(", ")
    assert len(listed) > 5
    await make(publishing, welcome_mail=WELCOME | {"content": " ".join(listed)})


@pytest.mark.parametrize("missing", [{"postal_address": ""}, {"postal_address": " "}])
async def test_it_needs_what_every_mail_needs(publishing: Publishing, missing: dict[str, str]) -> None:
    body = {"name": "x", "postal_address": ADDRESS, "welcome_mail": WELCOME}
    assert "postal_address" in errors(await publishing.post("newsletters", body | missing))["/welcome_mail/enabled"]
    made = await make(publishing, welcome_mail=WELCOME)
    taken = await publishing.patch(f"newsletters/{made['id']}", missing)
    assert "/welcome_mail/enabled" in errors(taken)
    await change(publishing, made["id"], **missing, welcome_mail={"enabled": False})


async def test_what_is_too_long_is_refused_before_it_is_looked_at(publishing: Publishing) -> None:
    body = {"name": "x", "welcome_mail": {"content": "x" * 50_001}}
    assert (await publishing.post("newsletters", body)).status_code in {400, 422}


@pytest.mark.parametrize("text", ["a\\u0000b", "a\\ud800b"], ids=["NUL", "half of a pair"])
@pytest.mark.parametrize("field", ["subject", "content"])
async def test_what_cannot_be_stored_is_refused(publishing: Publishing, field: str, text: str) -> None:
    answer = await publishing.client.post(
        "/api/v1/newsletters",
        content=f'{{"name": "x", "welcome_mail": {{"{field}": "{text}"}}}}',
        headers=publishing.identity("read", "write") | {"content-type": "application/json"},
    )
    assert answer.status_code in {400, 422}, answer.text


async def test_the_entity_tag_counts_it_but_not_its_faults_and_not_the_stream_check(
    publishing: Publishing, owner: PublishingOwner
) -> None:
    made = await make(publishing)
    path = f"newsletters/{made['id']}"
    tag = (await publishing.get(path)).headers["etag"]
    changed = await publishing.patch(path, {"welcome_mail": {"content": "New"}}, tag=tag)
    new_tag = changed.headers["etag"]
    assert new_tag != tag
    assert (await publishing.patch(path, {"name": "x"}, tag=tag)).status_code == 412
    owner.rows('UPDATE publishing.welcome_mail SET faults = \'[{"code": "c", "field": "content", "detail": "d"}]\'')
    owner.rows("UPDATE delivery.stream_check SET checked_at = now(), state = 'fits'")
    shown = await publishing.get(path)
    assert shown.json()["welcome_mail"]["faults"] != []
    assert shown.json()["stream_check"]["state"] == "ok"
    assert shown.headers["etag"] == new_tag


async def test_another_layout_or_look_is_compiled_in_soon(publishing: Publishing) -> None:
    layout = await publishing.post("layouts", {"name": "Own", "format": "html", "source": LAYOUT % "First"})
    layout_id = layout.json()["id"]
    made = await make(publishing, welcome_mail=WELCOME, layout_id=layout_id)

    def html() -> str:
        return published(publishing, made["id"])[0][1]

    assert "First" in html()
    await publishing.patch(f"layouts/{layout_id}", {"source": LAYOUT % "Another"})

    async def has_another() -> bool:
        return "Another" in html()

    await until(has_another)
    await change(publishing, made["id"], layout_id=None, postal_address="2 Other Street", language="de")

    async def looks_new() -> bool:
        return "2 Other Street" in html() and 'lang="de"' in html()

    await until(looks_new)


async def test_a_change_that_the_mail_does_not_show_compiles_nothing(publishing: Publishing) -> None:
    made = await make(publishing, welcome_mail=WELCOME)
    await change(publishing, made["id"], description="Other", sign_up_text="Other", is_listed=True)
    assert publishing.rows("SELECT wanted_version, compiled_version FROM publishing.welcome_mail") == [(1, 1)]


class _Compiling(Compiler):
    """Does something first, each time."""

    def __init__(self, act: Any) -> None:
        super().__init__()
        self._act = act

    async def compile(self, *given: Any, **named: Any) -> Any:
        self._act()
        return await super().compile(*given, **named)


def _outdated(owner: PublishingOwner) -> bool:
    return bool(owner.rows("SELECT compiled_version < wanted_version FROM publishing.welcome_mail")[0][0])


def _add_welcome(owner: PublishingOwner) -> None:
    owner.rows(
        "INSERT INTO publishing.welcome_mail (newsletter_id, is_enabled, subject, content, mail_subject, html_content, "
        "text_content) VALUES (1, true, 'Welcome', 'Hello', 'Old', '<p>Old</p>', 'Old')"
    )


async def test_one_that_changes_while_it_is_compiled_is_compiled_again(
    engine: AsyncEngine, owner: PublishingOwner
) -> None:
    _add_welcome(owner)
    names = iter(["Changed", "Changed again"])

    def change_name() -> None:
        if (name := next(names, None)) is not None:
            owner.rows("UPDATE publishing.newsletter SET name = %s", name)

    async with _Compiling(change_name) as compiler:
        assert await refresh_welcomes(engine, compiler) == 0
        assert [row[0] for row in published(owner, 1)] == ["Old"]
        assert await refresh_welcomes(engine, compiler) == 0
        assert await refresh_welcomes(engine, compiler) == 1
        assert await refresh_welcomes(engine, compiler) == 0
    [(_, html, _)] = published(owner, 1)
    assert "Changed again" in html


async def test_a_look_that_cannot_be_compiled_leaves_the_mail_as_it_was_and_shows_why(
    engine: AsyncEngine, owner: PublishingOwner, publishing: Publishing
) -> None:
    made = await make(publishing, welcome_mail=WELCOME)
    before = published(owner, made["id"])
    layout_id = owner.rows(
        "INSERT INTO publishing.layout (name, format, source) VALUES ('Bad', 'html', '<p>no place</p>') RETURNING id"
    )[0][0]
    owner.rows("UPDATE publishing.newsletter SET layout_id = %s WHERE id = %s", layout_id, made["id"])

    async def is_known() -> bool:
        return bool((await publishing.get(f"newsletters/{made['id']}")).json()["welcome_mail"]["faults"])

    await until(is_known)
    [fault] = (await publishing.get(f"newsletters/{made['id']}")).json()["welcome_mail"]["faults"]
    assert (fault["field"], fault["code"]) == ("layout", "layout-content")
    assert published(owner, made["id"]) == before


async def test_when_the_compiler_is_busy_it_is_compiled_in_a_later_round(
    engine: AsyncEngine, owner: PublishingOwner
) -> None:
    _add_welcome(owner)

    def refuse() -> None:
        raise CompilerBusyError

    async with _Compiling(refuse) as busy:
        assert await refresh_welcomes(engine, busy) == 0
    assert _outdated(owner)
    async with Compiler() as compiler:
        assert await refresh_welcomes(engine, compiler) == 1
    assert not _outdated(owner)


async def test_one_that_fails_for_a_reason_of_ours_rests_and_the_others_are_compiled(
    engine: AsyncEngine, owner: PublishingOwner
) -> None:
    _add_welcome(owner)
    second = owner.add_newsletter("second")
    owner.rows(
        "INSERT INTO publishing.welcome_mail (newsletter_id, is_enabled, subject, content) "
        "VALUES (%s, false, 'a', 'b')",
        second,
    )
    tries = iter([RecursionError("x")])

    def fail_once() -> None:
        if (error := next(tries, None)) is not None:
            raise error

    set_aside: SetAside[int] = SetAside(LOOP)
    async with _Compiling(fail_once) as compiler:
        assert await refresh_welcomes(engine, compiler, set_aside) == 1
    assert len(set_aside) == 1


async def test_a_crash_of_the_compiler_is_a_fault_and_no_loop_without_end(
    engine: AsyncEngine, owner: PublishingOwner
) -> None:
    _add_welcome(owner)

    def crash() -> None:
        raise CompileError((Fault(code="compile-crashed", field="content", detail="It cannot be compiled."),))

    async with _Compiling(crash) as compiler:
        assert await refresh_welcomes(engine, compiler) == 1
        assert await refresh_welcomes(engine, compiler) == 0
    assert [row[0] for row in published(owner, 1)] == ["Old"]
