"""The sample data of the archive's pages."""

from datetime import UTC, datetime

import msgspec
from markupsafe import Markup

from broadsheet_gateway.pages.archive_views import ArchiveArticle, ArchiveIssues, ArchiveLook
from broadsheet_gateway.pages.for_readers.archived_link import ArchivedLink
from broadsheet_gateway.pages.views import PageView

_LOOK = ArchiveLook(
    newsletter_name="The Systems Letter",
    description="How the software that sends your mail works, once a month.",
    language="en",
    direction="ltr",
    accent_colour="#7a1f1f",
    logo_url=None,
    logo_alt="The Systems Letter",
    is_hidden=False,
    sign_up_heading="",
    sign_up_text="",
    sign_up_button="",
    page_path="/newsletters/systems",
)
_ARABIC = msgspec.structs.replace(
    _LOOK,
    newsletter_name="رسالة الأنظمة",
    description="رسالة شهرية عن البرامج التي ترسل بريدك.",
    language="ar",
    direction="rtl",
    accent_colour="#1f6f4a",
    is_hidden=True,
    sign_up_heading="اشترك في الرسالة",
    sign_up_text="رسالة واحدة كل شهر.",
    sign_up_button="اشتراك",
)
_CONTENT = Markup(
    "<p>A delivery is one issue to one subscriber. Everything that <strong>counts</strong> counts deliveries, and "
    'everything that <a href="https://example.com/queues" rel="noopener noreferrer">a queue promises</a> it promises '
    'about one of them.<sup><a href="#mail-fn1" id="mail-fnref1">1</a></sup></p>\n'
    "<h2>Leases</h2>\n<p>A worker takes a chunk under <code>FOR UPDATE SKIP LOCKED</code>, and its lease ends by the "
    "database's clock alone.</p>\n<pre><code>SELECT id FROM delivery_chunk\n WHERE status = 'pending'\n"
    " FOR UPDATE SKIP LOCKED LIMIT 1\n</code></pre>\n"
    "<blockquote><p>What is uncertain is asked about before it is sent again.</p></blockquote>\n"
    "<h3>What it costs</h3>\n<table><thead><tr><th>queue</th><th>p50</th><th>p99</th></tr></thead><tbody>"
    "<tr><td>10,000</td><td>1.9 ms</td><td>3.1 ms</td></tr><tr><td>1,000,000</td><td>2.0 ms</td><td>3.3 ms</td></tr>"
    '</tbody></table>\n<p><a class="button" href="https://example.com/figures" rel="noopener noreferrer">See all '
    "figures</a></p>\n<ul><li>One outcome for each.</li><li>None twice.</li></ul>\n<hr>\n"
    '<ol><li id="mail-fn1">Or shows that it was not sent. <a href="#mail-fnref1">↩</a></li></ol>'
)
_DESIGNED = Markup(
    '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="background-color:#f4f1ff"><tbody>'
    "<tr>"
    '<td style="padding:24px;text-align:center;font-family:Arial,sans-serif"><h2 style="color:#3b1d8f;font-size:28px;'
    'margin:0 0 12px">Spring on the line</h2><p style="color:#333333;margin:0 0 16px">Four new carriages, and a '
    'timetable to match.</p><a href="https://example.com/timetable" rel="noopener noreferrer" '
    'style="display:inline-block;'
    'background-color:#3b1d8f;color:#ffffff;padding:12px 24px;border-radius:4px;text-decoration:none">See the timetable'
    "</a></td></tr></tbody></table>"
)


def _link(day: int, title: str, summary: str = "") -> ArchivedLink:
    return ArchivedLink(
        title=title,
        summary=summary,
        published_at=datetime(2026, 3, day, 9, tzinfo=UTC),
        page_path=f"{_LOOK.page_path}/issues/issue-{day}",
    )


_ITEMS = (
    _link(26, "Queues that account for everybody", "One outcome for each reader, and how to prove it."),
    _link(19, "What a lease is", "Who holds a chunk, and until when."),
    _link(12, "Leaving with one click"),
)


def archive_samples() -> dict[str, PageView]:
    url = "https://news.example.com/newsletters/systems/issues"
    article = ArchiveArticle(
        look=_LOOK,
        canonical_url=f"{url}/issue-19",
        title="What a lease is",
        description="Who holds a chunk, and until when.",
        published_at=datetime(2026, 3, 19, 9, tzinfo=UTC),
        updated_at=datetime(2026, 3, 19, 9, tzinfo=UTC),
        content=_CONTENT,
        keeps_look=False,
        previous=_ITEMS[2],
        next=_ITEMS[0],
    )
    return {
        "archive": ArchiveIssues(look=_LOOK, canonical_url=url, items=_ITEMS, older_before_id=12),
        "archive-last-page": ArchiveIssues(
            look=_LOOK, canonical_url=f"{url}?before=12", items=_ITEMS[:1], is_first=False
        ),
        "archive-empty": ArchiveIssues(look=_LOOK, canonical_url=url, items=()),
        "archive-article": article,
        "archive-article-designed": msgspec.structs.replace(
            article, title="Spring on the line", content=_DESIGNED, keeps_look=True, previous=None
        ),
        "archive-article-not-shown": msgspec.structs.replace(article, content=Markup(), next=None),
        "archive-article-rtl": msgspec.structs.replace(
            article,
            look=_ARABIC,
            title="ما معنى الانتظار؟",
            description="عن الطوابير.",
            content=Markup("<p>كل رسالة تصل مرة واحدة.</p><blockquote><p>مرة واحدة.</p></blockquote>"),
            previous=None,
            next=None,
        ),
    }
