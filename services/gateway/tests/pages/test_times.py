"""How pages inside write instants: in a zone that is named."""

from datetime import UTC, datetime

import httpx
import pytest

from broadsheet_gateway.pages.times import PageZones, instant, instant_in_words, planned, stored_date, zone_name

from ..conftest import MakeGateway

MOMENT = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("Europe/Paris", "2 July 2026, 00:30 Europe/Paris"),
        ("America/Argentina/Buenos_Aires", "1 July 2026, 19:30 America/Argentina/Buenos Aires"),
        ("UTC", "1 July 2026, 22:30 UTC"),
        ("Nowhere/At_All", "1 July 2026, 22:30 UTC"),
        ("../etc/passwd", "1 July 2026, 22:30 UTC"),
    ],
)
def test_an_instant_is_written_in_the_zone_which_is_named(zone: str, shown: str) -> None:
    assert instant(MOMENT, zone) == f'<time datetime="2026-07-01T22:30+00:00">{shown}</time>'
    assert instant_in_words(MOMENT, zone) == shown
    assert shown == f"{instant(MOMENT, zone, named=False).striptags()} {zone_name(zone)}"


def test_a_plan_is_written_as_it_was_made() -> None:
    local = datetime(2026, 7, 2, 0, 30)  # noqa: DTZ001 (a local time, its zone beside it)
    assert planned(MOMENT, local, "Europe/Paris").striptags() == "2 July 2026, 00:30 Europe/Paris"


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("1929-10-21", "21 October 1929"),
        ("2026-01-01T12:00:00Z", "1 January 2026, 12:00 UTC"),
        ("2026-01-01T01:00:00+02:00", "31 December 2025, 23:00 UTC"),
        ("2026-01-01T12:00:00", "2026-01-01T12:00:00"),
        ("2026-13-01", "2026-13-01"),
        ("soon", "soon"),
        ("", ""),
    ],
)
def test_a_stored_date_is_written_out(stored: str, shown: str) -> None:
    assert stored_date(stored) == shown


def test_what_belongs_to_no_newsletter_has_the_zone_of_the_installation() -> None:
    zones = PageZones({3: "Asia/Tokyo"}, "Europe/Paris")
    assert [zones.of(3), zones.of(4), zones.of(None)] == ["Asia/Tokyo", "Europe/Paris", "Europe/Paris"]


async def test_pages_of_the_installation_are_in_the_zone_of_the_default_newsletter(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway()
    weekly = {"id": 1, "name": "Weekly", "slug": "weekly", "time_zone": "Asia/Tokyo", "is_default": True}
    gateway.publishing.answer("GET", "/api/v1/newsletters", body={"items": [weekly], "next_cursor": None})
    owner = await gateway.signed_in()
    assert "Asia/Tokyo" in (await owner.get("/admin/account/sessions")).text


async def test_pages_stand_in_utc_while_no_newsletter_is_known(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway()
    gateway.publishing.fail("GET", "/api/v1/newsletters", httpx.ConnectError("down"))
    owner = await gateway.signed_in()
    answer = await owner.get("/admin/account/sessions")
    assert (answer.status_code, " UTC<" in answer.text) == (200, True)
