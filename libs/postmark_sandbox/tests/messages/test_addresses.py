"""Address lists: everything well-formed is read back as it was written, everything else is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_postmark_sandbox.messages.addresses import BadAddressError, Mailbox, is_mailbox, parse_list

ATOMS = st.text("abcXYZ019!#$%&'*+/=?^_`{|}~-", min_size=1, max_size=12)
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
MAILBOXES = st.builds(
    lambda local, domain: f"{'.'.join(local)}@{'.'.join(domain)}",
    st.lists(ATOMS, min_size=1, max_size=3),
    st.lists(LABELS, min_size=2, max_size=4),
)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20)


def written(address: str, name: str | None) -> str:
    if name is None:
        return address
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address}>'


@given(st.lists(st.tuples(MAILBOXES, st.none() | NAMES), min_size=1, max_size=6), st.sampled_from([",", ", ", " , "]))
def test_a_list_is_read_back_as_it_was_written(people: list[tuple[str, str | None]], separator: str) -> None:
    text = separator.join(written(address, name) for address, name in people)
    assert parse_list(text) == tuple(Mailbox(address, name) for address, name in people)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_and_what_is_read_are_mailboxes(text: str) -> None:
    try:
        people = parse_list(text)
    except BadAddressError:
        return
    assert all(is_mailbox(person.address) for person in people)
    assert people or not text.strip()


def test_unquoted_names_may_have_spaces_but_no_comma() -> None:
    assert parse_list("Ada Lovelace <a@b.example>") == (Mailbox("a@b.example", "Ada Lovelace"),)
    with pytest.raises(BadAddressError):
        parse_list("Lovelace, Ada <a@b.example>")


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("a" * 64 + "@b.example", True),
        ("a" * 65 + "@b.example", False),
        ("a@" + ".".join(["b" * 60] * 4) + ".examples.net", False),
        ("a@b", False),
        ("a@b.example.", False),
        ("a@[127.0.0.1]", False),
        ('"a b"@b.example', False),
        ("a@b.example\n", False),
    ],
)
def test_lengths_and_forms(text: str, good: bool) -> None:
    assert is_mailbox(text) is good
