"""The newsletters of the samples: in English, in German with a pale colour, in a language without a catalogue."""

from msgspec import structs

from broadsheet_common.languages.reader_texts import ReaderTexts
from broadsheet_gateway.pages.for_readers.newsletter_look import NewsletterLook

SYSTEMS = NewsletterLook(
    newsletter_name="The Systems Letter",
    slug="systems",
    page_path="/newsletters/systems",
    archive_path="/newsletters/systems/issues",
    description="How the software that sends your mail works, once a month.",
)
OWN_WORDS = structs.replace(
    SYSTEMS,
    texts=ReaderTexts(
        check_inbox_heading="Nearly there",
        check_inbox_text="A mail is on its way, if the address can get it.\n\nIt comes from letter@systems.example.",
        confirm_heading="Shall we write to you?",
        confirm_text="Once a month, on a Friday.\nNo adverts.\n\nYour address stays here.",
        confirm_button="Yes, write to me",
        confirmed_heading="Good to have you here",
        confirmed_text="The next letter comes on Friday. Reply to it: a person reads what you write.",
        unsubscribe_heading="Leaving?",
        unsubscribe_text="We are sorry to see you go, and stop at once.",
        unsubscribed_heading="Farewell",
        unsubscribed_text="We have stopped. Thank you for reading.",
        archive_heading="Letters",
        promise_1_heading="Written by those who were there",
        promise_1_text="Every story comes from somebody who was on call.",
    ),
)
PLAIN = NewsletterLook(newsletter_name="The Systems Letter", page_path="/")
GERMAN = NewsletterLook(
    newsletter_name="Werkstattbrief",
    slug="werkstatt",
    page_path="/newsletters/werkstatt",
    archive_path="/newsletters/werkstatt/issues",
    description="Alte Maschinen, neu verstanden. Jeden zweiten Freitag.",
    language="de",
    accent_colour="#ffd400",
)
FRENCH = NewsletterLook(
    newsletter_name="La Lettre des marées",
    slug="marees",
    page_path="/newsletters/marees",
    archive_path="/newsletters/marees/issues",
    description="Ce que la mer laisse derrière elle, chaque semaine.",
    language="fr",
    accent_colour="#1f4d8a",
)
SPANISH = NewsletterLook(
    newsletter_name="Cuaderno de campo",
    slug="cuaderno",
    page_path="/newsletters/cuaderno",
    description="Notas sobre aves y caminos.",
    language="es",
    accent_colour="#0f6b3a",
)
ARABIC = NewsletterLook(
    newsletter_name="رسالة الأنظمة",
    slug="anzima",
    page_path="/newsletters/anzima",
    archive_path="/newsletters/anzima/issues",
    description="رسالة شهرية عن البرامج التي ترسل بريدك.",
    language="ar",
    direction="rtl",
    accent_colour="#1f6f4a",
    texts=ReaderTexts(confirmed_heading="أهلاً بك", confirmed_text="تصلك الرسالة القادمة يوم الجمعة."),
)
