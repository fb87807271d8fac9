"""An author's day, from an empty installation to the report, through the gateway's API: the four real services, a real
Postgres and Redis, and the sandbox in Postmark's place.

Each step is a method of `Day` and says what holds after it; the test is their order.
"""

import csv
import io
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from xml.etree import ElementTree as ET

import httpx
import pytest

from broadsheet_delivery.reports.roll_up_reports import roll_up_reports
from broadsheet_gateway.access.rights import Grant
from harness.cluster import Cluster
from harness.http.hooked import happens_at_postmark, hooked_system
from harness.oracle import Captured
from harness.system import PUBLIC_URL, System
from harness.waiting import eventually

Json = dict[str, Any]

SLUG: Final = "harbour-notes"
ADA, GRACE, EDSGER, LATE = "ada@harbour.example", "grace@harbour.example", "edsger@quay.example", "late@quay.example"
READERS: Final = {ADA: "Ada Lovelace", GRACE: "Grace Hopper", EDSGER: "Edsger"}
"""Those who confirm. LATE signs up and never does."""
TIDES: Final = "https://tides.example/tables"
LAYOUT: Final = """<!doctype html>
<html lang="en"><head><title>Harbour notes</title><style>h1 { color: #003355; background: #ffffff }</style></head>
<body><table role="presentation" width="100%"><tr><td>{{ content }}</td></tr></table>
<p>{{ newsletter.postal_address }} <a href="{{ unsubscribe_url }}">Unsubscribe</a>
<a href="{{ web_url }}">Read on the web</a></p></body></html>"""
CONTENT: Final = f"""# High water for {{{{ subscriber.name | default: "everybody" }}}}

{{% if subscriber.tags contains "crew" %}}You are on watch.{{% else %}}You may sleep in.{{% endif %}}

| Day | High water |
| --- | --- |
| Monday | 06:12 |
| Tuesday | 07:01 |

- bring a rope
- from {{{{ subscriber.attributes.berth | default: "your berth" }}}}

All of it stands in the [tide tables]({TIDES}).
"""
OTHER_SUBJECT: Final = "The tide comes, {{ subscriber.name | default: 'reader' }}"
BROKEN: Final = CONTENT.replace(TIDES, "tides.example/tables")


@pytest.fixture
async def day(cluster: Cluster, redis_url: str) -> AsyncIterator["Day"]:
    async with hooked_system(cluster, redis_url) as system:
        yield Day(system)


async def test_an_authors_whole_day_runs_through_the_api(day: "Day") -> None:
    await day.make_a_newsletter()
    await day.readers_sign_up_and_confirm()
    await day.add_a_layout()
    await day.write_a_draft()
    await day.save_it_in_two_tabs()
    await day.mend_what_the_checks_find()
    await day.try_another_subject_on_some()
    await day.look_at_the_preview()
    await day.send_a_test_mail()
    await day.have_it_approved()
    await day.see_who_will_get_it()
    await day.schedule_it()
    await day.its_time_comes()
    await day.some_get_it_and_a_winner_is_chosen()
    await day.it_is_sent()
    await day.the_mail_is_what_the_preview_showed()
    await day.readers_open_click_and_leave()
    await day.it_stands_in_the_archive()
    await day.read_the_report()
    await day.read_what_was_done()


