"""Making newsletters and setting them up; archiving them."""

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_common.http.problems import InvalidInputError
from broadsheet_publishing.newsletters.newsletter import parse_settings
from broadsheet_publishing.newsletters.slug import slug_from

from ..conftest import ISSUE, Publishing

ADDRESS = "1 Example Street, Example Town"


async def create(publishing: Publishing, **fields: object) -> dict[str, object]:
    answer = await publishing.post("newsletters", fields)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_a_newsletter_is_made_with_a_name_alone_and_says_what_it_lacks(publishing: Publishing) -> None:
    made = await create(publishing, name="Größe & Mehr")
    assert (made["slug"], made["is_ready"], made["missing"]) == ("grosse-mehr", False, ["postal_address"])
    assert (made["has_archive"], made["language"], made["time_zone"]) == (True, "en", "UTC")
    shown = await publishing.get(f"newsletters/{made['id']}")
    assert shown.json() == made
    ready = await publishing.patch(f"newsletters/{made['id']}", {"postal_address": ADDRESS}, tag=shown.headers["etag"])
    assert (ready.json()["is_ready"], ready.json()["missing"]) == (True, [])


async def test_every_setting_can_be_set_and_taken_back(publishing: Publishing) -> None:
    settings = {
        "name": "Le Monde",
        "slug": "le-monde",
        "description": "News.\nEvery day.",
        "from_name": "Rédaction",
        "from_email": "redaction@example.com",
        "reply_to": "answers@example.com",
        "postal_address": ADDRESS,
        "message_stream": "my-stream",
        "unsubscribe_handling": "postmark",
        "language": "fr-CA",
        "direction": "rtl",
        "time_zone": "America/Toronto",
        "accent_colour": "#00ff7f",
        "logo_url": "https://example.com/logo.png",
        "logo_alt": "Le Monde",
        "sign_up_heading": "Read us",
        "sign_up_text": "Twice a week.",
        "sign_up_button": "Yes",
        "allowed_origins": ["https://example.com"],
        "is_listed": True,
        "has_archive": False,
        "archive_is_hidden": True,
        "requires_approval": True,
    }
    made = await create(publishing, **settings)
    assert settings.items() <= made.items()
    nulls = dict.fromkeys(("from_name", "from_email", "reply_to", "logo_url"))
    changed = await publishing.patch(f"newsletters/{made['id']}", nulls)
    assert changed.json() == made | nulls


async def test_bad_settings_are_named_together_and_nothing_changes(publishing: Publishing) -> None:
    bad = {
        "name": " ",
        "slug": "No Slug",
        "from_name": "A\nB",
        "from_email": "nobody",
        "reply_to": "ü@example.com",
        "message_stream": "1st",
        "language": "English",
        "time_zone": "Mars/Olympus",
        "accent_colour": "red",
        "logo_url": "http://example.com/logo.png",
        "logo_alt": "x" * 201,
        "sign_up_button": "x" * 61,
        "description": "x" * 2_001,
    }
    before = (await publishing.get("newsletters/1")).json()
    for answer in (await publishing.patch("newsletters/1", bad), await publishing.post("newsletters", bad)):
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:broadsheet:problem:invalid-input")
        assert {problem["pointer"] for problem in answer.json()["errors"]} == {f"/{name}" for name in bad}
    assert (await publishing.get("newsletters/1")).json() == before
    assert publishing.rows("SELECT count(*) FROM publishing.newsletter") == [(1,)]


