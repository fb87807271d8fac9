"""One Struct a page: everything that its template may show, and nothing else.

`errors` map a form field's name to the message shown at it. `form_error` is a fault of the whole form (a service that
does not answer): the form is shown again with everything that was typed. Passwords are never put back into a form.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final, Literal

import msgspec

from broadsheet_common.contracts.suppression import SuppressionKind
from broadsheet_common.languages.language import Language
from broadsheet_common.languages.reader_texts import OUR_WORDS, ReaderTexts
from broadsheet_gateway.http.content_policy import CONTENT_SECURITY_POLICY
from broadsheet_gateway.pages.flashes import FlashCode
from broadsheet_gateway.pages.for_readers.accent_sheet import accent_sheet_name
from broadsheet_gateway.pages.for_readers.archived_link import ArchivedLink
from broadsheet_gateway.pages.for_readers.newsletter_look import NewsletterLook
from broadsheet_gateway.pages.times import PageZones

FieldErrors = Mapping[str, str]
NO_ERRORS: Final[FieldErrors] = MappingProxyType({})


class SignedIn(msgspec.Struct, frozen=True):
    """Whose session the page belongs to, and the token that its forms send back as `csrf_token`."""

    username: str
    csrf_token: str
    permissions: frozenset[str] = frozenset()
    """Those that are held for any newsletter: links to pages that would be refused are not shown."""
    everywhere: frozenset[str] = frozenset()
    """Those that are held for every newsletter, which pages on the whole installation need."""
    provider_name: str = ""
    """What people call the provider that they may sign in by; empty: none is set."""
    zones: PageZones = PageZones()
    """The time zones in which the page shows times."""


class PageView(msgspec.Struct, frozen=True, kw_only=True):
    """What the layout shows on every page. `flashes` are shown in this order."""

    template: ClassVar[str]

    flashes: tuple[FlashCode, ...] = ()
    signed_in: SignedIn | None = None

    @property
    def banners(self) -> tuple[FlashCode, ...]:
        """The flashes that stand above the page; a page may have others at its fields."""
        return self.flashes

    @property
    def content_policy(self) -> str:
        """Its `Content-Security-Policy`; empty: that of ordinary pages."""
        return ""

    @property
    def words(self) -> Language:
        """The language of its fixed words."""
        return "en"

    @property
    def language_tag(self) -> str:
        """That of the page as a whole: of a newsletter's page, the newsletter's."""
        return self.words

    @property
    def direction(self) -> Literal["ltr", "rtl"]:
        return "ltr"

    @property
    def stands_in(self) -> bool:
        """Whether its fixed words are in another language than the newsletter, for want of a catalogue."""
        return False

    @property
    def accent_sheet(self) -> str:
        """The style sheet of an accent colour, as a file's name; empty: the pages' own colours."""
        return ""


class AdminPageView(PageView, frozen=True, kw_only=True):
    """A page of a signed-in user."""

    signed_in: SignedIn


class ReaderPageView(PageView, frozen=True, kw_only=True):
    """A page for readers, in the look and language of a newsletter, or of none: then in the language `asked`."""

    look: NewsletterLook | None = None
    asked: Language = "en"

    @property
    def own(self) -> ReaderTexts:
        """What it says in the newsletter's own words; an empty text means ours."""
        return OUR_WORDS if self.look is None else self.look.texts

    @property
    def words(self) -> Language:
        return self.asked if self.look is None else self.look.words

    @property
    def language_tag(self) -> str:
        return self.asked if self.look is None else self.look.language

    @property
    def direction(self) -> Literal["ltr", "rtl"]:
        return "ltr" if self.look is None else self.look.direction

    @property
    def stands_in(self) -> bool:
        return self.language_tag.partition("-")[0].lower() != self.words

    @property
    def accent_sheet(self) -> str:
        return "" if self.look is None else accent_sheet_name(self.look.accent_colour)

    @property
    def content_policy(self) -> str:
        images = "" if self.look is None else self.look.image_policy
        return f"{CONTENT_SECURITY_POLICY}{images}" if images else ""


class NewsletterPageView(ReaderPageView, frozen=True, kw_only=True):
    """A page of one newsletter."""

    look: NewsletterLook


# Public pages ---------------------------------------------------------------------------------------------------


class SubscribeForm(msgspec.Struct, frozen=True):
    """What was typed into `POST /subscriptions`."""

    name: str = ""
    email: str = ""


class FormProof(msgspec.Struct, frozen=True):
    """What the form sends back: when it was shown, and which consent wording it showed."""

    ticket: str
    wording_version: int
    wording: str


class NewsletterLink(msgspec.Struct, frozen=True):
    name: str
    page_path: str


class HomePage(NewsletterPageView, frozen=True, kw_only=True):
    """`GET /` and `GET /newsletters/{slug}`, and the forms of both answered with faults.

    Fields of `errors`: name, email. `action_path`: where the form is sent. `others`: newsletters to go on to.
    `issues`: what was sent last, if it is on the web. `heading`, `text` and `button` empty: the page's own words.
    `tracking`: what its mails report back; empty if nothing.
    """

    template: ClassVar[str] = "readers/home.html"

    action_path: str
    proof: FormProof
    heading: str = ""
    text: str = ""
    button: str = ""
    tracking: str = ""
    others: tuple[NewsletterLink, ...] = ()
    issues: tuple[ArchivedLink, ...] = ()
    form: SubscribeForm = SubscribeForm()
    errors: FieldErrors = NO_ERRORS
    form_error: str = ""


