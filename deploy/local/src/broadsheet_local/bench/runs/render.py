"""How many mails a second one core renders, without a database, a network or another process."""

import time
from collections.abc import Callable

import msgspec

from broadsheet_common.mail.mail_body import Footer, HtmlBody, TextBody
from broadsheet_common.mail.mail_template import parse
from broadsheet_common.mail.merge_fields import SHARED_VARIABLES, MailValues
from broadsheet_common.mail.template_work import Work
from broadsheet_local.bench.inputs.issue_body import NEWSLETTER_NAME, TITLE, make_issue
from broadsheet_local.supervision.supervisor import Say

CITY = "Hellerau & Dresden"
CITY_FIELD = "{{ subscriber.attributes.city }}"
DIFFERENT_READERS = 1_000


class RenderFigures(msgspec.Struct, frozen=True):
    """The best of `rounds` rounds with `mails` mails each. `html_per_s`: the HTML parts alone, as they go into a
    request; `mails_per_s`: both parts, and a new `Work` and values for each mail.
    """

    body_kb: int
    mails: int
    rounds: int
    html_per_s: int
    mails_per_s: int
    is_whole: bool


def measure_render(*, body_kb: int, mails: int, rounds: int, say: Say) -> RenderFigures:
    """An issue with five fields: two of each reader's own, an attribute, the newsletter's name, and the link."""
    issue = make_issue(body_kb)
    shared = MailValues(
        subscriber_name="",
        subscriber_email="",
        newsletter_name=NEWSLETTER_NAME,
        issue_title=TITLE,
        unsubscribe_url="",
    )
    names = SHARED_VARIABLES | {"issue.title"}
    footer = Footer(NEWSLETTER_NAME, "")
    html_source = issue.html.replace("Dear {{ subscriber.name }}", f"Dear {{{{ subscriber.name }}}} of {CITY_FIELD}")
    html = HtmlBody(parse(html_source, "html").filled(shared, names), footer)
    text = TextBody(parse(issue.text, "text").filled(shared, names), footer)
    readers = [_reader(shared, number) for number in range(DIFFERENT_READERS)]

    def render_html(number: int) -> None:
        html.render(readers[number % DIFFERENT_READERS], Work())

    def render_mail(number: int) -> None:
        values, work = _reader(shared, number), Work()
        html.render(values, work)
        text.render(values, work)

    html_s = mail_s = float("inf")
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        html_s = min(html_s, _timed_s(render_html, mails))
        mail_s = min(mail_s, _timed_s(render_mail, mails))
    return RenderFigures(
        body_kb=body_kb,
        mails=mails,
        rounds=rounds,
        html_per_s=round(mails / html_s),
        mails_per_s=round(mails / mail_s),
        is_whole=_says_it_all(html, readers[7]),
    )


def _reader(shared: MailValues, number: int) -> MailValues:
    return msgspec.structs.replace(
        shared,
        subscriber_name=f"Reader {number}",
        subscriber_email=f"reader-{number}@example.com",
        unsubscribe_url=f"https://news.example.com/unsubscribe/k1.{number:032}",
        subscriber_attributes={"city": CITY},
    )


def _timed_s(render: Callable[[int], None], mails: int) -> float:
    began_s = time.perf_counter()
    for number in range(mails):
        render(number)
    return time.perf_counter() - began_s


def _says_it_all(html: HtmlBody, values: MailValues) -> bool:
    body = html.render(values, Work())
    source = body if isinstance(body, str) else msgspec.json.decode(body, type=str)
    wanted = (values.subscriber_name, values.subscriber_email, values.unsubscribe_url, "Hellerau &amp; Dresden")
    return all(one in source for one in (*wanted, NEWSLETTER_NAME)) and "{{" not in source
