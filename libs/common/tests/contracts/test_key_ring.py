"""Rings of keys in settings: read alike wherever they are used, and refused without showing a key."""

import pytest

from broadsheet_common.contracts.key_ring import parse_key_ring

A, B = "11" * 32, "22" * 64


def test_keys_come_in_their_order_with_blanks_around_them_ignored() -> None:
    assert list(parse_key_ring(f" new:{B} , old1:{A.upper()}").items()) == [
        ("new", bytes.fromhex(B)),
        ("old1", bytes.fromhex(A)),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "", ",", f"k1:{A},", "k1", f":{A}", f"K1:{A}", f"{'k' * 17}:{A}", f"k1:{A[:-2]}", f"k1:{A}1", f"k1:{B}11",
        "k1:" + "g" * 64,
    ],
)  # fmt: skip
def test_what_is_no_ring_is_refused_without_saying_what_it_held(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected `id:hex` entries of 64 to 128 hex digits, separated by commas$"):
        parse_key_ring(text)


def test_an_id_that_comes_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^a key's id was given twice$"):
        parse_key_ring(f"k1:{A},k1:{B}")


def test_a_cipher_takes_keys_of_its_own_length_alone() -> None:
    assert parse_key_ring(f"k1:{A}", bytes_max=32) == {"k1": bytes.fromhex(A)}
    with pytest.raises(ValueError, match="of 64 hex digits"):
        parse_key_ring(f"k1:{B}", bytes_max=32)
