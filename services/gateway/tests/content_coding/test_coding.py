"""Codings as functions: which one is chosen, and that a body cannot grow without bound."""

import gzip
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_common.http.problems import BodyTooLargeError, MalformedRequestError
from broadsheet_gateway.content_coding.coding import (
    CODINGS,
    GROWTH_FREE_BYTES,
    BodyDecoder,
    Coding,
    choose_coding,
    create_compressor,
    read_coding,
)


def compress(coding: Coding, body: bytes) -> bytes:
    compressor = create_compressor(coding)
    return compressor.compress(body) + compressor.flush()


def decode(coding: Coding, pieces: list[bytes]) -> bytes:
    decoder = BodyDecoder(coding)
    decoded = b"".join(part for piece in pieces for part in decoder.decode(piece))
    decoder.finish()
    return decoded


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("GZIP", "gzip"),
        ("*", "zstd"),
        ("*;q=0.3, zstd;q=0", "gzip"),
        ("gzip;q=0", None),
        ("identity", None),
        ("br", None),
        ("", None),
        ("gzip;q=x", None),
    ],
)
def test_the_best_coding_that_the_client_takes_is_chosen(accepted: str, chosen: Coding | None) -> None:
    assert choose_coding(accepted) == chosen


@pytest.mark.parametrize(
    ("given", "read"), [("gzip", "gzip"), ("x-gzip", "gzip"), (" ZSTD ", "zstd"), ("gzip, gzip", None), ("br", None)]
)
def test_one_coding_of_a_body_is_read(given: str, read: Coding | None) -> None:
    assert read_coding(given) == read


@pytest.mark.parametrize("coding", CODINGS)
@given(body=st.binary(max_size=5_000), cuts=st.lists(st.integers(0, 6_000), max_size=6))
def test_what_was_compressed_comes_back_however_it_is_cut(coding: Coding, body: bytes, cuts: list[int]) -> None:
    compressed = compress(coding, body)
    edges = [0, *sorted(cuts), len(compressed)]
    assert decode(coding, [compressed[a:b] for a, b in pairwise(edges)]) == body


@pytest.mark.parametrize("coding", CODINGS)
def test_a_body_that_grows_too_much_is_refused_before_it_has_grown(coding: Coding) -> None:
    bomb = compress(coding, bytes(200 * 1024 * 1024))
    given_out: list[int] = []
    with pytest.raises(BodyTooLargeError):
        given_out.extend(len(piece) for piece in BodyDecoder(coding).decode(bomb))
    assert sum(given_out) <= GROWTH_FREE_BYTES + 100 * len(bomb)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_body_that_is_not_whole_or_not_of_its_coding_is_malformed(coding: Coding) -> None:
    whole = compress(coding, b"a" * 1_000)
    for wrong in (whole[:-1], whole + b"x", whole + whole, b"{}" * 20):
        with pytest.raises(MalformedRequestError):
            decode(coding, [wrong])


def test_a_damaged_sum_is_malformed() -> None:
    damaged = bytearray(gzip.compress(b"a" * 1_000))
    damaged[-6] ^= 1
    with pytest.raises(MalformedRequestError):
        decode("gzip", [bytes(damaged)])
    with pytest.raises(MalformedRequestError):
        decode("gzip", [zlib.compress(b"not gzip")])
