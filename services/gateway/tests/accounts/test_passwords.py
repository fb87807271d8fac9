"""What a new password must be, and how the old one is kept and checked."""

import asyncio
import itertools
import re
import threading

import pytest
from argon2 import PasswordHasher, extract_parameters
from hypothesis import assume, given
from hypothesis import strategies as st
from zxcvbn_rs_py import Entropy, zxcvbn

from broadsheet_common.http.problems import UnavailableError
from broadsheet_gateway.accounts import password as rules
from broadsheet_gateway.accounts.password import JUDGED_CHARS_MAX, PasswordFault, explain, find_fault, is_common
from broadsheet_gateway.accounts.password_hashing import PasswordHashing

from ..conftest import PASSWORD


@pytest.mark.parametrize(
    ("new", "repeated", "fault"),
    [
        ("short", "another", PasswordFault.MISMATCH),
        ("short", "short", PasswordFault.LENGTH),
        ("elevenchars", "elevenchars", PasswordFault.LENGTH),
        ("x" * 129, "x" * 129, PasswordFault.LENGTH),
        ("password1234", "password1234", PasswordFault.COMMON),
        ("horse battery", "horse battery", None),
        ("correct staple, 128".ljust(128, "#"), "correct staple, 128".ljust(128, "#"), None),
    ],
)
def test_faults_are_looked_for_in_the_originals_order(new: str, repeated: str, fault: PasswordFault | None) -> None:
    assert find_fault(new, repeated, username="author") is fault


COMMON = """
    1qaz2wsx3edc password1234 PASSWORD1234 iloveyou1234 123qweasdzxc qwertyuiopas aaaaaaaaaaaa 123456789012
"""
WEAK = """
    Password2024! adminadmin12 author2024!! authorauthor1 newsletter12 zyxwvutsrqpon 99999999999a1
    829471059273 Lovelace1815! grace.hopper1 !Broadsheet1 lovelace-ada-99
"""


@pytest.mark.parametrize("password", COMMON.split())
def test_passwords_that_leaked_often_are_refused(password: str) -> None:
    assert is_common(password)
    fault = find_fault(password, password, username="author")
    assert fault is PasswordFault.COMMON
    assert "Many people use" in explain(fault, password, username="author")


@pytest.mark.parametrize("password", WEAK.split())
def test_passwords_that_are_guessed_early_are_refused_with_a_reason(password: str) -> None:
    words = ["Ada Lovelace", "grace.hopper@example.com"]
    fault = find_fault(password, password, username="author", own_words=words)
    assert fault is PasswordFault.WEAK
    assert re.fullmatch(
        r"This is easy to guess\. It [a-z ,]+[0-9 ,a-z]*\. A few unrelated words make a good one\.",
        explain(fault, password, username="author", own_words=words),
    )


@pytest.mark.parametrize(
    "password",
    ["horse battery", "верный конь и батарея", "!@x#v$%^&*()_+-", "kitchen-garden-wall", "author of nine dull plays",
     "x2-bR_tPq!zW"],
)  # fmt: skip
def test_passphrases_and_random_characters_are_taken(password: str) -> None:
    assert find_fault(password, password, username="author", own_words=["", "ada@example.com"]) is None


@given(st.text(alphabet="bcdfghjkmnpqrtvwxz23456789", min_size=14, max_size=128))
def test_random_passwords_are_taken(password: str) -> None:
    assume(len(set(password)) > 6 and any(a.isalpha() and b.isalpha() for a, b in itertools.pairwise(password)))
    assert find_fault(password, password, username="author") is None


@given(st.text(max_size=140), st.lists(st.text(max_size=30), max_size=4))
def test_every_text_is_judged_and_every_fault_explained(password: str, words: list[str]) -> None:
    fault = find_fault(password, password, username="author", own_words=words)
    if fault is not None:
        assert explain(fault, password, username="author", own_words=words).endswith(".")


@pytest.fixture
def hashing() -> PasswordHashing:
    return PasswordHashing(concurrency=1, queue_max=1)


async def test_hashes_are_argon2id_at_the_stated_cost(hashing: PasswordHashing) -> None:
    made = await hashing.hash(PASSWORD)
    parameters = extract_parameters(made)
    assert made.startswith("$argon2id$")
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19 * 1024, 2, 1)
    assert await hashing.verify(made, PASSWORD)
    assert not await hashing.verify(made, PASSWORD + "x")


async def test_an_unknown_user_costs_one_check_of_the_same_cost_and_never_matches(hashing: PasswordHashing) -> None:
    dummy = extract_parameters(hashing._dummy_hash)
    real = extract_parameters(await hashing.hash(PASSWORD))
    assert (dummy.memory_cost, dummy.time_cost, dummy.parallelism) == (
        real.memory_cost,
        real.time_cost,
        real.parallelism,
    )
    assert not await hashing.verify(None, PASSWORD)
    assert hashing.verifications == 1


def test_a_hash_with_other_parameters_is_due_to_be_renewed(hashing: PasswordHashing) -> None:
    assert hashing.needs_rehash(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD))


async def test_checks_beyond_the_queue_are_refused_and_the_event_loop_goes_on(hashing: PasswordHashing) -> None:
    gate = threading.Event()
    running = [asyncio.create_task(hashing._run(gate.wait)) for _ in range(2)]
    await asyncio.sleep(0)  # lets both take their places: one runs, one waits
    with pytest.raises(UnavailableError) as refusal:
        await hashing.verify(None, PASSWORD)
    assert refusal.value.headers["Retry-After"] == "2"
    gate.set()
    await asyncio.gather(*running)
    assert not await hashing.verify(None, PASSWORD)


def test_a_long_password_is_judged_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call with 128 characters that are made for it takes a second, in which nobody else is served."""
    judged: list[str] = []

    def record(piece: str, words: list[str]) -> Entropy:
        judged.append(piece)
        return zxcvbn(piece, words)

    monkeypatch.setattr(rules, "zxcvbn", record)
    made_for_it = "4@8({[<369|!10$57+%2" * 7
    assert find_fault(made_for_it[:128], made_for_it[:128], username="author") is None
    repeated = "password" * 16
    assert find_fault(repeated, repeated, username="author") is PasswordFault.WEAK
    with_a_good_end = "a" * 60 + "kuP7vozeD2misab"
    assert find_fault(with_a_good_end, with_a_good_end, username="author") is None
    assert max(map(len, judged)) == JUDGED_CHARS_MAX