class CheckInboxPage(NewsletterPageView, frozen=True, kw_only=True):
    """A sign-up was accepted. It says the same for a new and for a known address. `page_path`: back to the form.
    `inbox_url`: of the sandbox, where mails end that a local installation sends.
    """

    template: ClassVar[str] = "readers/check_inbox.html"

    page_path: str
    inbox_url: str = ""


class EmbedPage(NewsletterPageView, frozen=True, kw_only=True):
    """`GET /newsletters/{slug}/embed`: the form as HTML to copy. `origins`: sites whose scripts may read answers."""

    template: ClassVar[str] = "readers/embed.html"

    page_path: str
    snippet: str
    origins: tuple[str, ...] = ()


class ConfirmPage(NewsletterPageView, frozen=True, kw_only=True):
    """`GET /subscriptions/confirm`: a button that posts `token` back as `subscription_token`."""

    template: ClassVar[str] = "readers/confirm.html"

    token: str
    state: Literal["pending", "confirmed"]
    suppressed: SuppressionKind | None = None


class ConfirmedPage(NewsletterPageView, frozen=True, kw_only=True):
    """`suppressed`: why no issue will come despite the confirmation, unless the mail provider lifts it."""

    template: ClassVar[str] = "readers/confirmed.html"

    suppressed: SuppressionKind | None = None


class UnsubscribePage(ReaderPageView, frozen=True, kw_only=True):
    """`GET /unsubscribe/{token}`: a button that posts to the same path. No newsletter for a token we do not know."""

    template: ClassVar[str] = "readers/unsubscribe.html"

    action_path: str


class TestLinkPage(ReaderPageView, frozen=True, kw_only=True):
    """Where the links of a test mail lead: they act for nobody."""

    template: ClassVar[str] = "readers/test_link.html"


class UnsubscribedPage(ReaderPageView, frozen=True, kw_only=True):
    """The answer to leaving, and `GET /unsubscribe/{token}` of somebody who has left."""

    template: ClassVar[str] = "readers/unsubscribed.html"

    is_everything: bool = False
    choices_path: str = ""
    """What else a link can do; empty in the answer to a button, which is the same for every token."""


class ChoicesPage(ReaderPageView, frozen=True, kw_only=True):
    """`GET /unsubscribe/{token}/choices`: unsubscribe from this newsletter or all, or have a link mailed. It shows
    no personal data.
    """

    template: ClassVar[str] = "readers/choices.html"

    action_path: str
    has_left: bool = False
    """The newsletter of the link."""


class LinkMailedPage(ReaderPageView, frozen=True, kw_only=True):
    """The answer to `POST /unsubscribe/{token}/preferences-link`, whatever the token is. `inbox_url`: as in
    `CheckInboxPage`.
    """

    template: ClassVar[str] = "readers/link_mailed.html"

    inbox_url: str = ""


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """A newsletter that somebody subscribed to."""

    id: int
    name: str
    state: Literal["pending", "confirmed", "unsubscribed"]
    suppressed: SuppressionKind | None = None


class PreferencesPage(ReaderPageView, frozen=True, kw_only=True):
    """`GET /preferences/{token}`, and its forms answered with faults. Fields of `errors`: name, email."""

    template: ClassVar[str] = "readers/preferences.html"

    action_path: str
    email: str
    name: str
    typed_name: str
    typed_email: str = ""
    newsletters: tuple[Membership, ...]
    pending_email: str | None = None
    errors: FieldErrors = NO_ERRORS
    form_error: str = ""

    @property
    def gets_any(self) -> bool:
        return any(one.state != "unsubscribed" for one in self.newsletters)


class ErasePage(ReaderPageView, frozen=True, kw_only=True):
    """`GET /preferences/{token}/erase`: what it means, and the button."""

    template: ClassVar[str] = "readers/erase.html"

    action_path: str


class ErasedPage(ReaderPageView, frozen=True, kw_only=True):
    template: ClassVar[str] = "readers/erased.html"


class AddressChangePage(ReaderPageView, frozen=True, kw_only=True):
    """`GET` and `POST /change-of-address/{token}`."""

    template: ClassVar[str] = "readers/address_change.html"

    action_path: str
    new_email: str
    is_confirmed: bool


class ErrorPage(ReaderPageView, frozen=True, kw_only=True):
    """An error on a page route. `title` says what happened, `detail` what to do; `request_id` finds it in the logs."""

    template: ClassVar[str] = "error.html"

    status: int
    title: str
    detail: str = ""
    request_id: str = ""


class DocsPage(PageView, frozen=True, kw_only=True):
    """`GET /docs`: the API reference. A session's page can try the API as its user. `api_url`: where programs find
    the API.
    """

    template: ClassVar[str] = "docs.html"

    api_url: str


# Pages of the author --------------------------------------------------------------------------------------------


class LoginPage(PageView, frozen=True, kw_only=True):
    """`GET /login`. `username` is what was typed, kept for the next try. `provider_name` empty: there is no
    provider. `passkeys_possible`: the installation has a host name, which passkeys belong to.
    """

    template: ClassVar[str] = "account/login.html"

    username: str = ""
    provider_name: str = ""
    form_error: str = ""
    passkeys_possible: bool = False