class Day:
    """The author has an API key; readers have browsers and mailboxes."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.newsletter_id = 0
        self.issue_id = 0
        self.tag = ""
        self.audience_token = ""
        """Of the issue, as the author's editor saw it last."""
        self.subscriber_ids: dict[str, int] = {}
        self.previews: list[Json] = []
        """Of the scheduled issue, for Ada: of each variant."""
        self.tried_on: set[str] = set()
        self.web_path = ""

    async def call(
        self, method: str, path: str, body: object = None, *, status: int = 200, tag: str | None = None
    ) -> httpx.Response:
        headers = {} if tag is None else {"If-Match": tag}
        sent: Json = {} if body is None else {"json": body}
        answer = await self.system.api.request(method, f"/api/v1/{path}", headers=headers, **sent)
        assert answer.status_code == status, (method, path, answer.text)
        return answer

    async def issue(self, rest: str = "", body: object = None, *, method: str = "POST", status: int = 200) -> Any:
        """The JSON of the answer."""
        return (await self.call(method, f"issues/{self.issue_id}{rest}", body, status=status)).json()

    # -- the steps --------------------------------------------------------------------------------------------------

    async def make_a_newsletter(self) -> None:
        settings = {
            "name": "Harbour notes",
            "slug": SLUG,
            "from_name": "The harbour",
            "from_email": "notes@harbour.example",
            "reply_to": "office@harbour.example",
            "time_zone": "Europe/Paris",
            "accent_colour": "#003355",
            "track_opens": True,
            "track_links": True,
            "requires_approval": True,
        }
        made = await self.call("POST", "newsletters", settings, status=201)
        newsletter = made.json()
        assert (newsletter["has_archive"], newsletter["is_ready"]) == (True, False)
        assert newsletter["missing"] == ["postal_address"]
        self.newsletter_id = newsletter["id"]
        address = {"postal_address": "The harbour, 1 Quay, Port"}
        changed = await self.call("PATCH", f"newsletters/{self.newsletter_id}", address, tag=made.headers["ETag"])
        assert (changed.json()["is_ready"], changed.json()["missing"]) == (True, [])

    async def readers_sign_up_and_confirm(self) -> None:
        await self.call("POST", "attributes", {"name": "berth", "type": "text"}, status=201)
        form = f"/newsletters/{SLUG}"
        for email, name in READERS.items():
            assert (await self.system.subscribe(email, name, path=form)).status_code == 200
            confirmed = await self.system.confirm(await self.system.confirmation_link(email))
            assert confirmed.status_code == 200
        assert (await self.system.subscribe(LATE, "Late", path=form)).status_code == 200
        await self.system.deliver_all_pending()
        found = (await self.call("GET", f"subscribers?newsletter_id={self.newsletter_id}")).json()["items"]
        self.subscriber_ids = {one["email"]: one["id"] for one in found}
        assert set(self.subscriber_ids) == {*READERS, LATE}
        crew = {"tags": ["crew"], "attributes": {"berth": "Pier 7"}}
        await self.call("PATCH", f"subscribers/{self.subscriber_ids[ADA]}", crew, tag="*")

    async def add_a_layout(self) -> None:
        layout = {"name": "Harbour", "format": "html", "source": LAYOUT}
        layout_id = (await self.call("POST", "layouts", layout, status=201)).json()["id"]
        await self.call("PATCH", f"newsletters/{self.newsletter_id}", {"layout_id": layout_id}, tag="*")

    async def write_a_draft(self) -> None:
        draft = {"newsletter_id": self.newsletter_id, "title": "The tides of {{ subscriber.nom }}"}
        answer = await self.call("POST", "issues", draft, status=201)
        issue = answer.json()
        self.issue_id, self.tag = issue["id"], answer.headers["ETag"]
        assert (issue["status"], issue["format"], issue["version"]) == ("draft", "markdown", 1)
        [fault] = [one for one in issue["faults"] if one["field"] == "title"]
        assert (fault["code"], fault["line"]) == ("unknown-field", 1)

    async def save_it_in_two_tabs(self) -> None:
        """The tab that saves second, on the version of before, is told so and empties nothing."""
        path, stale = f"issues/{self.issue_id}", self.tag
        written = {
            "title": "The tides",
            "subject": "High water, {{ subscriber.name | default: 'reader' }}",
            "preheader": "Monday and Tuesday at the quay, with all that you need to bring",
            "content": BROKEN,
        }
        saved = await self.call("PATCH", path, written, tag=stale)
        assert (saved.json()["faults"], saved.json()["version"]) == ([], 2)
        self.tag = saved.headers["ETag"]
        assert self.tag != stale
        await self.call("PATCH", path, {"title": "Other words"}, status=428)
        refused = await self.call("PATCH", path, {"title": "Other words"}, tag=stale, status=412)
        assert refused.json()["type"] == "urn:broadsheet:problem:precondition-failed"
        now = await self.call("GET", path)
        assert (now.json()["title"], now.json()["content"], now.headers["ETag"]) == ("The tides", BROKEN, self.tag)
        revisions = await self.issue("/revisions", method="GET")
        assert [one["version"] for one in revisions["items"]] == [2, 1]

    async def mend_what_the_checks_find(self) -> None:
        found = await self.issue("/checks", {})
        assert found["is_blocked"]
        [blocking] = [one for one in found["findings"] if one["severity"] == "blocks"]
        line = 1 + BROKEN[: BROKEN.index("tides.example")].count("\n")
        assert (blocking["code"], blocking["field"], blocking["line"]) == ("link-relative", "content", line)
        refused = await self.issue("/publish", status=422)
        assert refused["type"] == "urn:broadsheet:problem:blocked-by-findings"
        [told] = refused["errors"]
        assert told["detail"].startswith("link-relative: ")
        mended = await self.call("PATCH", f"issues/{self.issue_id}", {"content": CONTENT}, tag=self.tag)
        self.tag = mended.headers["ETag"]
        found = await self.issue("/checks", {})
        assert not found["is_blocked"], found

    async def try_another_subject_on_some(self) -> None:
        test = {"others": [{"subject": OTHER_SUBJECT}], "share_percent": 50, "decide_by": "hand"}
        saved = await self.call("PATCH", f"issues/{self.issue_id}", {"ab_test": test}, tag=self.tag)
        assert (saved.json()["faults"], len(saved.json()["ab_test"]["others"])) == ([], 1)
        self.tag = saved.headers["ETag"]
        assert not (await self.issue("/checks", {}))["is_blocked"]

    async def look_at_the_preview(self) -> None:
        """As a reader, and as somebody of whom nothing is known."""
        ada = await self.issue("/preview", {"subscriber_id": self.subscriber_ids[ADA]})
        assert (ada["subject"], ada["to"]) == ("High water, Ada Lovelace", ADA)
        assert (ada["from"], ada["reply_to"]) == ("The harbour <notes@harbour.example>", "office@harbour.example")
        for part in (ada["html"], ada["text"]):
            for words in ("High water for Ada Lovelace", "You are on watch.", "from Pier 7", "06:12", TIDES):
                assert words in part
        assert re.search(r'<h1 style="[^"]*#003355', ada["html"]), "the layout's style stands where programs keep it"
        nobody = await self.issue("/preview", {"sample": {"email": "nobody@example.com"}})
        assert nobody["subject"] == "High water, reader"
        for words in ("High water for everybody", "You may sleep in.", "from your berth"):
            assert words in nobody["text"]

    async def send_a_test_mail(self) -> None:
        stranger = await self.issue("/test", {"to": ["stranger@example.com"]}, status=422)
        assert stranger["errors"][0]["pointer"] == "/to/0"
        body = {"to": ["office@harbour.example"], "subscriber_id": self.subscriber_ids[GRACE]}
        sent = await self.issue("/test", body, status=202)
        assert sent == {"sent": 1, "subject": "High water, Grace Hopper"}
        await self.system.delivery.send_all_due()
        mail = self.system.oracle.messages()[-1]
        assert (mail.to, mail.subject) == ("office@harbour.example", "[Test] High water, Grace Hopper")
        assert mail.stream == "outbound"
        [link] = set(re.findall(rf"{re.escape(PUBLIC_URL)}/unsubscribe/[\w.~-]+", mail.text))
        page = await self.system.visitor.get(link)
        assert (page.status_code, "from a test mail" in page.text) == (200, True)

    async def have_it_approved(self) -> None:
        """By a second person: the key's user, signed in, is the one who asked."""
        refused = await self.issue("/publish", status=409)
        assert refused["type"] == "urn:broadsheet:problem:not-approved"
        asked = await self.issue("/approval", {"note": "For tomorrow"}, status=201)
        assert (asked["is_required"], asked["state"]) == (True, "requested")
        decision = {"decision": "approved", "version": asked["version"], "note": "Fair wind"}
        own = await self.issue("/approval/decision", decision, status=403)
        assert own["type"] == "urn:broadsheet:problem:not-yours-to-decide"
        path = f"/api/v1/issues/{self.issue_id}/approval/decision"
        await self.system.log_in()
        assert (await self.system.visitor.post(path, json=decision)).status_code == 403
        await self.system.add_user("approver", Grant("publisher"))
        await self.system.log_in("approver")
        approved = await self.system.visitor.post(path, json=decision)
        assert (approved.status_code, approved.json()["state"]) == (200, "approved"), approved.text

    async def see_who_will_get_it(self) -> None:
        shown = await self.issue("/audience", {})
        # One of them has not confirmed.
        assert shown["count"] == len(self.subscriber_ids) - 1
        assert {one["email"] for one in shown["sample"]} < set(self.subscriber_ids)
        assert {why: count for why, count in shown["excluded"].items() if count} == {"pending": 1}
        self.audience_token = shown["token"]

    async def schedule_it(self) -> None:
        """At a time of the harbour's own clocks, to as many people as were shown."""
        at = {
            "at": f"{datetime.now(UTC).year + 1}-01-15T08:00",
            "time_zone": "Europe/Paris",
            "audience": {"token": self.audience_token, "shrinkage_max": 0},
        }
        scheduled = await self.issue("/schedule", at)
        assert (scheduled["status"], scheduled["scheduled_time_zone"]) == ("scheduled", "Europe/Paris")
        assert scheduled["scheduled_at"].endswith("-01-15T07:00:00Z")
        late = await self.call("PATCH", f"issues/{self.issue_id}", {"title": "Late"}, tag="*", status=409)
        assert late.json()["type"] == "urn:broadsheet:problem:not-a-draft"
        for variant in (1, 2):
            shown = await self.issue("/preview", {"subscriber_id": self.subscriber_ids[ADA], "variant": variant})
            self.previews.append(shown)
        assert self.newsletter_mails() == []

    async def its_time_comes(self) -> None:
        """The service's own loop publishes it. (Only the wait is shortened.)"""
        await self.system.run_sql(
            "UPDATE publishing.issue SET scheduled_at = clock_timestamp() + interval '1 second' WHERE id = %s",
            self.issue_id,
        )

        async def fired() -> bool:
            return (await self.issue(method="GET"))["published_at"] is not None

        await eventually(fired, what="the schedule fires")
        [(in_time,)] = await self.system.run_sql(
            "SELECT published_at >= scheduled_at FROM publishing.issue WHERE id = %s", self.issue_id
        )
        assert in_time

    async def some_get_it_and_a_winner_is_chosen(self) -> None:
        """The others wait until somebody has chosen."""
        await self.system.fan_outs_finished()
        await self.system.delivery.send_all_due()
        self.tried_on = {mail.to for mail in self.newsletter_mails()}
        waiting = (await self.issue(method="GET"))["counts"]["pending"]
        assert len(self.tried_on) + waiting == len(READERS)
        assert (await self.issue("/ab-test", method="GET"))["winner"] is None
        chosen = await self.issue("/winner", {"variant": 2})
        assert (chosen["winner"], chosen["reason"]) == (2, "by_hand")

    async def it_is_sent(self) -> None:
        """Once to everybody who had confirmed, and the counts add up."""
        await self.system.deliver_all_pending()
        assert sorted(mail.to for mail in self.newsletter_mails()) == sorted(READERS)
        rest = [mail.subject for mail in self.newsletter_mails() if mail.to not in self.tried_on]
        assert all(subject.startswith("The tide comes, ") for subject in rest), "the rest got the winner"
        sent = await self.issue(method="GET")
        counts = sent["counts"]
        assert (sent["status"], counts["audience"], counts["accepted"]) == ("sent", len(READERS), len(READERS))
        assert sum(counts.values()) == 2 * counts["audience"]

    async def the_mail_is_what_the_preview_showed(self) -> None:
        """Byte for byte, but for the link that belongs to its reader."""
        mail = self.mail_to(ADA)
        link = mail.headers["List-Unsubscribe"].strip("<>")
        token = link.removeprefix(f"{PUBLIC_URL}/unsubscribe/")
        assert link != token
        assert len({one["subject"] for one in self.previews}) == 2
        [preview] = [one for one in self.previews if one["subject"] == mail.subject]
        for sent, previewed in ((mail.html, preview["html"]), (mail.text, preview["text"])):
            assert link in sent
            assert sent.replace(token, "test") == previewed
        shown = {header["name"]: header["value"] for header in preview["headers"]}
        assert mail.headers | {"List-Unsubscribe": shown["List-Unsubscribe"]} == shown
        other = self.mail_to(GRACE)
        assert "You may sleep in." in other.text
        assert "Ada" not in other.html + other.text + other.subject

    async def readers_open_click_and_leave(self) -> None:
        """As Postmark tells it, but for the click on the link to unsubscribe, which comes to us."""
        before = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
        for email in (ADA, GRACE):
            await self.happens("Delivery", email, set={"DeliveredAt": before})
        await self.happens("Bounce", EDSGER, bounce_type="HardBounce")
        await self.happens("Open", ADA)
        await self.happens("Click", ADA, link=TIDES)
        await self.happens("Open", GRACE, set={"UserAgent": "Mozilla/5.0"})
        leave = self.mail_to(GRACE).headers["List-Unsubscribe"].strip("<>").removeprefix(PUBLIC_URL)
        left = await self.system.visitor.post(leave, data={"List-Unsubscribe": "One-Click"})
        assert left.status_code == 200

    async def it_stands_in_the_archive(self) -> None:
        """For everybody, with nothing of anybody; in the feed and in the site map too."""
        visitor = self.system.client()
        found = re.search(r'href="([^"]+)">Read on the web', self.mail_to(ADA).html)
        assert found is not None
        self.web_path = found[1].removeprefix(PUBLIC_URL)
        assert self.web_path == f"/newsletters/{SLUG}/issues/the-tides"
        page = await visitor.get(self.web_path)
        assert page.status_code == 200
        for words in ("High water for everybody", "You may sleep in.", "06:12"):
            assert words in page.text
        listed = await visitor.get(f"/newsletters/{SLUG}/issues")
        assert self.web_path in listed.text
        feed = await visitor.get(f"/newsletters/{SLUG}/feed.atom")
        atom = {"a": "http://www.w3.org/2005/Atom"}
        links = [node.get("href") for node in ET.fromstring(feed.content).findall("a:entry/a:link", atom)]
        assert PUBLIC_URL + self.web_path in links
        sitemap = await visitor.get("/sitemap.xml")
        assert f"<loc>{PUBLIC_URL}{self.web_path}</loc>" in sitemap.text
        for answer in (page, listed, feed):
            for personal in ("Ada", "Lovelace", "Pier 7", "harbour.example/unsubscribe", "/unsubscribe/", ADA):
                assert personal not in answer.text
        again = await visitor.get(self.web_path, headers={"If-None-Match": page.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")

    async def read_the_report(self) -> None:
        await self.roll_up()
        report = await self.issue("/report", method="GET")
        assert (report["waiting"], report["delivered"], report["delivery_reported"]) == (0, 2, True)
        assert report["counts"]["accepted"] == len(READERS)
        assert (report["bounces"]["total"], report["bounces"]["hard"], report["unsubscribes"]) == (1, 1, 1)
        assert report["opens"] == {
            "measured": True, "unique": 2, "total": 2, "unique_without_machines": 1, "machine": 1,
        }  # fmt: skip
        assert report["clicks"] == {
            "measured": True, "unique": 1, "total": 1, "unique_without_machines": 1, "machine": 0,
        }  # fmt: skip
        assert (report["rates"]["of"], report["rates"]["clicked"], report["rates"]["opened"]) == ("delivered", 0.5, 1.0)
        assert [(one["url"], one["unique"], one["total"]) for one in report["links"]] == [(TIDES, 1, 1)]
        assert {one["domain"]: one["recipients"] for one in report["domains"]} == {
            "harbour.example": 2, "quay.example": 1,
        }  # fmt: skip
        lines = list(csv.DictReader(io.StringIO((await self.call("GET", f"issues/{self.issue_id}/report/csv")).text)))
        assert ("counts", "", "accepted", "3") in {tuple(line.values()) for line in lines}
        newsletter = f"newsletters/{self.newsletter_id}"
        [engagement] = (await self.call("GET", f"{newsletter}/engagement")).json()["issues"]
        assert (engagement["issue_id"], engagement["clicks"]["unique"]) == (self.issue_id, 1)

        async def counted() -> bool:
            today = (await self.call("GET", f"{newsletter}/report")).json()["days"][-1]
            return bool(today["joined"] == len(READERS) and today["left"] == 1)

        await eventually(counted, what="who joined and who left is in the growth of today")

    async def read_what_was_done(self) -> None:
        steps = [one["step"] for one in (await self.issue("/history", method="GET"))["items"]]
        before = ["created", "test_sent", "approval_requested", "approved", "scheduled", "published"]
        assert steps[::-1] == [*before, "winner_chosen"]

    # -- readers and Postmark ---------------------------------------------------------------------------------------

    async def happens(self, kind: str, email: str, **fields: Any) -> None:
        await happens_at_postmark(self.system, type=kind, recipient=email, stream="broadcast", **fields)

    async def roll_up(self) -> None:
        """All that is stored, without the rest that sending is given."""
        while await roll_up_reports(self.system.delivery.context):
            await self.system.run_sql("UPDATE delivery.report_pace SET next_at = now()")

    def newsletter_mails(self) -> list[Captured]:
        return self.system.newsletter_mails()

    def mail_to(self, email: str) -> Captured:
        [mail] = [one for one in self.newsletter_mails() if one.to == email]
        return mail
