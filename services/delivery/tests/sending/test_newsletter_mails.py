"""What the mails of an issue hold: headers, merge fields, bodies, links, tracking."""

import re
import uuid

import httpx
import msgspec
import pytest

from broadsheet_common.mail.issue_mail import Reader
from broadsheet_common.mail.merge_fields import VARIABLES
from broadsheet_common.mail.template_work import Work
from broadsheet_delivery.composing.issue_content import UnusableIssueError
from broadsheet_delivery.postmark.message import Message, encode_message
from broadsheet_delivery.queue.recipient import UsedValues
from broadsheet_delivery.sending.send_chunk import send_chunk
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.delivering import Delivering
from harness.oracle import Oracle
from harness.queue.queue_time import make_due
from harness.seeding import Seed


async def test_a_mail_is_personal_and_carries_a_way_to_leave(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    issue_id = seed.published_issue(seed.subscribers(2), html="<body><p>Hello {{ subscriber.name }}</p></body>")
    await delivery.send_all_due()
    first, second = oracle.messages()
    assert "Hello Reader 1" in first.html
    assert "Hello Reader 2" in second.text
    assert first.stream == "broadcast"
    link = first.headers["List-Unsubscribe"].strip("<>")
    assert link.startswith("https://news.example.com/unsubscribe/")
    assert first.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert first.headers["List-Unsubscribe"] != second.headers["List-Unsubscribe"]
    assert link in first.html.removesuffix("</body>")
    assert link in first.text
    assert first.metadata["bs_delivery"] == f"{issue_id}-1"
    assert len(first.metadata["bs_attempt"]) == 36


@pytest.mark.parametrize("lane", ["chunk", "alone"])
async def test_every_merge_field_reaches_its_reader_in_both_bodies(
    seed: Seed, delivery: Delivering, oracle: Oracle, lane: str
) -> None:
    seed.execute(
        "UPDATE publishing.newsletter SET name = 'News & More', slug = 'news', postal_address = '1 Example Street'"
    )
    reader, other = seed.subscribers(2)
    seed.execute(
        "UPDATE subscriptions.subscriber SET tags = '{vip,early}', "
        """attributes = '{"city": "Köln", "age": 41.0, "member": true, "born": "1984-02-29", "unused": "x"}' """
        "WHERE id = %s",
        (reader,),
    )
    names = [*sorted(VARIABLES - {"subscriber.tags"})]
    names += [f"subscriber.attributes.{name}" for name in ("city", "age", "member", "born")]
    fields = "".join(f"{name}=[{{{{ {name} }}}}] " for name in names)
    fields += "{% if subscriber.tags contains 'vip' %}vip{% endif %} {{ subscriber.tags | size }}"
    issue_id = seed.published_issue([reader, other], html=f"<p>{fields}</p>", text=fields, title="First")
    seed.execute(
        "UPDATE publishing.compiled_content SET web_path = '/archive/news/first', "
        "subject = '{{ issue.title }} for {{ subscriber.attributes.city | default: \"all\" }}'"
    )
    seed.execute("UPDATE publishing.issue SET published_at = '2026-01-31 23:30:00-05'")
    if lane == "alone":
        oracle.fault({"kind": "item_errors", "error_code": 429, "pattern": "reader"})
        await delivery.send_one_chunk()
        oracle.heal()
        make_due(seed)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 2}
    mails = {mail.to: mail for mail in oracle.messages()}
    mail = mails["reader-1@example.com"]
    link = mail.headers["List-Unsubscribe"].strip("<>")
    for body, ampersand in ((mail.html, "&amp;"), (mail.text, "&")):
        for wanted in (
            "issue.published_on=[2026-02-01]", "issue.title=[First]", f"newsletter.name=[News {ampersand} More]",
            "newsletter.postal_address=[1 Example Street]", "newsletter.slug=[news]",
            f"preferences_url=[{link}/choices]", "subscriber.email=[reader-1@example.com]",
            "subscriber.name=[Reader 1]", f"unsubscribe_url=[{link}]",
            "web_url=[https://news.example.com/archive/news/first]", "attributes.city=[Köln]", "attributes.age=[41]",
            "attributes.member=[true]", "attributes.born=[1984-02-29] vip 2",
        ):  # fmt: skip
            assert wanted in body
    assert mail.subject == "First for Köln"
    bare = mails["reader-2@example.com"]
    for body in (bare.html, bare.text):
        assert "attributes.city=[] subscriber.attributes.age=[] subscriber.attributes.member=[]" in body
        assert "attributes.born=[]  0" in body
    assert bare.subject == "First for all"


