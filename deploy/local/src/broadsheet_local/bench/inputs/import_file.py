"""The file for the import benchmark, determined by its number of rows alone, and the expected result of its import."""

import random
from collections.abc import Iterator
from pathlib import Path

import msgspec

SEED = 20_261_125
BAD_EVERY = 100
BLOCK_ROWS = 10_000
_FIRST_NAMES = ("Ada", "Grace", "Edsger", "Barbara", "Alan", "Radia", "Donald", "Frances", "Ken", "Margaret")
_LAST_NAMES = ("Lovelace", "Hopper", "Dijkstra", "Liskov", "Turing", "Perlman", "Knuth", "Allen", "Thompson")
_CITIES = ("Paris", "Wien", "København", "São Paulo", "Kraków", "Lisboa", "Zürich", "Praha", "Dublin", "Oslo")
_TAGS = ("news", "events", "offers", "members")
# The bad rows, one in a hundred, each with a different fault.
_FAULTS = (
    "no-address,{name},{city},{age},{tag}",
    "reader-{number:07d}@nowhere,{name},{city},{age},{tag}",
    "reader {number:07d}@mail{domain}.example.com,{name},{city},{age},{tag}",
    "reader-{number:07d}@mail{domain}.example.com,{name},{city},{age},{tag},one cell too many",
)


class ExpectedCounts(msgspec.Struct, frozen=True):
    created: int
    rejected: int
    file_bytes: int


def write_import_file(path: Path, rows: int) -> ExpectedCounts:
    """Addresses are in no particular order, as in real lists; every hundredth row is bad."""
    chance = random.Random(SEED)  # noqa: S311  # no secret
    numbers = list(range(rows))
    chance.shuffle(numbers)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("email,name,city,age,tags\n")
        for block in _blocks(numbers, chance):
            file.writelines(block)
    rejected = len(range(BAD_EVERY // 2, rows, BAD_EVERY))
    return ExpectedCounts(rows - rejected, rejected, path.stat().st_size)


def _blocks(numbers: list[int], chance: random.Random) -> Iterator[list[str]]:
    for start in range(0, len(numbers), BLOCK_ROWS):
        yield [_line(start + at, number, chance) for at, number in enumerate(numbers[start : start + BLOCK_ROWS])]


def _line(place: int, number: int, chance: random.Random) -> str:
    fields = {
        "number": number,
        "domain": number % 997,
        "name": f"{chance.choice(_FIRST_NAMES)} {chance.choice(_LAST_NAMES)}",
        "city": chance.choice(_CITIES),
        "age": 18 + number % 70,
        "tag": chance.choice(_TAGS),
    }
    is_bad = place % BAD_EVERY == BAD_EVERY // 2
    form = "reader-{number:07d}@mail{domain}.example.com,{name},{city},{age},{tag}"
    return (_FAULTS[place // BAD_EVERY % len(_FAULTS)] if is_bad else form).format(**fields) + "\n"
