"""An A/B test as its author writes it, pure: which other versions of the issue are tried on whom, and what decides."""

from typing import Annotated, Final, Literal

import msgspec

from broadsheet_publishing.compiling.issue_source import RAW_LINE_CHARS_MAX

OTHERS_MAX: Final = 3
WAIT_MINUTES_MAX: Final = 7 * 24 * 60
SAMPLE_MAX: Final = 1_000_000

DecideBy = Literal["clicks", "opens", "hand"]
RawLine = Annotated[str, msgspec.Meta(max_length=RAW_LINE_CHARS_MAX)]


class OtherVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is different from the issue itself; null: the same. At least one of them is given."""

    subject: RawLine | None = None
    preheader: RawLine | None = None
    content: str | None = None


class AbTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`others` are variants 2 to 4; the issue itself is variant 1. `share_percent` of the audience are in the test, and
    each variant goes to an equal part of them. The rest waits for the winner.

    After `wait_minutes` the variant with the highest rate of people who clicked or opened (without machines, over
    delivered) wins, if each variant was delivered to at least `sample_min` people. With too few, the figures are looked
    at again, for as long again; then the first variant is taken. `hand`: only a person chooses.
    """

    others: Annotated[tuple[OtherVersion, ...], msgspec.Meta(min_length=1, max_length=OTHERS_MAX)]
    share_percent: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20
    decide_by: DecideBy = "clicks"
    wait_minutes: Annotated[int, msgspec.Meta(ge=1, le=WAIT_MINUTES_MAX)] = 240
    sample_min: Annotated[int, msgspec.Meta(ge=1, le=SAMPLE_MAX)] = 100

    @property
    def variant_count(self) -> int:
        return 1 + len(self.others)
