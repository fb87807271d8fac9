"""Which revisions stay."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from broadsheet_publishing.drafts.thin_revisions import (
    BYTES_MAX,
    KEPT_MAX,
    NEWEST_KEPT,
    RevisionFacts,
    versions_to_remove,
)

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def revisions(*ages: timedelta, size_bytes: int = 10) -> list[RevisionFacts]:
    """Newest first, as given."""
    return [RevisionFacts(len(ages) - place, "markdown", NOW - age, size_bytes) for place, age in enumerate(ages)]


def test_the_newest_stay_however_close_together() -> None:
    made = revisions(*(timedelta(seconds=n) for n in range(NEWEST_KEPT)))
    assert versions_to_remove(made, now=NOW) == []


def test_of_older_ones_the_last_of_each_period_stays() -> None:
    recent = [timedelta(seconds=n) for n in range(NEWEST_KEPT)]
    older = [timedelta(days=100, minutes=n) for n in range(60 * 24 * 3)]
    removed = versions_to_remove(revisions(*recent, *older), now=NOW)
    assert len(recent) + len(older) - len(removed) == NEWEST_KEPT + 4  # parts of four days


def test_a_change_of_format_can_be_undone_for_as_long_as_revisions_are_kept() -> None:
    recent = revisions(*(timedelta(seconds=n) for n in range(NEWEST_KEPT + 40)))
    before = [RevisionFacts(-n, "html", NOW - timedelta(days=2, seconds=n), 10) for n in range(20)]
    removed = versions_to_remove([*recent, *before], now=NOW)
    assert 0 not in removed, "the last in HTML"
    assert recent[-1].version not in removed, "the first in Markdown"


def test_their_bytes_are_bounded_and_the_newest_stays_whatever_its_size() -> None:
    made = revisions(*(timedelta(days=n) for n in range(10)), size_bytes=BYTES_MAX // 3)
    assert len(versions_to_remove(made, now=NOW)) == 7
    assert versions_to_remove(revisions(timedelta(0), size_bytes=BYTES_MAX + 1), now=NOW) == []


@given(
    st.lists(st.tuples(st.integers(0, 400 * 86_400), st.sampled_from(["markdown", "html"])), min_size=1, max_size=1_500)
)
def test_thinning_again_at_once_removes_nothing_more(ages: list[tuple[int, str]]) -> None:
    made = [
        RevisionFacts(len(ages) - place, format_, NOW - timedelta(seconds=age_s), 10)  # type: ignore[arg-type]
        for place, (age_s, format_) in enumerate(sorted(ages))
    ]
    removed = set(versions_to_remove(made, now=NOW))
    kept = [revision for revision in made if revision.version not in removed]
    assert made[0] in kept
    assert made[:NEWEST_KEPT] == kept[:NEWEST_KEPT]
    assert len(kept) <= KEPT_MAX
    assert versions_to_remove(kept, now=NOW) == []
