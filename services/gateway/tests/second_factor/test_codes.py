"""Codes, without a database: which step's is taken, what recovery codes are, what is drawn."""

import re

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_gateway.second_factor.authenticator import (
    in_groups,
    matching_step,
    new_secret,
    qr_svg,
    set_up_address,
)
from broadsheet_gateway.second_factor.typed_code import (
    RECOVERY_CODES,
    AuthenticatorCode,
    RecoveryCode,
    new_recovery_codes,
    parse_code,
)

# RFC 6238, appendix B, for SHA-1; the last six of its eight digits.
RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


@pytest.mark.parametrize(
    ("now_s", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_the_codes_are_those_of_the_rfc(now_s: int, code: str) -> None:
    assert matching_step(RFC_SECRET, code, now_s=now_s, after_step=0) == now_s // 30


@pytest.mark.parametrize(("steps", "is_good"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_the_step_before_and_the_one_after_are_taken_and_no_other(steps: int, is_good: bool) -> None:
    now_s = 1_234_567_890
    code = pyotp.TOTP(RFC_SECRET).generate_otp(now_s // 30 + steps)
    step = matching_step(RFC_SECRET, code, now_s=now_s, after_step=0)
    assert step == (now_s // 30 + steps if is_good else None)


def test_a_step_that_was_used_and_those_before_it_are_taken_no_more() -> None:
    now_s = 1_234_567_890
    now_step = now_s // 30
    totp = pyotp.TOTP(RFC_SECRET)
    taken = [
        matching_step(RFC_SECRET, totp.generate_otp(now_step + steps), now_s=now_s, after_step=now_step)
        for steps in (-1, 0, 1)
    ]
    assert taken == [None, None, now_step + 1]


def test_a_secret_is_160_bits_and_each_is_another() -> None:
    secrets = {new_secret() for _ in range(50)}
    assert len(secrets) == 50
    assert all(re.fullmatch(r"[A-Z2-7]{32}", secret) for secret in secrets)
    assert in_groups("ABCDEFGH") == "ABCD EFGH"


def test_the_qr_code_is_plain_svg_that_the_policy_allows() -> None:
    svg = qr_svg(set_up_address(new_secret(), username="ada lovelace", host="news.example.com"))
    assert set(re.findall(r"<(\w+)", svg)) == {"svg", "g", "path"}
    assert set(re.findall(r" ([a-z-]+)=", svg, re.IGNORECASE)) <= {
        "aria-hidden",
        "viewBox",
        "class",
        "d",
        "fill",
        "stroke",
        "transform",
    }
    assert "otpauth" not in svg


def test_the_address_names_who_and_where() -> None:
    address = set_up_address(RFC_SECRET, username="ada lovelace", host="news.example.com")
    read = pyotp.parse_uri(address)
    assert isinstance(read, pyotp.TOTP)
    assert (read.secret, read.name, read.issuer) == (RFC_SECRET, "ada lovelace@news.example.com", "Broadsheet")


def test_recovery_codes_hold_120_bits_each_and_only_their_hashes_are_kept() -> None:
    codes = new_recovery_codes()
    assert len(codes) == len(set(codes.values())) == RECOVERY_CODES == 10
    assert all(re.fullmatch(r"(?:[0-9a-hjkmnp-tv-z]{4}-){5}[0-9a-hjkmnp-tv-z]{4}", code) for code in codes)
    assert {len(digest) for digest in codes.values()} == {32}


def test_a_recovery_code_is_read_however_it_is_typed() -> None:
    code, digest = next(iter(new_recovery_codes().items()))
    for typed in (code, code.upper(), code.replace("-", ""), code.replace("-", " "), f" {code} "):
        assert parse_code(typed) == RecoveryCode(digest)
    mistaken = code.replace("0", "O").replace("1", "l")
    assert parse_code(mistaken) == RecoveryCode(digest)


@pytest.mark.parametrize("typed", ["123456", " 123 456 ", "123-456"])
def test_six_digits_are_an_authenticators(typed: str) -> None:
    assert parse_code(typed) == AuthenticatorCode("123456")


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "١٢٣٤٥٦", "abcdef", "1" * 101, "12345é"])
def test_anything_else_is_neither(typed: str) -> None:
    assert parse_code(typed) is None


@given(st.text(max_size=120))
def test_no_text_breaks_the_reading(typed: str) -> None:
    parse_code(typed)