@pytest.mark.parametrize(
    ("html", "title", "used"),
    [
        ("{{ subscriber.name }}", "{{ subscriber.email }}", UsedValues()),
        ("{% if subscriber.tags contains 'a' %}{% endif %}", "T", UsedValues(tags=True)),
        ("<p></p>", "{{ subscriber.tags | first }}", UsedValues(tags=True)),
        ("{{ subscriber.attributes.a }}", "{{ subscriber.attributes.b }}", UsedValues(attributes=("a", "b"))),
    ],
)
async def test_tags_and_attributes_are_read_only_where_an_issue_uses_them(
    seed: Seed, delivery: Delivering, html: str, title: str, used: UsedValues
) -> None:
    readers = seed.subscribers(1)
    seed.execute("""UPDATE subscriptions.subscriber SET tags = '{x}', attributes = '{"a": 1, "b": "y", "c": true}'""")
    seed.published_issue(readers, html=html, title=title)
    claimed = await delivery.claim()
    assert claimed is not None
    assert claimed.content.used == used
    [recipient] = claimed.recipients
    assert recipient.tags == (("x",) if used.tags else ())
    assert recipient.attributes == {name: {"a": 1, "b": "y"}[name] for name in used.attributes}


async def test_an_attribute_that_is_removed_while_an_issue_is_sent_shows_nothing(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(1), html="<p>[{{ subscriber.attributes.gone }}]</p>")
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 1}
    assert "[]" in oracle.messages()[0].html


async def test_an_issue_of_plain_text_only_has_no_html_body_at_all(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(2), text="Hello {{ subscriber.name }}")
    seed.execute("UPDATE publishing.compiled_content SET html_content = NULL WHERE issue_id = %s", (issue_id,))
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 2}
    for mail in oracle.messages():
        assert not mail.has_html
        assert mail.text.startswith("Hello Reader ")
        assert mail.headers["List-Unsubscribe"].strip("<>") in mail.text


async def test_nothing_is_tracked_unless_the_newsletter_says_so(
    seed: Seed, delivery: Delivering, sandbox: RunningSandbox
) -> None:
    async def tracked() -> tuple[object, object]:
        seed.published_issue(seed.subscribers(1, prefix=f"reader-{uuid.uuid4().hex}"))
        claimed = await delivery.claim()
        assert claimed is not None
        mail = delivery.context.composer.newsletter_mail(
            claimed.content, claimed.recipients[0], str(uuid.uuid4()), Work()
        )
        assert isinstance(mail, Message)
        await send_chunk(delivery.context, claimed)
        sent = msgspec.json.decode(encode_message(mail))
        return sent["TrackOpens"], sent["TrackLinks"]

    assert await tracked() == (False, "None")
    seed.execute("UPDATE publishing.newsletter SET track_opens = true")
    assert await tracked() == (True, "None")
    seed.execute("UPDATE publishing.newsletter SET track_opens = false, track_links = true")
    assert await tracked() == (False, "HtmlOnly")
    async with httpx.AsyncClient(base_url=sandbox.base_url, headers=sandbox.headers) as client:
        found = await client.get("/messages/outbound?count=9&offset=0&messagestream=broadcast")
    rows = found.json()["Messages"]
    assert [(row["TrackOpens"], row["TrackLinks"]) for row in rows] == [
        (False, "HtmlOnly"), (True, "None"), (False, "None"),
    ]  # fmt: skip


