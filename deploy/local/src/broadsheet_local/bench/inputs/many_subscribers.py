"""Subscribers by the million for `bench subscribers`: all data of a subscriber follows from its number.

So the benchmark can compute what every filter must find. Names are made of syllables and belong to no person.
"""

# ruff: noqa: PLR2004  # every number is a fraction of the subscribers, chosen here and meaning nothing more
from collections.abc import Iterator
from datetime import date, timedelta

import psycopg

ISSUE_ID = 1
SECOND_NEWSLETTER_ID = 2
CLUSTERED_TAG = "import-1"
COUNTRIES = ("FR", "DE", "US", "GB")
DAYS = 90

_CONSONANTS = "bdfgklmnprstvz"
_VOWELS = "aeiou"
_FIRST_NAMES, _LAST_NAMES = 4_099, 32_771
_DOMAINS = 50


class Facts:
    """The data of subscriber `n` of `count`."""

    def __init__(self, n: int, count: int) -> None:
        self.n = n
        self.first_name = _word(n * 7_919 % _FIRST_NAMES).title()
        self.last_name = _word(n * 104_729 % _LAST_NAMES).title()
        self.country = COUNTRIES[n % 4]
        self.age = n % 90
        self.tags = [
            *(["common"] if n % 2 == 0 else []),
            *(["rare"] if n % 1_000 == 7 else []),
            *([CLUSTERED_TAG] if n <= count // 10 else []),
        ]
        self.state = (
            None if n % 1_000 == 3 else "pending" if n % 20 == 0 else "unsubscribed" if n % 200 == 1 else "confirmed"
        )
        self.on_second = n % 100 == 0
        self.received = n % 10 != 9
        self.opened = n % 3 == 0
        self.opened_days_ago = n % DAYS if self.opened else None
        self.is_suppressed = n % 500 == 2

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"

    @property
    def email(self) -> str:
        return f"{self.first_name}.{self.last_name}{self.n}@d{self.n % _DOMAINS}.example.com".lower()


def _word(number: int) -> str:
    """Two to four syllables."""
    syllables = []
    number += 70
    while number:
        number, rest = divmod(number, len(_CONSONANTS) * len(_VOWELS))
        consonant, vowel = divmod(rest, len(_VOWELS))
        syllables.append(_CONSONANTS[consonant] + _VOWELS[vowel])
    return "".join(syllables)


_COPY_SUBSCRIBERS = (
    "COPY subscriptions.subscriber (id, email, email_key, name, created_at, attributes, tags) FROM STDIN"
)
_COPY_SUBSCRIPTIONS = (
    "COPY subscriptions.subscription (newsletter_id, subscriber_id, state, confirmed_at, unsubscribed_at) FROM STDIN"
)
_ADD_NEWSLETTER = (
    "INSERT INTO publishing.newsletter (slug, name, postal_address) VALUES ('second', 'Second', 'x') RETURNING id"
)
_DEFINE_ATTRIBUTES = """
INSERT INTO subscriptions.attribute (name, type, label)
VALUES ('country', 'text', 'Country'), ('age', 'number', 'Age'), ('joined', 'date', 'Joined')
"""
_SUPPRESS = """
INSERT INTO delivery.suppression (message_stream, email_key, reason, source)
SELECT 'broadcast', email_key, 'It bounced.', 'bench' FROM subscriptions.subscriber WHERE id % 500 = 2
"""
# The tables as the roll-up leaves them: one issue that nine in ten received and one in three opened, and opens on the
# days of `DAYS`.
_BIT = "set_bit(repeat('0', 8192)::bit(8192), (id % 8192)::integer, 1)"
_ENGAGE = f"""
INSERT INTO delivery.issue_engagement (issue_id, event, block, members)
SELECT {ISSUE_ID}, 'received', id / 8192, bit_or({_BIT}) FROM subscriptions.subscriber WHERE id % 10 <> 9 GROUP BY 3
 UNION ALL
SELECT {ISSUE_ID}, 'opened', id / 8192, bit_or({_BIT}) FROM subscriptions.subscriber WHERE id % 3 = 0 GROUP BY 3
"""  # noqa: S608  # our own constants
_ENGAGE_DAYS = f"""
INSERT INTO delivery.daily_engagement (event, day, block, members)
SELECT 'opened', (now() AT TIME ZONE 'UTC')::date - (id % {DAYS})::integer, id / 8192, bit_or({_BIT})
  FROM subscriptions.subscriber WHERE id % 3 = 0 GROUP BY 2, 3
"""  # noqa: S608  # as above
_SETTLE = """
SELECT setval('subscriptions.subscriber_id_seq', (SELECT max(id) FROM subscriptions.subscriber))
"""


def write_subscribers(connection: psycopg.Connection, count: int) -> None:
    """Each statement is a transaction of its own. Statistics are collected, as in a long-lived database."""
    row = connection.execute(_ADD_NEWSLETTER).fetchone()
    assert row == (SECOND_NEWSLETTER_ID,)
    connection.execute(_DEFINE_ATTRIBUTES)
    with connection.cursor() as cursor:
        with cursor.copy(_COPY_SUBSCRIBERS) as copy:
            for line in _subscriber_lines(count):
                copy.write(line)
        with cursor.copy(_COPY_SUBSCRIPTIONS) as copy:
            for line in _subscription_lines(count):
                copy.write(line)
    for statement in (_SUPPRESS, _ENGAGE, _ENGAGE_DAYS, _SETTLE, "VACUUM (ANALYZE)"):
        connection.execute(statement)


def _subscriber_lines(count: int) -> Iterator[str]:
    first_day = date(2020, 1, 1)
    for n in range(1, count + 1):
        facts = Facts(n, count)
        joined = (first_day + timedelta(days=n % 2_000)).isoformat()
        attributes = f'{{"country": "{facts.country}", "age": {facts.age}, "joined": "{joined}"}}'
        tags = ",".join(facts.tags)
        yield f"{n}\t{facts.email}\t{facts.email}\t{facts.name}\t{joined}\t{attributes}\t{{{tags}}}\n"


def _subscription_lines(count: int) -> Iterator[str]:
    for n in range(1, count + 1):
        facts = Facts(n, count)
        if facts.state is not None:
            confirmed = "\\N" if facts.state == "pending" else "2026-01-01"
            gone = "2026-02-01" if facts.state == "unsubscribed" else "\\N"
            yield f"1\t{n}\t{facts.state}\t{confirmed}\t{gone}\n"
        if facts.on_second:
            yield f"{SECOND_NEWSLETTER_ID}\t{n}\tconfirmed\t2026-01-01\t\\N\n"
