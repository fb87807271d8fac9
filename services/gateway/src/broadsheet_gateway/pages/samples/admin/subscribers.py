"""Sample data of the pages on subscribers and attributes."""

from datetime import UTC, datetime

from broadsheet_gateway.admin.attributes.views import Attribute, AttributePage, AttributeRemovePage, AttributesPage
from broadsheet_gateway.admin.newsletter_facts import NewsletterFacts
from broadsheet_gateway.admin.subscribers.views import (
    AttributeField,
    EditSubscriberPage,
    ErasePersonPage,
    ExportPersonPage,
    Fact,
    Filters,
    Happening,
    NewSubscriberPage,
    SegmentChoice,
    SubscriberLine,
    SubscriberPage,
    SubscribersPage,
    SubscriptionRow,
    UnsubscribePersonPage,
)
from broadsheet_gateway.pages.flashes import FlashCode
from broadsheet_gateway.pages.views import PageView, SignedIn

_EMAIL = "le.guin@example.com"
_KEY = "0b9f2b9a-6f0e-4b8e-9d5b-1f6c9f1e7a11"


def _at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


_NEWSLETTERS = (
    NewsletterFacts(id=1, name="The Systems Letter"),
    NewsletterFacts(id=2, name="Post-mortems"),
    NewsletterFacts(id=3, name="Harbour Notes", archived_at=_at(2, 9)),
)
_CONFIRMED = SubscriptionRow(
    newsletter_id=1, newsletter="The Systems Letter", state="confirmed", created_at=_at(1, 8), confirmed_at=_at(1, 9)
)
_STOPPED = SubscriptionRow(
    newsletter_id=2,
    newsletter="Post-mortems",
    state="confirmed",
    created_at=_at(1, 8),
    confirmed_at=_at(2, 9),
    import_id=3,
    stopped="mail to it bounced",
)
_PENDING = SubscriptionRow(newsletter_id=2, newsletter="Post-mortems", state="pending", created_at=_at(3, 8))
_ASKED = SubscriptionRow(
    newsletter_id=2,
    newsletter="Post-mortems",
    state="pending",
    created_at=_at(3, 8),
    asked_at=_at(3, 9, 30),
    may_be_asked_again=True,
)
_LEFT = SubscriptionRow(
    newsletter_id=3,
    newsletter="Harbour Notes (archived)",
    state="unsubscribed",
    created_at=_at(1, 8),
    confirmed_at=_at(1, 9),
    unsubscribed_at=_at(10, 18, 20),
)
_PEOPLE = (
    SubscriberLine(
        id=41,
        email=_EMAIL,
        name="Ursula Le Guin",
        created_at=_at(1, 8),
        tags=("vip", "speaker"),
        subscriptions=(_CONFIRMED, _LEFT),
    ),
    SubscriberLine(
        id=40,
        email="somebody.with.a.long.address@department.of.systems.university.example",
        name="A reader with a rather long name, as people sometimes have",
        created_at=_at(1, 7),
        tags=("conference-2026", "customers", "beta", "quarterly", "asked-for-paper", "spring"),
        subscriptions=(_CONFIRMED, _PENDING, _LEFT, _STOPPED),
        subscriptions_left_out=2,
    ),
    SubscriberLine(id=39, email="office@example.com", name="", created_at=_at(1, 6)),
)
_SEGMENTS = (SegmentChoice(1, "Readers in Berlin"), SegmentChoice(2, "Quiet for three months"))
_STORY = (
    Happening(at=None, text="“Clocks that change” is queued", issue_id=16),
    Happening(
        at=_at(12, 9, 41),
        text="Followed a link of “Queues that account for everybody”",
        detail="https://example.com/queues/leases",
    ),
    Happening(
        at=_at(12, 9, 40), text="Opened “Queues that account for everybody” (probably by a program)", detail="Desktop"
    ),
    Happening(at=_at(12, 9, 31), text="“Queues that account for everybody” arrived", tone="good"),
    Happening(
        at=_at(12, 9, 30), text="“Queues that account for everybody” was taken by the mail provider", issue_id=14
    ),
    Happening(at=_at(10, 18, 20), text="Left Harbour Notes (archived)", tone="note"),
    Happening(
        at=_at(5, 9, 2),
        text="“Back-off without a stampede” bounced",
        detail="HardBounce: The server was unable to deliver your message",
        tone="bad",
    ),
    Happening(
        at=_at(1, 9),
        text="Confirmed The Systems Letter, by the link in the mail",
        tone="good",
        facts=(Fact("From", "192.0.2.7"), Fact("With", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0")),
    ),
    Happening(at=_at(1, 8, 1), text="The mail that asks to confirm The Systems Letter went out"),
    Happening(
        at=_at(1, 8),
        text="Asked for The Systems Letter, by the sign-up form",
        facts=(
            Fact("From", "192.0.2.7"),
            Fact("On the page", "https://news.example.com/newsletters/systems"),
            Fact("Wording", "We send one issue a week. You can leave at any time."),
        ),
    ),
    Happening(at=_at(1, 8), text="First seen here"),
)
_ATTRIBUTES = (
    Attribute("birthday", "date", "Birthday"),
    Attribute("city", "text", "City"),
    Attribute("member", "boolean", "Member"),
    Attribute("visits", "number", "Visits to the web site"),
)


def subscriber_samples(signed_in: SignedIn) -> dict[str, PageView]:
    return {**_list_samples(signed_in), **_person_samples(signed_in), **_attribute_samples(signed_in)}


def _list_samples(signed_in: SignedIn) -> dict[str, PageView]:
    return {
        "subscribers": SubscribersPage(
            signed_in=signed_in,
            people=_PEOPLE,
            newsletters=_NEWSLETTERS,
            segments=_SEGMENTS,
            next_query="cursor=djE6Mzk",
            is_short=True,
        ),
        "subscribers-searched": SubscribersPage(
            signed_in=signed_in,
            flashes=(FlashCode.SUBSCRIBER_ERASED,),
            people=_PEOPLE[:1],
            filters=Filters(q="le.g", newsletter_id="1", state="confirmed", tag="vip", segment_id="7"),
            newsletters=_NEWSLETTERS,
            segments=_SEGMENTS,
            first_query="q=le.g&by=email_prefix&newsletter_id=1&state=confirmed&tag=vip&segment_id=7",
            is_first_page=False,
        ),
        "subscribers-further": SubscribersPage(
            signed_in=signed_in,
            people=(),
            filters=Filters(tag="vip", suppressed="true"),
            newsletters=_NEWSLETTERS,
            next_query="tag=vip&suppressed=true&cursor=djE6Mzk",
        ),
        "subscribers-none": SubscribersPage(
            signed_in=signed_in, people=(), filters=Filters(q="nobody"), newsletters=_NEWSLETTERS
        ),
        "subscribers-empty": SubscribersPage(signed_in=signed_in, people=(), newsletters=_NEWSLETTERS),
        "subscribers-refused": SubscribersPage(
            signed_in=signed_in,
            people=None,
            filters=Filters(q="le.guin@", by="email", tag="x" * 60),
            newsletters=_NEWSLETTERS,
            errors={
                "q": "This is not an address: the part after the @ is missing.",
                "tag": "A tag may not hold control characters.",
            },
        ),
        "subscribers-silent": SubscribersPage(signed_in=signed_in, people=None, must_choose_newsletter=True),
        "subscriber-new": NewSubscriberPage(signed_in=signed_in, newsletters=_NEWSLETTERS[:2], idempotency_key=_KEY),
        "subscriber-new-errors": NewSubscriberPage(
            signed_in=signed_in,
            newsletters=_NEWSLETTERS[:2],
            email="le.guin@",
            name="Ursula",
            tags="vip\nspeaker",
            idempotency_key=_KEY,
            errors={"email": "This is not an address.", "newsletter_id": "Choose a newsletter."},
        ),
    }


def _person_samples(signed_in: SignedIn) -> dict[str, PageView]:
    fields = (
        AttributeField(position=1, name="birthday", label="Birthday", type="date", value="1929-10-21"),
        AttributeField(position=2, name="city", label="City", type="text", value="Portland"),
        AttributeField(position=3, name="member", label="Member", type="boolean", value="true"),
        AttributeField(position=4, name="visits", label="Visits to the web site", type="number", value="many"),
        AttributeField(position=5, name="note", label="Note", type="text", value="First line\nSecond line"),
    )
    return {
        "subscriber": SubscriberPage(
            signed_in=signed_in,
            subscriber_id=41,
            email=_EMAIL,
            name="Ursula Le Guin",
            created_at=_at(1, 8),
            tags=("vip", "speaker"),
            attributes=(Fact("Birthday", "21 October 1929"), Fact("City", "Portland"), Fact("Member", "yes")),
            subscriptions=(_CONFIRMED, _STOPPED, _LEFT),
            story=_STORY,
            earlier_mails="djE6OQ",
        ),
        "subscriber-pending": SubscriberPage(
            signed_in=signed_in,
            flashes=(FlashCode.CONFIRMATION_SENT_AGAIN,),
            subscriber_id=42,
            email=_EMAIL,
            name="",
            created_at=_at(3, 8),
            subscriptions=(_CONFIRMED, _ASKED),
            story=_STORY[-1:],
            idempotency_key=_KEY,
        ),
        "subscriber-not-asked-again": SubscriberPage(
            signed_in=signed_in,
            subscriber_id=42,
            email=_EMAIL,
            name="",
            created_at=_at(3, 8),
            subscriptions=(_ASKED,),
            story=_STORY[-1:],
            form_error="They were sent one a moment ago. It can be sent again in 12 minutes.",
            failed_newsletter_id=2,
            idempotency_key=_KEY,
        ),
        "subscriber-silent": SubscriberPage(
            signed_in=signed_in,
            flashes=(FlashCode.SUBSCRIBER_ADDED,),
            subscriber_id=39,
            email="office@example.com",
            name="",
            created_at=_at(1, 6),
            flags=("Address of an office, not of a person",),
            story=_STORY[-1:],
            silent=("what was mailed to them", "whether the address is suppressed, and since when"),
            hidden=("what they agreed to",),
            has_more_consents=True,
            is_latest=False,
        ),
        "subscriber-edit": EditSubscriberPage(
            signed_in=signed_in,
            subscriber_id=41,
            email=_EMAIL,
            name="Ursula Le Guin",
            tags="vip\nspeaker",
            attributes=fields,
            version='"a1"',
            errors={"attribute_4": "Type a number, with a dot before its fraction."},
        ),
        "subscriber-edit-stale": EditSubscriberPage(
            signed_in=signed_in,
            subscriber_id=41,
            email=_EMAIL,
            name="Ursula",
            tags="",
            attributes=None,
            version='"a2"',
            form_error="Something about this person was changed meanwhile, and nothing was saved.",
        ),
        "subscriber-unsubscribe": UnsubscribePersonPage(
            signed_in=signed_in,
            subscriber_id=41,
            email=_EMAIL,
            subscriptions=(_CONFIRMED, _STOPPED),
            may_leave_all=True,
            chosen="all",
            idempotency_key=_KEY,
        ),
        "subscriber-unsubscribe-errors": UnsubscribePersonPage(
            signed_in=signed_in,
            subscriber_id=41,
            email=_EMAIL,
            subscriptions=(_CONFIRMED,),
            may_leave_all=False,
            idempotency_key=_KEY,
            errors={"newsletter_id": "Choose what they leave."},
        ),
        "subscriber-unsubscribe-none": UnsubscribePersonPage(
            signed_in=signed_in, subscriber_id=41, email=_EMAIL, subscriptions=(), may_leave_all=True
        ),
        "subscriber-export": ExportPersonPage(signed_in=signed_in, subscriber_id=41, email=_EMAIL),
        "subscriber-erase": ErasePersonPage(signed_in=signed_in, subscriber_id=41, email=_EMAIL, idempotency_key=_KEY),
        "subscriber-erase-errors": ErasePersonPage(
            signed_in=signed_in,
            subscriber_id=41,
            email=_EMAIL,
            idempotency_key=_KEY,
            errors={"understood": "Tick the box to erase this person."},
        ),
    }


def _attribute_samples(signed_in: SignedIn) -> dict[str, PageView]:
    return {
        "attributes": AttributesPage(
            signed_in=signed_in,
            flashes=(FlashCode.ATTRIBUTE_ADDED,),
            attributes=_ATTRIBUTES,
            idempotency_key=_KEY,
        ),
        "attributes-empty": AttributesPage(signed_in=signed_in, attributes=(), idempotency_key=_KEY),
        "attributes-silent": AttributesPage(signed_in=signed_in, attributes=None),
        "attributes-errors": AttributesPage(
            signed_in=signed_in,
            attributes=_ATTRIBUTES,
            name="First visit",
            type="colour",
            errors={
                "name": "A name is a small letter and then up to 62 small letters, digits and underscores.",
                "type": "Choose a type.",
            },
        ),
        "attribute": AttributePage(signed_in=signed_in, attribute=_ATTRIBUTES[3], label="Visits", version='"a1"'),
        "attribute-errors": AttributePage(
            signed_in=signed_in,
            attribute=_ATTRIBUTES[3],
            label="",
            version='"a1"',
            errors={"label": "Enter a label."},
        ),
        "attribute-remove": AttributeRemovePage(signed_in=signed_in, attribute=_ATTRIBUTES[1], holders=12_480),
        "attribute-remove-refused": AttributeRemovePage(
            signed_in=signed_in,
            attribute=_ATTRIBUTES[1],
            form_error="A segment uses this attribute. Change or delete that segment first.",
        ),
        "attribute-remove-errors": AttributeRemovePage(
            signed_in=signed_in,
            attribute=_ATTRIBUTES[1],
            holders=0,
            errors={"understood": "Tick the box to remove the values."},
        ),
    }
