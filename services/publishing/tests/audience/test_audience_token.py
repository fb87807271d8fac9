"""The token of an audience: it comes back whole, for the same issue, within a day."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_common.http.problems import InvalidInputError
from broadsheet_publishing.audience.audience import (
    AudienceChangedError,
    Limits,
    change_between,
    require_same_segment,
    require_within,
)
from broadsheet_publishing.audience.audience_token import (
    TOKEN_CHARS_MAX,
    AudienceTokenExpiredError,
    ShownAudience,
    decode_token,
    encode_token,
    require_fresh,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SHOWN = ShownAudience(
    issue_id=7, newsletter_id=1, segment_id=3, filter_digest="0123456789abcdef" * 4, count=1_000_000, as_of=NOON
)


def pointer_of(token: str, *, issue_id: int = 7) -> str:
    with pytest.raises(InvalidInputError) as caught:
        decode_token(token, issue_id=issue_id, pointer="/audience/token")
    (fault,) = caught.value.errors
    return fault.pointer


@given(
    count=st.integers(0, 2**53),
    as_of=st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # hypothesis adds it
    issue_id=st.integers(1, 2**63 - 1),
)
def test_it_comes_back_whole_and_fits(count: int, as_of: datetime, issue_id: int) -> None:
    shown = msgspec.structs.replace(SHOWN, count=count, as_of=as_of, issue_id=issue_id)
    token = encode_token(shown)
    assert decode_token(token, issue_id=issue_id, pointer="/token") == shown
    assert len(token) <= TOKEN_CHARS_MAX


def test_one_of_another_issue_is_refused() -> None:
    assert pointer_of(encode_token(SHOWN), issue_id=8) == "/audience/token"


@pytest.mark.parametrize(
    "token", ["", "x", "none", "é", "A" * 999, encode_token(SHOWN)[:-1], encode_token(SHOWN) + "A"]
)
def test_one_that_is_not_whole_is_refused(token: str) -> None:
    assert pointer_of(token) == "/audience/token"


def test_one_with_any_character_changed_is_refused() -> None:
    token = encode_token(SHOWN)
    for at in range(len(token) - 1):
        other = "A" if token[at] != "A" else "B"
        pointer_of(token[:at] + other + token[at + 1 :])


def test_it_holds_for_a_day() -> None:
    require_fresh(SHOWN, now=NOON + timedelta(hours=24))
    with pytest.raises(AudienceTokenExpiredError):
        require_fresh(SHOWN, now=NOON + timedelta(hours=24, seconds=1))


@pytest.mark.parametrize(
    ("found", "growth_max", "shrinkage_max", "is_within"),
    [
        (1_000, 0, 0, True),
        (5_000, None, 0, True),
        (0, 0, None, True),
        (1_010, 10, 0, True),
        (1_011, 10, None, False),
        (990, 0, 10, True),
        (989, None, 10, False),
        (0, None, None, True),
    ],
)
def test_an_audience_may_change_by_what_is_allowed(
    found: int, growth_max: int | None, shrinkage_max: int | None, *, is_within: bool
) -> None:
    change = change_between(shown=1_000, shown_at=NOON, found=found)
    limits = Limits(growth_max, shrinkage_max)
    if is_within:
        require_within(change, limits)
        return
    with pytest.raises(AudienceChangedError) as caught:
        require_within(change, limits)
    assert caught.value.facts == {"shown": 1_000, "found": found}


@pytest.mark.parametrize(
    ("now_id", "now_digest", "says"),
    [
        (None, None, "was to go to segment 3 when it was looked at, and goes to everybody now"),
        (4, "a", "goes to segment 4 now"),
        (3, "b", "The segment's filter was changed"),
        (3, None, "The segment's filter was changed"),
    ],
)
def test_another_segment_or_another_filter_is_another_audience(
    now_id: int | None, now_digest: str | None, says: str
) -> None:
    require_same_segment(shown_id=3, shown_digest="a", now_id=3, now_digest="a")
    with pytest.raises(AudienceChangedError, match=says):
        require_same_segment(shown_id=3, shown_digest="a", now_id=now_id, now_digest=now_digest)
