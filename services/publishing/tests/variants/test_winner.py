"""Which variant wins, and when the figures do not tell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_publishing.variants.winner import Choice, VariantFigures, choose_winner


def figures(*clicked_of: tuple[int, int]) -> dict[int, VariantFigures]:
    """Clicked and delivered, by variant."""
    return {
        number: VariantFigures(accepted=delivered, delivery_reported=delivered, delivered=delivered, clicked=clicked)
        for number, (clicked, delivered) in enumerate(clicked_of, start=1)
    }


def choose(
    found: dict[int, VariantFigures], *, count: int = 2, sample_min: int = 10, is_last_look: bool = False
) -> Choice | None:
    return choose_winner(found, variant_count=count, by="clicks", sample_min=sample_min, is_last_look=is_last_look)


@pytest.mark.parametrize(
    ("found", "choice"),
    [
        (figures((1, 100), (2, 100)), Choice(2, "rate")),
        (figures((3, 100), (2, 100)), Choice(1, "rate")),
        # A rate, not a number.
        (figures((10, 100), (15, 1000)), Choice(1, "rate")),
        (figures((5, 100), (5, 100)), Choice(1, "tie")),
        (figures((0, 100), (0, 50)), Choice(1, "tie")),
        # 1/3 and 2/6 are the same rate.
        (figures((10, 30), (20, 60)), Choice(1, "tie")),
    ],
)
def test_the_highest_rate_wins_and_a_tie_takes_the_first(found: dict[int, VariantFigures], choice: Choice) -> None:
    assert choose(found) == choice


def test_of_several_with_the_highest_rate_the_first_of_them_is_taken_not_a_worse_one() -> None:
    assert choose(figures((1, 100), (5, 100), (5, 100), (4, 100)), count=4) == Choice(2, "tie")


def test_too_few_wait_and_at_the_last_look_the_first_is_taken() -> None:
    found = figures((9, 9), (50, 100))
    assert choose(found) is None
    assert choose(found, is_last_look=True) == Choice(1, "too_few")
    assert choose({}, is_last_look=True) == Choice(1, "too_few")
    assert choose(found, sample_min=9) == Choice(1, "rate")


def test_opens_decide_by_opens_and_without_reported_deliveries_by_what_was_accepted() -> None:
    found = {
        1: VariantFigures(accepted=100, delivered=40, opened=40, clicked=1),
        2: VariantFigures(accepted=200, delivered=41, opened=41, clicked=2),
    }
    by_opens = choose_winner(found, variant_count=2, by="opens", sample_min=100, is_last_look=False)
    assert by_opens == Choice(1, "rate")


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 500)), min_size=2, max_size=4))
def test_no_variant_has_a_higher_rate_than_the_winner(pairs: list[tuple[int, int]]) -> None:
    found = figures(*((min(clicked, delivered), delivered) for clicked, delivered in pairs))
    choice = choose(found, count=len(pairs), sample_min=1)
    assert choice is not None
    rates = [one.clicked / one.delivered for one in found.values()]
    assert rates[choice.winner - 1] == max(rates)
