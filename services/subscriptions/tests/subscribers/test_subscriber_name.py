"""Which names are accepted; each rule, and their sum over arbitrary text."""

import unicodedata

import pytest
import regex  # type: ignore[import-untyped]  # it ships no types
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_subscriptions.subscribers.subscriber_name import BYTES_MAX, GRAPHEMES_MAX, SubscriberName, clean_name


@pytest.mark.parametrize(
    "name",
    [
        "Ada",
        "Ursula K. Le Guin",
        "O'Brien",
        "Åsa Öberg-Ñandú",
        "山田 太郎",
        "نور",
        "👩‍👩‍👧‍👦",
        "a@b",
        "x; y, z",
        "a" * GRAPHEMES_MAX,
    ],
)
def test_ordinary_names_are_accepted(name: str) -> None:
    assert SubscriberName.parse(name) == name


@pytest.mark.parametrize("cluster", ["a̐", "ё", "👩‍👩‍👧‍👦", "🇳🇱", "각"])
def test_length_is_counted_in_grapheme_clusters(cluster: str) -> None:
    assert SubscriberName.parse(cluster * GRAPHEMES_MAX) == cluster * GRAPHEMES_MAX
    with pytest.raises(ValueError, match="at most 256"):
        SubscriberName.parse(cluster * (GRAPHEMES_MAX + 1))


def test_one_cluster_may_not_be_of_any_size() -> None:
    with pytest.raises(ValueError, match="at most 256"):
        SubscriberName.parse("a" + "\u0301" * BYTES_MAX)


@pytest.mark.parametrize("name", ["", " ", "\u00a0\u2003", "\u200b\u2060", "\u3164", "\ufeff"])
def test_blank_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="A name is needed"):
        SubscriberName.parse(name)


@pytest.mark.parametrize("char", list('/()"<>\\{}'))
def test_forbidden_characters_are_refused_and_named(char: str) -> None:
    with pytest.raises(ValueError, match="may not hold") as raised:
        SubscriberName.parse(f"Ada {char} Lovelace")
    assert str(raised.value).endswith(char)


@pytest.mark.parametrize("char", ["\r", "\n", "\r\n", "\0", "\t", "\x1b", "\x7f", "\x85", "\u2028", "\u2029"])
@pytest.mark.parametrize("form", ["Ada{}Bcc: x@example.com", "{}Ada", "Ada{}"])
def test_control_and_line_separating_characters_are_refused_wherever_they_stand(char: str, form: str) -> None:
    with pytest.raises(ValueError, match="line breaks or control characters"):
        SubscriberName.parse(form.format(char))


def test_half_a_character_is_refused() -> None:
    with pytest.raises(ValueError, match="unpaired surrogate"):
        SubscriberName.parse("Ada \ud83d")


def test_surrounding_blanks_are_dropped() -> None:
    assert SubscriberName.parse("  Ada Lovelace\u00a0") == "Ada Lovelace"


def test_blanks_within_become_one_space_and_marks_of_direction_are_removed() -> None:
    assert SubscriberName.parse("Ada\u00a0 King,\u2003\u202eLovelace\u200f") == "Ada King, Lovelace"


# Blanks of all kinds, marks of direction, joiners, and letters that normal form C changes.
_TRICKY = st.text(alphabet=st.sampled_from("Aé9 \u00a0\u2003\u3000\u202e\u200f\u200d\u0301\uf900\u2126\u037e\u1fef'"))


@given(st.one_of(st.text(max_size=400), _TRICKY))
def test_a_name_that_was_typed_is_the_same_when_a_file_brings_it_again(raw: str) -> None:
    try:
        name = SubscriberName.parse(raw)
    except ValueError:
        return
    assert clean_name(name) == name


@given(st.one_of(st.text(max_size=400), _TRICKY))
def test_whatever_is_accepted_keeps_every_rule_and_parses_to_itself(raw: str) -> None:
    try:
        name = SubscriberName.parse(raw)
    except ValueError as error:
        assert str(error).endswith((".", *'/()"<>\\{}'))  # noqa: PT017  # refusing is right too, with a sentence
        return
    assert name
    assert name == name.strip()
    assert not set(name) & set('/()"<>\\{}\u2028\u2029')
    assert not {unicodedata.category(char) for char in name} & {"Cc", "Cs"}
    assert len(regex.findall(r"\X", name)) <= GRAPHEMES_MAX
    assert SubscriberName.parse(name) == name


@given(st.text(alphabet=st.characters(categories=["L", "Nd"]), min_size=1, max_size=GRAPHEMES_MAX))
def test_letters_and_digits_of_any_script_are_accepted(raw: str) -> None:
    if raw.strip("\u115f\u1160\u3164\uffa0"):  # Hangul fillers are letters that nobody sees
        assert SubscriberName.parse(raw) == unicodedata.normalize("NFC", raw)
