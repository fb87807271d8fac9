"""How pages inside write an instant: in a time zone, which is named, and as a `<time>` that programs can read.

Pages of a newsletter's things use the newsletter's zone; pages of the whole installation that of the default one.
Templates write instants by these filters alone (`tests/pages/test_times_in_templates.py`).
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, tzinfo
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from markupsafe import Markup

_DAY_CHARS: Final = len("2026-01-31")


class PageZones(msgspec.Struct, frozen=True):
    """Names of time zones: of newsletters by id, and that of the installation, which is the default newsletter's."""

    of_newsletters: Mapping[int, str] = MappingProxyType({})
    installation: str = "UTC"

    def of(self, newsletter_id: int | None) -> str:
        """That of the installation for what belongs to no newsletter, or to one that is not known."""
        return self.installation if newsletter_id is None else self.of_newsletters.get(newsletter_id, self.installation)


def find_zone(name: str) -> tzinfo:
    """UTC if this machine does not know the zone."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def zone_name(name: str) -> str:
    """As people read it: of a zone that this machine does not know, the one that is used instead."""
    return "UTC" if find_zone(name) is UTC else name.replace("_", " ")


def instant(value: datetime, zone: str, *, named: bool = True) -> Markup:
    """A `<time>`, to the minute. `named` false: where the zone is named once for all of a table's rows."""
    said = f" {zone_name(zone)}" if named else ""
    return Markup('<time datetime="{}">{}{}</time>').format(
        value.isoformat(timespec="minutes"), _clock(value, zone), said
    )


def instant_in_words(value: datetime, zone: str) -> str:
    """As plain text, in a sentence that is made elsewhere."""
    return f"{_clock(value, zone)} {zone_name(zone)}"


def planned(value: datetime, local: datetime, zone: str) -> Markup:
    """A plan of somebody who chose a local time in a zone: `value` is the instant, `local` what they chose."""
    return Markup('<time datetime="{}">{} {}</time>').format(
        value.isoformat(timespec="minutes"), f"{local:%-d %B %Y, %H:%M}", zone.replace("_", " ")
    )


def stored_date(text: str) -> str:
    """A day or an instant as services store it (`2026-01-31`, `2026-01-31T12:00:00Z`), as people read it. Instants are
    in UTC, as days are counted there. Any other text stays as it is.
    """
    try:
        if len(text) == _DAY_CHARS:
            return f"{date.fromisoformat(text):%-d %B %Y}"
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if at.tzinfo is None else instant_in_words(at, "UTC")


def _clock(value: datetime, zone: str) -> str:
    return f"{value.astimezone(find_zone(zone)):%-d %B %Y, %H:%M}"
