"""Which opens and clicks count as a machine's."""

from datetime import UTC, datetime, timedelta

import pytest

from broadsheet_delivery.reports.machine_rules import ClickAt, machine_clicks, rule_of_agent

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
BROWSER = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605"
)


@pytest.mark.parametrize(
    ("agent", "rule"),
    [
        (None, None),
        ("", None),
        ("Mozilla/5.0", "privacy_prefetch"),
        (" Mozilla/5.0 ", "privacy_prefetch"),
        (BROWSER, None),
        # Gmail's and Yahoo's proxies load a picture when the mail is opened.
        ("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", None),
        ("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", None),
        ("Barracuda Sentinel (EE)", "known_agent"),
        ("Mozilla/5.0 (compatible; Proofpoint URL Defense)", "known_agent"),
        ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "known_agent"),
        ("python-requests/2.32", "known_agent"),
        # A word that only holds one of the names.
        ("Cubot Note/1.0", None),
    ],
)
def test_a_user_agent_is_a_readers_program_or_matches_a_rule(agent: str | None, rule: str | None) -> None:
    assert rule_of_agent(agent) == rule


def _clicks(*at: tuple[int, float]) -> list[ClickAt]:
    """Link and seconds after noon."""
    return [ClickAt(link, NOON + timedelta(seconds=seconds), by_agent=False) for link, seconds in at]


def test_a_gateway_that_follows_every_link_within_seconds_is_told_apart_from_the_reader() -> None:
    gateway = _clicks((1, 100), (2, 101), (3, 101), (4, 103))
    reader = _clicks((2, 900))
    assert machine_clicks([*gateway, *reader], delivered_at=NOON) == [True, True, True, True, False]


@pytest.mark.parametrize(
    ("clicks", "expected"),
    [
        # Two links, or one of three links too late.
        (_clicks((1, 100), (2, 101)), [False, False]),
        (_clicks((1, 100), (2, 101), (3, 111)), [False, False, False]),
        (_clicks((1, 100), (2, 101), (3, 110)), [True, True, True]),
        # Often the same link.
        (_clicks((1, 100), (1, 101), (1, 102), (1, 103)), [False] * 4),
        # The order in which they are given does not matter.
        (_clicks((3, 108), (4, 200), (1, 100), (2, 104)), [True, False, True, True]),
        # Two stretches that share a click.
        (_clicks((1, 100), (2, 108), (3, 109), (4, 117)), [True, True, True, True]),
        ([], []),
    ],
)
def test_three_links_within_ten_seconds_are_a_burst(clicks: list[ClickAt], expected: list[bool]) -> None:
    assert machine_clicks(clicks, delivered_at=NOON) == expected


@pytest.mark.parametrize(("seconds", "machine"), [(-60, True), (0, True), (4.9, True), (5, False)])
def test_a_click_before_or_just_after_the_delivery_is_a_machines(seconds: float, machine: bool) -> None:
    assert machine_clicks(_clicks((1, seconds)), delivered_at=NOON) == [machine]
    assert machine_clicks(_clicks((1, seconds)), delivered_at=None) == [False], "no delivery was reported"


def test_an_agent_of_a_machine_makes_its_own_click_a_machines_and_no_other() -> None:
    clicks = [ClickAt(1, NOON, by_agent=True), ClickAt(1, NOON + timedelta(seconds=60), by_agent=False)]
    assert machine_clicks(clicks, delivered_at=None) == [True, False]
