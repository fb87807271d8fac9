"""What rendering one mail may cost: counted by size, never timed, so that these tests say the same on every machine."""

import msgspec
import pytest

from broadsheet_common.mail.mail_template import Kind, parse
from broadsheet_common.mail.merge_fields import SAMPLE_VALUES, SHARED_VARIABLES, MailValues
from broadsheet_common.mail.template_work import COPIED_CHARS_PER_UNIT, WORK_MAX, TooMuchWorkError, Work

_LONG = "{% assign l = 'word ' | append: issue.title | append: issue.title | append: issue.title %}"
_LIST = _LONG + "{% assign s = l | split: '' %}"
_ALWAYS_LIST = f"{{% assign l = '{'x' * 400}' %}}" + "{% assign l = l | append: l %}" + "{% assign s = l | split: '' %}"
_VALUES = MailValues("Ada " * 60, "ada@example.com", "News", "x" * 2_000, "https://example.com/u")


def used(source: str, kind: Kind = "text", merged: MailValues = _VALUES) -> int:
    work = Work()
    parse(source, kind).render_json(merged, work)
    return work.used


@pytest.mark.parametrize(
    "piece",
    [
        "{{ s }}",
        "{{ l }}",
        "{% if s == s %}{% endif %}",
        "{% if l == l %}{% endif %}",
        "{% if l != l %}{% endif %}",
        "{% if l < l %}{% endif %}",
        "{% if l contains 'wo' %}{% endif %}",
        "{% if s contains l %}{% endif %}",
        "{% case l %}{% when l %}{% endcase %}",
        "{% unless l == l %}{% endunless %}",
        "{% assign t = l %}",
        "{{ l | upcase }}",
        "{{ 'a' | append: l | size }}",
        "{{ subscriber[l] }}",
    ],
)
def test_outputs_comparisons_filters_and_assignments_are_charged_by_size(piece: str) -> None:
    short = _LIST.replace("issue.title", "'x'")
    for_long, for_short = (used(start + piece) - used(start) for start in (_LIST, short))
    assert for_long > for_short + 1_000


@pytest.mark.parametrize("kind", ["html", "text"])
@pytest.mark.parametrize(
    "source",
    [
        _LIST + "{{ s }}" * 300,
        _LIST + "{% if s == s %}{% endif %}" * 300,
        _LONG + "{% if l contains l %}{% endif %}" * 300,
        "{{ issue.title }}" * 900,
        "{% if true %}" + "{{ issue.title }}" * 900 + "{% endif %}",
        # `when` renders its block once for each value that fits: three of these in each other are eight million.
        ("{% case 1 %}{% when " + ",".join("1" * 200) + " %}") * 3 + "x" + "{% endcase %}" * 3,
        ("{% case 1 %}{% when " + ",".join("1" * 200) + " %}") * 3 + "{% endcase %}" * 3,
    ],
)
def test_too_much_work_ends_before_it_is_done(source: str, kind: Kind) -> None:
    with pytest.raises(TooMuchWorkError):
        used(source, kind)


_OWN = {"long": "x" * 5_000}
_PERSON = msgspec.structs.replace(
    _VALUES, subscriber_tags=tuple(f"{n:0>100}" for n in range(100)), subscriber_attributes=_OWN
)


@pytest.mark.parametrize(
    ("piece", "least"),
    [
        ("{{ subscriber.tags }}", 10_000),
        ("{{ subscriber.tags | upcase }}", 10_000),
        ("{% if subscriber.tags contains 'x' %}{% endif %}", 2_000),
        ("{% if subscriber.tags == subscriber.tags %}{% endif %}", 4_000),
        ("{{ subscriber.tags | size }}", 2_000),
        ("{{ subscriber.attributes.long }}", 5_000),
        ("{{ subscriber.attributes.long | upcase }}", 5_000),
        ("{% if subscriber.attributes.long == subscriber.attributes.long %}{% endif %}", 10_000),
        ("{% assign a = subscriber.attributes.long %}", 5_000),
    ],
)
def test_tags_and_attributes_are_charged_by_size(piece: str, least: int) -> None:
    nobody = msgspec.structs.replace(_VALUES, subscriber_tags=(), subscriber_attributes={})
    assert used(piece, merged=_PERSON) - used(piece, merged=nobody) >= least
    with pytest.raises(TooMuchWorkError):
        used(piece * 450, merged=_PERSON)


def test_a_mail_pays_nothing_for_what_was_filled_in_but_its_copy() -> None:
    template = parse("{{ newsletter.name | upcase }}{{ issue.title }}" * 400, "text")
    work = Work()
    template.filled(_VALUES, SHARED_VARIABLES | {"issue.title"}).render_json(_VALUES, work)
    assert work.used < 1_000 + 400 * 2_004 // COPIED_CHARS_PER_UNIT


def test_all_texts_of_a_mail_share_its_work() -> None:
    template = parse("{{ issue.title }}" * 100, "text")
    work = Work()
    template.render_json(_VALUES, work)
    assert work.used > WORK_MAX // 3
    template.render_json(_VALUES, work)
    with pytest.raises(TooMuchWorkError):
        template.render_json(_VALUES, work)


def test_an_ordinary_mail_is_far_from_too_much() -> None:
    source = "<p>Hello {{ subscriber.name | split: ' ' | first | default: 'you' }}</p>" + "<p>words</p>" * 2_000
    source += (
        "{% if subscriber.name == 'Ada' %}<b>{{ issue.title }}</b>{% endif %}<a href='{{ unsubscribe_url }}'>x</a>"
    )
    assert used(source, "html", SAMPLE_VALUES) < WORK_MAX // 50


@pytest.mark.parametrize(
    "start",
    [
        "{% if subscriber.name != 'Ada Lovelace' %}",
        "{% if false %}a{% elsif false %}",
        "{% if true %}a{% else %}",
        "{% unless true %}",
        "{% case subscriber.name %}{% when 'somebody' %}",
    ],
)
def test_the_check_looks_into_branches_that_are_not_taken(start: str) -> None:
    end = "{% end" + start[3:].split(maxsplit=1)[0] + " %}"
    heavy = parse(_ALWAYS_LIST + start + "{{ s }}" * 300 + end, "text")
    heavy.render(SAMPLE_VALUES)
    with pytest.raises(TooMuchWorkError):
        heavy.check(SAMPLE_VALUES)


def test_the_check_adds_up_one_branch_of_several_and_no_error_that_is_not_met() -> None:
    branch = _ALWAYS_LIST + "{{ s }}" * 15
    languages = "".join(f"{{% if subscriber.name == '{n}' %}}{branch}{{% endif %}}" for n in range(1))
    whole = "{% case subscriber.name %}" + "".join(f"{{% when '{n}' %}}{branch}" for n in range(20)) + "{% endcase %}"
    parse(languages, "text").check(SAMPLE_VALUES)
    parse(whole, "text").check(SAMPLE_VALUES)
    parse("{% if subscriber.name == 'Ada' %}{% if subscriber.name > 5 %}a{% endif %}{% endif %}", "text").check(
        SAMPLE_VALUES
    )
