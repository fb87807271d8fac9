"""The parts that checks stand on: nesting, Liquid, style, the data on mail programs, facts from Postmark."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.queue import request_preflight
from broadsheet_publishing.checks.checked_issue import SenderFact, StreamFact, Unknown
from broadsheet_publishing.checks.clients import client_support as client_support_module
from broadsheet_publishing.checks.clients.client_support import WEIGHTS, by_name, client_support
from broadsheet_publishing.checks.postmark_facts import VALID_FOR, Preflight, facts_of
from broadsheet_publishing.checks.reading.liquid_markup import shield
from broadsheet_publishing.checks.reading.mail_document import MailDocument
from broadsheet_publishing.checks.reading.nesting import ATTRIBUTES_MAX, DEPTH_MAX, why_not_parsed
from broadsheet_publishing.checks.reading.style import CSS_CHARS_MAX
from broadsheet_publishing.checks.store import find_preflight

from ..conftest import PublishingOwner
from .world import found, issue

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
PREFLIGHT = Preflight(NOW, "broadcast", "custom", "fits", None, "", "accepted", None)


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * (DEPTH_MAX + 1),
        "<b>" * (DEPTH_MAX + 1),
        "<svg>" + "<area>" * (DEPTH_MAX + 1),
        "<li><dd>" * DEPTH_MAX,
        "<div><table><td></div>" * DEPTH_MAX,
        "<form><div></form>" * (DEPTH_MAX + 1),
        "".join(f"<b id={n}><p>" for n in range(500)) + "<p>x" * 1_000,
        "<br>" * 10_001,
        "<p " + " ".join(f"a{n}" for n in range(ATTRIBUTES_MAX + 1)) + ">",
        "<p a='",
        "<svg><![CDATA[</svg>]]>",
        "x" * 1_100_000,
    ],
    ids=lambda html: html[:24],
)
def test_html_that_would_take_long_to_parse_is_refused(html: str) -> None:
    assert why_not_parsed(html) is not None


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * DEPTH_MAX,
        "<div>x</div>" * 4_000,
        "<table><tr><td>x" * 100 + "</td></tr></table>" * 100,
        "<p>x<li>y<td>" * 2_000,
        "<!-- " + "<div>" * 600 + " --><p>x</p>",
        "<style>" + "<div>" * 600 + "</style>",
        "a < b and 1 <2",
        "<b><i>x</b></i>" * 2_000,
        "<p>İ</p><title>x</title><p>y</p>",
    ],
    ids=lambda html: html[:24],
)
def test_html_that_people_write_is_parsed(html: str) -> None:
    assert why_not_parsed(html) is None


@given(st.text())
def test_text_without_liquid_is_left_as_it_is(text: str) -> None:
    plain = text.replace("{", "")
    assert shield(plain).text == plain


def test_outputs_are_marked_and_tags_are_gone() -> None:
    source = "a{% if x.y %}{{ subscriber.name | default: 'a|b' }}{% endif %}{% comment %}{{ z }}{% endcomment %}{{ u }}"
    liquid = shield(source)
    assert [(one.path, one.has_default, one.guards) for one in liquid.outputs] == [
        ("subscriber.name", True, frozenset({"x.y"})),
        ("u", False, frozenset()),
    ]
    assert liquid.readable(liquid.text) == "a{{ subscriber.name }}{{ u }}"
    assert liquid.without_marks(liquid.text) == "a"
    assert [one.path for one in liquid.in_text(liquid.text)] == ["subscriber.name", "u"]


def test_a_mark_is_never_a_text_of_the_mail() -> None:
    liquid = shield("qzmark0x {{ a }}")
    assert [one.path for one in liquid.in_text(liquid.text)] == ["a"]


def test_more_style_than_is_read_is_said() -> None:
    rule = "p { color: #222222; background: #ffffff }\n"
    style = f"<style>{rule * (CSS_CHARS_MAX // len(rule) + 1)}</style><p>x</p>"
    assert not MailDocument(style).is_whole
    [finding] = found(issue(style), "check-did-not-run")
    assert finding.data == {"checks": ("colours", "clients")}
    assert MailDocument(f"<style>{rule}</style>").is_whole


def test_the_data_on_mail_programs_is_whole_and_has_its_licence() -> None:
    support = client_support()
    assert support.source.startswith("caniemail 2.")
    assert len(support.features) > 150
    assert len({feature.slug for feature in support.features}) == len(support.features)
    known = {client for feature in support.features for client in feature.dropped_by}
    assert set(WEIGHTS) <= known, "a weight for a program that the data does not have counts for nothing"
    assert 0.95 < sum(WEIGHTS.values()) <= 1
    licence = Path(client_support_module.__file__).with_name("LICENSE.caniemail.txt").read_text(encoding="utf-8")
    assert licence.startswith("MIT License")


def test_a_feature_is_looked_up_by_what_stands_in_the_mail() -> None:
    flex = by_name()["declaration", "display:flex"]
    assert "outlook.windows" in flex.dropped_by
    assert 0 < flex.share < 0.1
    assert ("property", "color") not in by_name()


def test_each_feature_is_one_finding_with_its_places() -> None:
    inner = '<p style="position:absolute">a</p><p style="position:fixed">b</p>'
    [finding] = [one for one in found(issue(inner), "client-support") if one.data["feature"] == "css-position"]
    assert finding.data["count"] == 2
    assert finding.line is not None
    assert str(finding.data["page"]).startswith("https://www.caniemail.com/features/")


def facts(preflight: Preflight | None, **now: object) -> tuple[StreamFact | Unknown, SenderFact | Unknown]:
    letter = {"now": NOW, "stream": "broadcast", "handling": "custom", "from_email": None}
    return facts_of(preflight, **(letter | now))  # type: ignore[arg-type]


def test_what_delivery_learned_is_a_fact_while_it_is_about_the_newsletter_as_it_is() -> None:
    assert facts(PREFLIGHT) == (StreamFact(None), SenderFact(confirmed=True))
    refused = msgspec.structs.replace(PREFLIGHT, sender_state="refused", sender_reason="400: x")
    assert facts(refused)[1] == SenderFact(confirmed=False, detail="400: x")
    mismatched = msgspec.structs.replace(PREFLIGHT, stream_state="mismatch", stream_reason="It is archived.")
    assert facts(mismatched)[0] == StreamFact("It is archived.")


def test_what_is_old_or_about_something_else_is_unknown() -> None:
    assert all(isinstance(fact, Unknown) for fact in facts(None))
    late = NOW + VALID_FOR + timedelta(seconds=1)
    assert all(isinstance(fact, Unknown) for fact in facts(PREFLIGHT, now=late))
    assert isinstance(facts(PREFLIGHT, stream="other")[0], Unknown)
    assert isinstance(facts(PREFLIGHT, handling="postmark")[0], Unknown)
    assert isinstance(facts(PREFLIGHT, from_email="a@example.org")[1], Unknown)
    unknown = msgspec.structs.replace(PREFLIGHT, stream_state="unknown", sender_state="unknown")
    assert all(isinstance(fact, Unknown) for fact in facts(unknown))


async def test_what_delivery_learned_is_read_in_publishing(engine: AsyncEngine, owner: PublishingOwner) -> None:
    async with engine.begin() as connection:
        assert (await find_preflight(connection, 1))[0] is None
        await request_preflight(connection, newsletter_id=1)
    async with engine.begin() as connection:
        assert (await find_preflight(connection, 1))[0] is None, "nobody has looked yet"
    owner.rows(
        "UPDATE delivery.preflight_fact SET checked_at = now(), message_stream = 'broadcast', "
        "unsubscribe_handling = 'custom', stream_state = 'fits', sender = '', sender_state = 'unknown' "
        "RETURNING newsletter_id"
    )
    async with engine.begin() as connection:
        found_row, now = await find_preflight(connection, 1)
    assert found_row is not None
    assert now >= found_row.checked_at
    assert (found_row.stream, found_row.stream_state, found_row.sender_state) == ("broadcast", "fits", "unknown")
