"""The newsletters of the samples: in English, in German with a pale colour, in a language without a catalogue."""

from broadsheet_gateway.pages.for_readers.newsletter_look import NewsletterLook

SYSTEMS = NewsletterLook(
    newsletter_name="The Systems Letter",
    slug="systems",
    page_path="/newsletters/systems",
    archive_path="/newsletters/systems/issues",
    description="How the software that sends your mail works, once a month.",
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
)
