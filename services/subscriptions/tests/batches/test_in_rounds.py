"""Which items of a batch can be written together."""

import random
from typing import Any

from broadsheet_common.contracts.identity import Identity
from broadsheet_subscriptions.batches.batch_item import BatchResult, Change, Creation, Work, in_rounds, read_item

CALLER = Identity("key:1", frozenset({"subscribers:write"}))


def read(*items: dict[str, Any]) -> list[Work]:
    found = [read_item(index, item, CALLER) for index, item in enumerate(items)]
    return [one for one in found if not isinstance(one, BatchResult)]


def create(email: str) -> dict[str, Any]:
    return {"create": {"email": email, "name": "Reader"}}


def change(subscriber_id: int) -> dict[str, Any]:
    return {"change": {"id": subscriber_id}}


def indexes(rounds: list[list[Work]]) -> list[list[int]]:
    return [[one.index for one in together] for together in rounds]


def test_items_about_different_people_are_one_round() -> None:
    work = read(create("a@example.com"), change(1), create("b@example.com"), change(2))
    assert indexes(in_rounds(work, {1: "c@example.com"})) == [[0, 1, 2, 3]]


def test_a_second_item_about_somebody_comes_in_a_later_round() -> None:
    work = read(create("a@example.com"), create("A+x@example.com"), change(1), change(1), change(2))
    assert indexes(in_rounds(work, {1: "b@example.com", 2: "a@example.com"})) == [[0, 2], [1, 3], [4]]


def test_no_items_are_no_rounds() -> None:
    assert in_rounds([], {}) == []


def test_whatever_comes_each_person_is_once_in_a_round_and_their_items_are_in_order() -> None:
    dice = random.Random(7)
    mailboxes = {number: f"reader-{number}@example.com" for number in range(1, 6)}
    for _ in range(200):
        sent = []
        for _ in range(12):
            number = dice.randint(1, 8)
            sent.append(dice.choice([create(f"reader-{number}@example.com"), change(number)]))
        rounds = in_rounds(read(*sent), mailboxes)
        assert sorted(index for one in indexes(rounds) for index in one) == list(range(12))
        seen: dict[str, int] = {}
        for together in rounds:
            people = [_person(one, mailboxes) for one in together]
            assert len(set(people)) == len(people)
            for person, one in zip(people, together, strict=True):
                assert seen.get(person, -1) < one.index
                seen[person] = one.index


def _person(work: Work, mailboxes: dict[int, str]) -> str:
    if isinstance(work, Creation):
        return work.sign_up.email.mailbox_key
    assert isinstance(work, Change)
    return mailboxes.get(work.asked.id, str(work.asked.id))
