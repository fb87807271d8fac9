"""A time zone is found by what people type."""

import pytest

from broadsheet_gateway.admin.time_zones import zone_typed


@pytest.mark.parametrize(
    ("typed", "zone"),
    [
        ("Berlin", "Europe/Berlin"),
        (" new york ", "America/New_York"),
        ("europe/berlin", "Europe/Berlin"),
        ("Europe/Berlin", "Europe/Berlin"),
        ("UTC", "UTC"),
        ("Louisville", "Louisville"),  # there are two zones of that city
        ("Atlantis", "Atlantis"),
        ("", ""),
    ],
)
def test_a_city_names_its_zone_if_there_is_one_of_that_city(typed: str, zone: str) -> None:
    assert zone_typed(typed) == zone
