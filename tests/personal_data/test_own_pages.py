"""A person's own pages, as a browser without scripts and cookies sees them: from an issue's footer to the end."""

from urllib.parse import urlencode

import pytest

from harness.system import LINK, System

from .marker import EMAIL, KEY, NAME, newest_link, own_page, path_of, subscriber_id

OTHER_DEVICE = "a-friend"
FORM = {"content-type": "application/x-www-form-urlencoded"}
"""As a browser sends it, for a form without fields too."""


async def _issue_link(system: System) -> str:
    """The path of the unsubscribe link in the person's copy of an issue; nobody is logged in."""
    await system.confirmed_subscriber(EMAIL, NAME)
    await system.log_in()
    await system.publish_by_form()
    await system.deliver_all_pending()
    system.visitor.cookies.clear()
    return path_of(await newest_link(system, EMAIL, "/unsubscribe/"))


async def _states(system: System) -> list[str]:
    [item] = (await system.api.get("/api/v1/subscribers", params={"email": EMAIL})).json()["items"]
    return [one["state"] for one in item["subscriptions"]]


async def test_the_footers_page_leads_on_to_the_choices_and_looking_changes_nothing(system: System) -> None:
    link = await _issue_link(system)
    assert f'href="{link}/choices"' in (await system.visitor.get(link)).text
    for method in ("GET", "HEAD"):
        for path in (f"{link}/choices", f"{link}/all", f"{link}/preferences-link"):
            answer = await system.visitor.request(method, path)
            assert answer.status_code == (200 if path.endswith("choices") else 405), path
    page = (await system.visitor.get(f"{link}/choices")).text
    assert [page.count(f'action="{link}{rest}"') for rest in ("", "/all", "/preferences-link")] == [1, 1, 1]
    assert await _states(system) == ["confirmed"]
    assert system.seed.count("subscriptions.preferences_link") == 0


async def test_a_friend_who_was_sent_the_issue_learns_and_changes_nothing_of_the_person(system: System) -> None:
    link = await _issue_link(system)
    async with system.client(user_agent=OTHER_DEVICE) as friend:
        answers = [
            await friend.get(link),
            await friend.get(f"{link}/choices"),
            await friend.post(f"{link}/preferences-link"),
        ]
        for answer in answers:
            assert answer.status_code == 200
            assert KEY not in answer.text.lower()
            assert NAME not in answer.text
        token = link.rpartition("/")[2]
        for path in ("", "/leave", "/name", "/address", "/download", "/erase"):
            method = "GET" if path == "" else "POST"
            refused = await friend.request(method, f"/preferences/{token}{path}", headers=FORM)
            assert refused.status_code == 401, path
    assert (await subscriber_id(system, EMAIL), await _states(system)) == (
        system.seed.execute("SELECT id FROM subscriptions.subscriber")[0][0],
        ["confirmed"],
    )


@pytest.mark.parametrize("token", ["nonsense", "k1." + "A" * 32, "x" * 500, "%2e%2e", "%00", "~"])
async def test_a_link_that_nobody_made_is_answered_as_a_good_one(system: System, token: str) -> None:
    link = await _issue_link(system)
    for path in ("/all", "/preferences-link"):
        bad = await system.visitor.post(f"/unsubscribe/{token}{path}")
        good = await system.visitor.post(f"{link}{path}")
        assert (bad.status_code, bad.content) == (good.status_code, good.content)
        assert good.status_code == 200


async def test_all_is_left_from_an_issue_by_whatever_body_again_and_again(system: System) -> None:
    link = await _issue_link(system)
    for content in (b"", b"a=b", b"\0\xff"):
        answer = await system.visitor.post(f"{link}/all", content=content, headers=FORM)
        assert (answer.status_code, "You are unsubscribed" in answer.text) == (200, True)
        assert await _states(system) == ["unsubscribed"]


async def test_everything_on_the_page_works_without_a_cookie_and_twice(system: System) -> None:
    await _issue_link(system)
    page = await own_page(system, EMAIL)
    async with system.client() as browser:
        for path, form, words in (
            ("/name", {"name": "Zeb"}, "Your name has been changed."),
            ("/address", {"email": "zeb@example.com"}, "Check the new mailbox"),
            ("/leave", {"newsletter_id": "1"}, "You have left that newsletter."),
            ("/leave", {}, "You have left every newsletter."),
        ):
            for _ in range(2):
                browser.cookies.clear()
                sent = await browser.post(f"{page}{path}", content=urlencode(form), headers=FORM)
                assert (sent.status_code, sent.headers["location"]) == (303, page), path
                assert words in (await browser.get(page)).text
        browser.cookies.clear()
        shown = (await browser.get(page)).text
        assert "You left" in shown
        assert 'value="Zeb"' in shown
        assert "<strong>zeb@example.com</strong> asks for its confirmation" in shown
        downloads = [await browser.post(f"{page}/download") for _ in range(2)]
        assert [answer.json()["records"]["subscriber"][0]["name"] for answer in downloads] == ["Zeb", "Zeb"]
    assert await _states(system) == ["unsubscribed"]


async def test_what_is_wrong_stands_at_its_field_and_what_was_typed_stays(system: System) -> None:
    await _issue_link(system)
    page = await own_page(system, EMAIL)
    for path, field, typed in (("/name", "name", "<b>"), ("/address", "email", "zeb@")):
        refused = await system.visitor.post(f"{page}{path}", data={field: typed})
        assert refused.status_code == 400
        assert "There is something to correct" in refused.text
        assert f'value="{typed.replace("<", "&lt;").replace(">", "&gt;")}"' in refused.text
        assert "<title>Error: " in refused.text
    for newsletter_id in ("x", "-1", "9" * 40, "77", "\u0661"):
        assert (await system.visitor.post(f"{page}/leave", data={"newsletter_id": newsletter_id})).status_code == 400
    assert await _states(system) == ["confirmed"]


async def test_pages_of_ones_own_are_kept_and_told_nowhere(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither in a cache, nor in the address that the next site sees, nor in a search engine, nor in a log."""
    await _issue_link(system)
    page = await own_page(system, EMAIL)
    for answer in (
        await system.visitor.get(page),
        await system.visitor.get(f"{page}/erase"),
        await system.visitor.post(f"{page}/download"),
    ):
        assert answer.status_code == 200
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "no-store" in answer.headers["cache-control"]
    assert 'name="robots" content="noindex"' in (await system.visitor.get(page)).text
    await system.visitor.post(f"{page}/name", data={"name": "Zeb"})
    await system.visitor.post(f"{page}/erase")
    logged = capsys.readouterr().out
    assert "subscriptions.person_erased" in logged
    for secret in (page.rpartition("/")[2], KEY, EMAIL, NAME, "Zeb"):
        assert secret not in logged


async def test_a_mail_to_the_person_holds_one_link_and_no_words_of_anybody(system: System) -> None:
    await _issue_link(system)
    page = await own_page(system, EMAIL)
    await system.visitor.post(f"{page}/address", data={"email": "zeb@example.com"})
    await system.deliver_all_pending()
    mails = {message.subject: message for message in system.oracle.messages() if message.stream == "outbound"}
    for subject, links in (
        ("Your subscriptions and your data", 1),
        ("Please confirm your new address", 1),
        ("Somebody asked to change your address", 0),
    ):
        mail = mails[subject]
        assert (len(set(LINK.findall(mail.text))), len(set(LINK.findall(mail.html)))) == (links, links), subject
        assert NAME not in mail.text + mail.html
