"""Pages of several newsletters, forms on other sites, and what bots meet."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser
from structlog.testing import capture_logs

from broadsheet_common.contracts.consent_wording import current_wording
from broadsheet_gateway.sign_up import pages
from broadsheet_gateway.sign_up.cross_origin import is_script_that_wants_data
from broadsheet_gateway.sign_up.form_ticket import CLOCK_ERROR_MAX_S, LIFETIME_S, FormTickets, derive_key
from broadsheet_gateway.sign_up.pages import form_url

from ..conftest import Answer, Gateway, MakeGateway

BLOG = "https://blog.example"
NEWSLETTERS: list[dict[str, Any]] = [
    {"slug": "weekly", "name": "The Weekly", "is_default": True, "allowed_origins": []},
    {"slug": "listed", "name": "The Listed One", "is_listed": True, "allowed_origins": [BLOG]},
    {"slug": "quiet", "name": "The Quiet One", "allowed_origins": []},
]
ADA = {"name": "Ada", "email": "ada@example.com"}
SCRIPT = {"origin": BLOG, "sec-fetch-mode": "cors", "accept": "*/*"}

MakeKnowing = Callable[..., Awaitable[Gateway]]


@pytest.fixture
def make_knowing(make_gateway: MakeGateway) -> MakeKnowing:
    """A gateway whose publishing has three newsletters, on two pages of its list."""

    async def make(**changes: Any) -> Gateway:
        gateway = await make_gateway(**changes)
        gateway.publishing.answer("GET", "/api/v1/newsletters", body={"items": NEWSLETTERS, "next_cursor": None})
        return gateway

    return make


def hidden_fields(page: httpx.Response) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">', page.text))


async def test_every_newsletter_has_a_page_and_the_home_page_names_the_listed_ones(make_knowing: MakeKnowing) -> None:
    gateway = await make_knowing()
    visitor = await gateway.client()
    home = await visitor.get("/")
    assert 'href="/newsletters/listed">The Listed One</a>' in home.text
    assert "Quiet" not in home.text
    for slug, name in (("weekly", "The Weekly"), ("listed", "The Listed One"), ("quiet", "The Quiet One")):
        page = await visitor.get(f"/newsletters/{slug}")
        assert page.status_code == 200
        (masthead,) = LexborHTMLParser(page.text).css(".masthead-name a")
        assert masthead.text() == name
        assert f'action="/newsletters/{slug}"' in page.text
        assert current_wording("en").text in page.text
    for slug in ("nothing", "Weekly", "a" * 80, "%00", "..%2f"):
        assert (await visitor.get(f"/newsletters/{slug}")).status_code == 404
    assert len(gateway.publishing.received) == 1


OWN = {
    "slug": "weekly", "name": "The Weekly", "is_default": True, "sign_up_heading": "Read <this>",
    "sign_up_text": "First line\nsecond line\n\nAnother paragraph", "sign_up_button": "Yes, please",
}  # fmt: skip


async def test_the_page_and_the_form_to_copy_are_in_the_newsletters_own_words(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway()
    gateway.publishing.answer("GET", "/api/v1/newsletters", body={"items": [OWN], "next_cursor": None})
    visitor = await gateway.client()
    for path in ("/", "/newsletters/weekly"):
        page = await visitor.get(path)
        assert "<h1>Read &lt;this&gt;</h1>" in page.text
        assert page.text.count('<p class="lead own-lines">') == 2
        assert "First line\nsecond line</p>" in page.text
        assert ">Yes, please</button>" in page.text
        assert "Every issue, once, in your inbox" not in page.text
    embed = await visitor.get("/newsletters/weekly/embed")
    assert "Yes, please" in embed.text


@pytest.mark.parametrize(
    ("opens", "links", "said"),
    [
        (True, True, "Its mails tell the sender whether you open them and which links you follow."),
        (True, False, "Its mails tell the sender whether you open them."),
        (False, True, "Its mails tell the sender which links you follow."),
        (False, False, None),
    ],
)
async def test_who_subscribes_knows_before_what_the_mails_report_back(
    make_gateway: MakeGateway, said: str | None, *, opens: bool, links: bool
) -> None:
    gateway = await make_gateway()
    tracking = {"slug": "weekly", "name": "W", "is_default": True, "track_opens": opens, "track_links": links}
    gateway.publishing.answer("GET", "/api/v1/newsletters", body={"items": [tracking], "next_cursor": None})
    visitor = await gateway.client()
    for path in ("/", "/newsletters/weekly", "/newsletters/weekly/embed"):
        page = (await visitor.get(path)).text
        assert ("Its mails tell the sender" in page) == (said is not None)
        assert said is None or said in page


async def test_a_newsletters_form_signs_up_for_it_and_says_so(make_knowing: MakeKnowing) -> None:
    gateway = await make_knowing()
    visitor = await gateway.client(referer=f"{gateway.settings.public_url}/newsletters/quiet?utm_source=secret")
    form = ADA | hidden_fields(await visitor.get("/newsletters/quiet"))
    answer = await visitor.post("/newsletters/quiet", data=form)
    assert answer.status_code == 200
    assert "The Quiet One" in answer.text
    assert 'href="/newsletters/quiet">try again' in answer.text
    sent = gateway.subscriptions.last.json
    assert (sent["newsletter"], sent["wording_version"]) == ("quiet", current_wording("en").version)
    assert sent["visitor"]["form_url"] == f"{gateway.settings.public_url}/newsletters/quiet"


async def test_faults_come_back_on_the_newsletters_own_page(make_knowing: MakeKnowing) -> None:
    gateway = await make_knowing()
    visitor = await gateway.client()
    errors = [{"pointer": "/email", "detail": "It has no @."}]
    gateway.subscriptions.refuse("POST", "/public/subscriptions", 422, "invalid-input", errors=errors)
    answer = await visitor.post("/newsletters/quiet", data=ADA)
    assert answer.status_code == 400
    assert "It has no @." in answer.text
    assert 'action="/newsletters/quiet"' in answer.text
    assert "The Quiet One" in answer.text


async def test_a_sign_up_needs_no_publishing(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway()
    gateway.publishing.fail("GET", "/api/v1/newsletters", httpx.ConnectError("refused"))
    visitor = await gateway.client()
    assert (await visitor.get("/newsletters/quiet")).status_code == 503
    assert (await visitor.post("/newsletters/quiet", data=ADA)).status_code == 200
    assert gateway.subscriptions.last.json["newsletter"] == "quiet"
    errors = [{"pointer": "/newsletter", "detail": "There is no such newsletter."}]
    gateway.subscriptions.refuse("POST", "/public/subscriptions", 422, "invalid-input", errors=errors)
    assert (await visitor.post("/newsletters/other", data=ADA)).status_code == 404


async def test_a_list_of_several_pages_is_read_to_its_end_and_kept_while_publishing_is_away(
    make_gateway: MakeGateway,
) -> None:
    gateway = await make_gateway(newsletter_cache_s=0.001)
    pages = [{"items": NEWSLETTERS[:2], "next_cursor": "djE6Mg"}, {"items": NEWSLETTERS[2:], "next_cursor": None}]

    async def next_page() -> Any:
        gateway.publishing.answer("GET", "/api/v1/newsletters", body=pages[0])
        first = gateway.publishing.answers["GET", "/api/v1/newsletters"]
        gateway.publishing.answer("GET", "/api/v1/newsletters", body=pages[1])
        return first

    gateway.publishing.answers["GET", "/api/v1/newsletters"] = next_page
    visitor = await gateway.client()
    assert (await visitor.get("/newsletters/quiet")).status_code == 200
    assert [received.query for received in gateway.publishing.received] == [
        "limit=200&archived=true",
        "limit=200&archived=true&cursor=djE6Mg",
    ]
    gateway.publishing.fail("GET", "/api/v1/newsletters", httpx.ConnectError("refused"))
    for _ in range(3):
        assert (await visitor.get("/newsletters/quiet")).status_code == 200


# Forms on other sites -------------------------------------------------------------------------------------------


async def test_the_form_to_copy_is_whole_and_can_be_sent_as_it_is(make_knowing: MakeKnowing) -> None:
    gateway = await make_knowing()
    visitor = await gateway.client()
    page = await visitor.get("/newsletters/listed/embed")
    assert page.status_code == 200
    assert BLOG in page.text
    [snippet] = re.findall(r"<pre[^>]*>(.*?)</pre>", page.text, re.DOTALL)
    html = snippet.replace("&lt;", "<").replace("&gt;", ">").replace("&#34;", '"').replace("&amp;", "&")
    [action] = re.findall(r'action="([^"]+)"', html)
    assert action == f"{gateway.settings.public_url}/newsletters/listed"
    assert current_wording("en").text in html
    assert "<script" not in html
    names = set(re.findall(r'name="([a-z_]+)"', html))
    assert names == {"name", "email", "website", "wording"}
    cross_site = {"origin": BLOG, "referer": f"{BLOG}/", "sec-fetch-site": "cross-site", "accept": "text/html"}
    form = ADA | {"website": "", "wording": str(current_wording("en").version)}
    answer = await visitor.post(action, data=form, headers=cross_site)
    assert (answer.status_code, "inbox" in answer.text) == (200, True)
    sent = gateway.subscriptions.last.json
    assert (sent["wording_version"], sent["visitor"]["form_url"]) == (current_wording("en").version, f"{BLOG}/")


async def test_a_script_of_an_allowed_site_reads_the_answer_as_json_and_no_other_does(
    make_knowing: MakeKnowing,
) -> None:
    gateway = await make_knowing()
    visitor = await gateway.client()
    answer = await visitor.post("/newsletters/listed", data=ADA, headers=SCRIPT)
    assert (answer.status_code, answer.json()) == (202, {"status": "check_inbox"})
    assert answer.headers["access-control-allow-origin"] == BLOG
    assert answer.headers["vary"] == "Origin, Accept-Encoding"
    assert "access-control-allow-credentials" not in answer.headers
    for origin in ("https://evil.example", "null", f"{BLOG}.evil.example", "http://blog.example", f"{BLOG}:8443"):
        other = await visitor.post("/newsletters/listed", data=ADA, headers=SCRIPT | {"origin": origin})
        assert (other.status_code, other.headers["vary"]) == (202, "Origin, Accept-Encoding")
        assert "access-control-allow-origin" not in other.headers
    for path in ("/newsletters/quiet", "/newsletters/weekly", "/subscriptions"):
        other = await visitor.post(path, data=ADA, headers=SCRIPT)
        assert "access-control-allow-origin" not in other.headers


async def test_a_script_reads_faults_as_problems(make_knowing: MakeKnowing) -> None:
    gateway = await make_knowing(signup_limit_per_ip="3/3600")
    visitor = await gateway.client(**{"origin": BLOG, "sec-fetch-mode": "cors"})
    errors = [{"pointer": "/email", "detail": "It has no @."}]
    gateway.subscriptions.refuse("POST", "/public/subscriptions", 422, "invalid-input", errors=errors)
    invalid = await visitor.post("/newsletters/listed", data=ADA)
    assert (invalid.status_code, invalid.json()["errors"]) == (422, errors)
    gateway.subscriptions.fail("POST", "/public/subscriptions", httpx.ConnectError("refused"))
    away = await visitor.post("/newsletters/listed", data=ADA)
    gateway.subscriptions.answer("POST", "/public/subscriptions", body={})
    malformed = await visitor.post("/newsletters/listed", content=b"x=%ff", headers={"content-type": "text/plain"})
    await visitor.post("/newsletters/listed", data=ADA)
    limited = await visitor.post("/newsletters/listed", data=ADA)
    assert [away.status_code, malformed.status_code, limited.status_code] == [503, 415, 429]
    for answer in (invalid, away, malformed, limited):
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["access-control-allow-origin"] == BLOG
    assert limited.headers["retry-after"]


async def test_a_preflight_lets_allowed_sites_send_and_no_other(make_knowing: MakeKnowing) -> None:
    gateway = await make_knowing()
    visitor = await gateway.client()
    asking = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    allowed = await visitor.options("/newsletters/listed", headers=asking | {"origin": BLOG})
    assert allowed.status_code == 204
    assert allowed.headers["access-control-allow-origin"] == BLOG
    assert allowed.headers["access-control-allow-methods"] == "POST"
    assert allowed.headers["access-control-allow-headers"] == "content-type"
    for path, origin in (
        ("/newsletters/listed", "https://evil.example"),
        ("/newsletters/quiet", BLOG),
        ("/subscriptions", BLOG),
    ):
        refused = await visitor.options(path, headers=asking | {"origin": origin})
        assert refused.status_code == 204
        assert not [name for name in refused.headers if name.startswith("access-control")]
        assert refused.headers["vary"] == "Origin"
    assert gateway.subscriptions.received == []


@pytest.mark.parametrize(
    ("headers", "wants"),
    [
        ({"accept": "text/html,*/*", "sec-fetch-mode": "navigate"}, False),
        ({"accept": "*/*"}, False),
        ({}, False),
        ({"accept": "*/*", "sec-fetch-mode": "cors"}, True),
        ({"accept": "application/json"}, True),
        ({"accept": "text/html", "sec-fetch-mode": "cors"}, False),
    ],
    ids=["browser", "anything", "nothing", "fetch", "json", "fetch-of-a-page"],
)
def test_who_gets_data_instead_of_a_page(headers: dict[str, str], wants: bool) -> None:
    assert is_script_that_wants_data(headers) is wants


KNOWN = {"https://news.example", BLOG}


@pytest.mark.parametrize(
    ("headers", "url"),
    [
        ({"referer": "https://news.example/newsletters/a?x=1#y"}, "https://news.example/newsletters/a"),
        ({"referer": "HTTPS://Blog.example"}, f"{BLOG}/"),
        ({"origin": BLOG}, f"{BLOG}/"),
        ({"origin": BLOG, "referer": "https://evil.example/"}, f"{BLOG}/"),
        ({"referer": "https://evil.example/"}, None),
        ({"referer": f"{BLOG}@evil.example/"}, None),
        ({"referer": f"https://user@{BLOG[8:]}/"}, None),
        ({"referer": "https://[broken/"}, None),
        ({"origin": "null"}, None),
        ({}, None),
    ],
    ids=range(10),
)
def test_only_pages_of_sites_that_are_known_are_believed(headers: dict[str, str], url: str | None) -> None:
    assert form_url(headers, KNOWN) == url


@given(st.text(max_size=200), st.text(max_size=50))
def test_reading_the_forms_page_never_breaks(referer: str, origin: str) -> None:
    found = form_url({"referer": referer, "origin": origin}, KNOWN)
    assert found is None or found.startswith(tuple(KNOWN))


# Bots -----------------------------------------------------------------------------------------------------------


async def test_a_bot_that_gives_itself_away_gets_the_page_that_everybody_gets_and_nothing_happens(
    make_knowing: MakeKnowing,
) -> None:
    gateway = await make_knowing(signup_fill_min_s=30.0)
    visitor = await gateway.client()
    person = await visitor.post("/subscriptions", data=ADA)
    assert len(gateway.subscriptions.received) == 1
    ticket = hidden_fields(await visitor.get("/"))
    trapped = await visitor.post("/subscriptions", data=ADA | {"website": "https://spam.example"})
    too_fast = await visitor.post("/subscriptions", data=ADA | ticket)
    for bot in (trapped, too_fast):
        assert (bot.status_code, bot.text) == (person.status_code, person.text)
        assert set(bot.headers) == set(person.headers)
    assert len(gateway.subscriptions.received) == 1


async def test_who_took_long_enough_passes(make_knowing: MakeKnowing) -> None:
    gateway = await make_knowing(signup_fill_min_s=0.0, signup_limit_untimed_per_ip="1/3600")
    visitor = await gateway.client()
    form = ADA | hidden_fields(await visitor.get("/"))
    for _ in range(3):
        assert (await visitor.post("/subscriptions", data=form)).status_code == 200
    assert len(gateway.subscriptions.received) == 3


@pytest.mark.parametrize(
    "ticket", [{}, {"form_ticket": ""}, {"form_ticket": "1771234567890." + "0" * 32}, {"form_ticket": "x" * 500}],
    ids=["none", "empty", "forged", "long"],
)  # fmt: skip
async def test_without_a_good_ticket_narrower_caps_hold_and_the_refusal_carries_one(
    make_knowing: MakeKnowing, ticket: dict[str, str]
) -> None:
    gateway = await make_knowing(signup_limit_untimed_per_ip="2/3600", signup_fill_min_s=0.0)
    visitor = await gateway.client()
    answers = [await visitor.post("/newsletters/quiet", data=ADA | ticket) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 'value="ada@example.com"' in answers[-1].text
    # A person presses the button once more, on our own page now.
    again = await visitor.post("/newsletters/quiet", data=ADA | hidden_fields(answers[-1]))
    assert again.status_code == 200


async def test_more_sign_ups_than_may_be_under_way_are_refused_before_they_cost_anything(
    make_knowing: MakeKnowing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "UNDER_WAY_MAX", 1)
    gateway = await make_knowing()
    visitor, other = await gateway.client(), await gateway.client()
    arrived, may_answer = asyncio.Event(), asyncio.Event()

    async def slowly() -> Answer:
        arrived.set()
        await may_answer.wait()
        return Answer()

    gateway.subscriptions.answers["POST", "/public/subscriptions"] = slowly
    first = asyncio.create_task(visitor.post("/newsletters/listed", data=ADA))
    await arrived.wait()
    with capture_logs() as lines:
        paths = ("/newsletters/listed", "/subscriptions", "/newsletters/no-such-newsletter")
        refused = [await other.post(path, data=ADA, headers={"accept": "text/html"}) for path in paths]
    for shown in refused:
        assert (shown.status_code, shown.headers["retry-after"]) == (503, "5")
        assert "sends it again" in " ".join(shown.text.split())
    assert [line["event"] for line in lines] == ["sign_up.overload"]  # one for all of them
    told = await other.post("/newsletters/listed", data=ADA, headers={"origin": BLOG})
    assert (told.status_code, told.headers["access-control-allow-origin"]) == (503, "*")
    assert told.json()["type"].endswith("unavailable")
    # A refusal has what every page has.
    usual = await other.get("/newsletters/listed")
    assert usual.status_code == 200
    for name in ("content-security-policy", "x-frame-options", "referrer-policy", "cache-control"):
        assert refused[0].headers[name] == usual.headers[name]
    # Nothing else is refused.
    assert (await other.post("/login", data={"username": "a", "password": "b"})).status_code != 503
    assert len(gateway.subscriptions.received) == 1
    may_answer.set()
    assert (await first).status_code == 200
    assert (await other.post("/newsletters/listed", data=ADA)).status_code == 200


async def test_a_kept_page_has_a_new_ticket_each_time_and_follows_the_newsletter(
    make_knowing: MakeKnowing,
) -> None:
    gateway = await make_knowing(newsletter_cache_s=0.000001)
    visitor = await gateway.client()
    first, second = [await visitor.get("/newsletters/listed") for _ in range(2)]
    tickets = [hidden_fields(page)["form_ticket"] for page in (first, second)]
    assert all(re.fullmatch(r"[0-9]{13}\.[0-9a-f]{32}", ticket) for ticket in tickets)
    without = [page.text.replace(ticket, "") for page, ticket in zip((first, second), tickets, strict=True)]
    assert without[0] == without[1]
    renamed = [one | {"name": f"New: {one['name']}"} for one in NEWSLETTERS]
    gateway.publishing.answer("GET", "/api/v1/newsletters", body={"items": renamed, "next_cursor": None})
    await visitor.get("/newsletters/listed")
    assert "New: The Listed One" in (await visitor.get("/newsletters/listed")).text
    answer = await visitor.post("/newsletters/listed", data=ADA)
    assert "New: The Listed One" in answer.text


async def test_a_page_that_is_answered_directly_keeps_all_rules_for_answers(make_knowing: MakeKnowing) -> None:
    gateway = await make_knowing()
    visitor = await gateway.client()
    for path in ("/", "/newsletters/listed"):
        page = await visitor.get(path)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["content-length"] == str(len(page.content))
        assert page.headers["cache-control"] == "no-store"
        assert "form-action 'self'" in page.headers["content-security-policy"]
        assert page.headers["x-request-id"]
        head = await visitor.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == page.headers["content-length"]
        assert (await visitor.put(path)).status_code == 405
    assert (
        await visitor.post("/subscriptions", content=b"x", headers={"content-type": "text/plain"})
    ).status_code == 415
    assert (await visitor.post("/newsletters/nothing", data=ADA)).status_code == 404


async def test_a_ticket_of_another_form_is_none(make_knowing: MakeKnowing) -> None:
    gateway = await make_knowing(signup_limit_untimed_per_ip="1/3600", signup_fill_min_s=0.0)
    visitor = await gateway.client()
    form = ADA | hidden_fields(await visitor.get("/newsletters/listed"))
    assert [(await visitor.post("/newsletters/quiet", data=form)).status_code for _ in range(2)] == [200, 429]


async def test_one_mailbox_is_tried_a_bounded_number_of_times_from_anywhere_and_redis_holds_no_address(
    make_knowing: MakeKnowing,
) -> None:
    gateway = await make_knowing(signup_limit_per_address="3/3600")
    first: httpx.Response | None = None
    for n in range(10):
        visitor = await gateway.client(address=f"192.0.2.{n}")
        answer = await visitor.post("/subscriptions", data={"name": "A", "email": f"Ada.Secret+{n}@example.com"})
        first = first or answer
        assert (answer.status_code, answer.text) == (200, first.text)
    assert len(gateway.subscriptions.received) == 3
    await (await gateway.client()).post("/subscriptions", data={"name": "A", "email": "bob@example.com"})
    assert len(gateway.subscriptions.received) == 4
    keys = [key async for key in gateway.redis.scan_iter("*")]
    assert len([key for key in keys if b"sign-up-address" in key]) == 2
    assert not [key for key in keys if b"secret" in key.lower() or b"example" in key]


async def test_the_caps_hold_in_the_process_while_redis_is_away(make_knowing: MakeKnowing) -> None:
    gateway = await make_knowing(
        redis_url="redis://127.0.0.1:1/0", redis_timeout_s=0.2, signup_limit_per_address="3/3600"
    )
    visitor = await gateway.client()
    for _ in range(8):
        assert (await visitor.post("/subscriptions", data=ADA)).status_code == 200
    assert len(gateway.subscriptions.received) == 3


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_771_234_567.891

    def __call__(self) -> float:
        return self.now_s


def test_a_ticket_tells_its_age_until_it_is_too_old() -> None:
    clock = Clock()
    tickets = FormTickets(b"k" * 32, now_s=clock)
    ticket = tickets.issue("/newsletters/a")
    for passed_s, age_s in ((0.0, 0.0), (2.5, 2.5), (LIFETIME_S - 1, LIFETIME_S - 1), (LIFETIME_S + 1, None)):
        clock.now_s = 1_771_234_567.891 + passed_s
        found = tickets.age_s("/newsletters/a", ticket)
        assert found == (None if age_s is None else pytest.approx(age_s, abs=0.002))
    clock.now_s = 1_771_234_567.891 - CLOCK_ERROR_MAX_S + 1
    assert tickets.age_s("/newsletters/a", ticket) == 0
    clock.now_s = 1_771_234_567.891 - CLOCK_ERROR_MAX_S - 1
    assert tickets.age_s("/newsletters/a", ticket) is None


@given(st.text(max_size=60), st.integers(0, 45))
def test_a_changed_ticket_is_none(text: str, position: int) -> None:
    tickets = FormTickets(b"k" * 32)
    ticket = tickets.issue("/")
    assert tickets.age_s("/", text) is None
    changed = ticket[:position] + ("1" if ticket[position] != "1" else "2") + ticket[position + 1 :]
    assert tickets.age_s("/", changed) is None
    assert FormTickets(b"j" * 32).age_s("/", ticket) is None


def test_keys_for_two_purposes_differ() -> None:
    assert derive_key("secret", b"a") != derive_key("secret", b"b") != derive_key("other", b"b")
    assert derive_key("secret", b"a") == derive_key("secret", b"a")