async def test_mails_whose_links_are_credentials_say_that_nothing_is_tracked(delivery: Delivering) -> None:
    composer = delivery.context.composer
    to, attempt_id = "ada@example.com", uuid.uuid4()
    single = composer.single_mail(
        mail_id=1,
        sender=composer.own_sender,
        to=to,
        subject="s",
        html_body="<p>h</p>",
        text_body="t",
        attempt_id=attempt_id,
    )
    for mail in (single, composer.canary_mail(to=to, stream="outbound", attempt_id=attempt_id)):
        assert isinstance(mail, Message)
        sent = msgspec.json.decode(encode_message(mail))
        assert (sent["TrackOpens"], sent["TrackLinks"]) == (False, "None")


async def test_a_link_to_unsubscribe_is_never_tracked(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    seed.execute("UPDATE publishing.newsletter SET track_links = true")
    seed.published_issue(
        seed.subscribers(1), html="<p><a href='{{ unsubscribe_url }}'>leave</a> <a href='https://example.com'>x</a></p>"
    )
    seed.published_issue(seed.subscribers(1, prefix="second"), html="<p><a href='{{ preferences_url }}'>more</a></p>")
    await delivery.send_all_due()
    own, added = sorted(oracle.messages(), key=lambda mail: mail.to)
    for mail, links in ((own, 1), (added, 2)):
        link = mail.headers["List-Unsubscribe"].strip("<>")
        found = [tag for tag in re.findall(r"<a [^>]*>", mail.html) if link in tag]
        assert len(found) == links
        assert all(tag.startswith("<a data-pm-no-track ") for tag in found)
    assert "<a href='https://example.com'>" in own.html


async def test_only_the_variant_that_is_asked_for_is_rendered(seed: Seed, delivery: Delivering) -> None:
    issue_id = seed.published_issue(seed.subscribers(1), html="<p>one</p>", title="One")
    seed.execute(
        "INSERT INTO publishing.compiled_content (issue_id, variant, title, subject, html_content, text_content) "
        "VALUES (%s, 2, 'Two', 'Two', '<p>two</p>', 'two')",
        (issue_id,),
    )
    contents = delivery.context.contents
    async with delivery.context.engine.connect() as connection:
        first, second = await contents.get(connection, issue_id), await contents.get(connection, issue_id, 2)
        reader = Reader(name="R", email="r@example.com", unsubscribe_url="https://x/u", preferences_url="https://x/p")
        assert [one.mail.render(reader, Work()).subject for one in (first, second)] == ["One", "Two"]
        assert await contents.get(connection, issue_id) is first
        assert await contents.get(connection, issue_id, variant=2) is second
        with pytest.raises(UnusableIssueError):
            await contents.get(connection, issue_id, 3)


async def test_where_postmark_handles_unsubscribing_our_headers_stay_out(
    seed: Seed, delivery: Delivering, oracle: Oracle, sandbox: RunningSandbox
) -> None:
    seed.execute("UPDATE publishing.newsletter SET unsubscribe_handling = 'postmark'")
    sandbox.inner.streams["broadcast"].handling = "Postmark"
    seed.published_issue(seed.subscribers(1))
    claimed = await delivery.claim()
    assert claimed is not None
    mail = delivery.context.composer.newsletter_mail(claimed.content, claimed.recipients[0], str(uuid.uuid4()), Work())
    assert isinstance(mail, Message)
    assert not any(header.name.startswith("List-Unsubscribe") for header in mail.headers)
    await send_chunk(delivery.context, claimed)
    [message] = oracle.messages()
    # The one that is there is Postmark's own.
    assert "news.example.com" not in message.headers.get("List-Unsubscribe", "")


async def test_a_name_with_markup_is_escaped_in_html_and_plain_in_text(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    [reader] = seed.subscribers(1)
    seed.execute("UPDATE subscriptions.subscriber SET name = 'A & B' WHERE id = %s", (reader,))
    seed.published_issue([reader])
    await delivery.send_all_due()
    [message] = oracle.messages()
    assert "Hello A &amp; B" in message.html
    assert "Hello A & B" in message.text


async def test_a_sender_name_with_a_comma_is_quoted(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    seed.execute("UPDATE publishing.newsletter SET from_name = 'Editor, VP', from_email = 'vp@example.com'")
    seed.published_issue(seed.subscribers(1))
    await delivery.send_all_due()
    assert len(oracle.messages()) == 1