async def test_a_slug_is_one_newsletters_however_many_ask_at_once(publishing: Publishing) -> None:
    answers = await asyncio.gather(*(publishing.post("newsletters", {"name": "Same name"}) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert refused.json()["errors"] == [{"pointer": "/slug", "detail": "Another newsletter has this slug."}]
    other = await create(publishing, name="Other")
    changed = await publishing.patch(f"newsletters/{other['id']}", {"slug": "same-name"})
    assert (changed.status_code, changed.json()["type"]) == (409, "urn:broadsheet:problem:slug-taken")
    moved = await asyncio.gather(
        publishing.post("newsletters", {"name": "X", "slug": "wanted"}),
        publishing.patch(f"newsletters/{other['id']}", {"slug": "wanted"}),
    )
    assert sorted(answer.status_code < 300 for answer in moved) == [False, True]


async def test_a_name_without_latin_letters_needs_a_slug(publishing: Publishing) -> None:
    answer = await publishing.post("newsletters", {"name": "新聞"})
    assert [problem["pointer"] for problem in answer.json()["errors"]] == ["/slug"]
    assert (await create(publishing, name="新聞", slug="news"))["name"] == "新聞"


async def test_making_one_twice_with_one_key_makes_one(publishing: Publishing) -> None:
    first = await publishing.post("newsletters", {"name": "Once"}, key="k")
    again = await publishing.post("newsletters", {"name": "Once"}, key="k")
    assert (first.status_code, again.json()) == (201, first.json())


async def test_an_archived_newsletter_takes_nobody_and_sends_nothing(publishing: Publishing) -> None:
    made = await create(publishing, name="Old", postal_address=ADDRESS)
    newsletter_id = int(str(made["id"]))
    publishing.add_confirmed(1, newsletter_id=newsletter_id)
    draft = (await publishing.write_issue(newsletter_id=newsletter_id)).json()["id"]
    archived = await publishing.post(f"newsletters/{newsletter_id}/archive")
    assert archived.status_code == 200
    assert archived.json()["archived_at"] is not None
    assert (await publishing.post(f"newsletters/{newsletter_id}/archive")).json() == archived.json()
    assert newsletter_id not in {one["id"] for one in (await publishing.get("newsletters")).json()["items"]}
    listed = (await publishing.get("newsletters", archived=True)).json()["items"]
    assert newsletter_id in {one["id"] for one in listed}
    assert publishing.rows(
        "SELECT archived_at IS NOT NULL FROM publishing.published_newsletters WHERE newsletter_id = %s", newsletter_id
    ) == [(True,)]
    refused = await publishing.post("issues", ISSUE | {"newsletter_id": newsletter_id})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:broadsheet:problem:newsletter-archived")
    publish = await publishing.publish(draft)
    assert (publish.status_code, publish.json()["type"]) == (409, "urn:broadsheet:problem:newsletter-not-ready")
    assert (await publishing.post(f"newsletters/{newsletter_id}/unarchive")).json()["archived_at"] is None
    assert (await publishing.publish(draft)).status_code == 202


async def test_a_newsletter_in_use_is_not_archived(publishing: Publishing) -> None:
    default = await publishing.post("newsletters/1/archive")
    assert (default.status_code, default.json()["type"]) == (409, "urn:broadsheet:problem:newsletter-in-use")
    newsletter_id = int(str((await create(publishing, name="Busy", postal_address=ADDRESS))["id"]))
    publishing.add_confirmed(1, newsletter_id=newsletter_id)
    issue_id = (await publishing.write_issue(newsletter_id=newsletter_id)).json()["id"]
    at = {"at": "2027-01-15T08:00:00Z"}
    assert (await publishing.post(f"issues/{issue_id}/schedule", at)).status_code == 200
    assert (await publishing.post(f"newsletters/{newsletter_id}/archive")).status_code == 409
    await publishing.delete(f"issues/{issue_id}/schedule")
    await publishing.publish(issue_id)
    assert (await publishing.post(f"newsletters/{newsletter_id}/archive")).status_code == 409
    await publishing.post(f"issues/{issue_id}/cancel")
    assert (await publishing.post(f"newsletters/{newsletter_id}/archive")).status_code == 200
    assert (await publishing.post("newsletters/4711/archive")).status_code == 404


async def test_without_a_postal_address_nothing_is_published(publishing: Publishing) -> None:
    newsletter_id = int(str((await create(publishing, name="New"))["id"]))
    publishing.add_confirmed(1, newsletter_id=newsletter_id)
    refused = await publishing.write_issue(newsletter_id=newsletter_id, publish=True)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:broadsheet:problem:newsletter-not-ready")
    assert [problem["pointer"] for problem in refused.json()["errors"]] == ["/postal_address"]
    assert publishing.rows("SELECT count(*) FROM publishing.issue") == [(0,)]


@pytest.mark.parametrize(("name", "slug"), [("A  B", "a-b"), ("--", ""), ("Café 12", "cafe-12"), ("x" * 99, "x" * 63)])
def test_a_slug_is_made_of_a_name(name: str, slug: str) -> None:
    assert slug_from(name, chars_max=63) == slug


@given(st.text(max_size=300))
def test_a_slug_of_any_text_is_one(text: str) -> None:
    slug = slug_from(text, chars_max=80)
    assert slug == "" or re.fullmatch("[a-z0-9][a-z0-9-]{0,79}", slug)
    assert not slug.endswith("-")


@given(
    st.dictionaries(
        st.sampled_from(["name", "slug", "from_name", "from_email", "logo_url", "language", "time_zone", "reply_to"]),
        st.text(max_size=80),
    )
)
def test_any_text_is_taken_or_refused_with_a_sentence(given_fields: dict[str, object]) -> None:
    details: list[str] = []
    try:
        parsed = parse_settings(given_fields)
    except InvalidInputError as error:
        details = [problem.detail for problem in error.errors]
        assert details
    else:
        assert parsed.keys() == given_fields.keys()
    assert all(detail.endswith((".", "?")) for detail in details)
