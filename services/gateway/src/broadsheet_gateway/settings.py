"""The gateway's settings, and the rules between them.

Rate limits are written `<count>/<seconds>`. Their defaults depend on `BROADSHEET_ENV`: in `local`, where one
machine acts as every visitor, they are so wide that a demo or a test does not reach them.
"""

import ipaddress
import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from broadsheet_common.contracts.sealed_secret import SecretBox
from broadsheet_common.process.settings import (
    HttpUrl,
    PositiveInt,
    PositiveSeconds,
    RedisUrl,
    Secret,
    ServiceSettings,
    SettingsError,
)
from broadsheet_gateway.audit.stream_target import StreamTarget, parse_stream_target
from broadsheet_gateway.http.client_address import is_within, rate_limit_subject
from broadsheet_gateway.limits.rate_limit import RateLimit
from broadsheet_gateway.oidc.configuration import (
    CALLBACK_PATH,
    OidcConfiguration,
    check_issuer,
    check_name,
    parse_group_roles,
)
from broadsheet_gateway.well_known.security_txt import parse_contacts

EXPECTED_SCHEMA_VERSION = "0006"

DEFAULT_USERNAME = "admin"
DEFAULT_PASSWORD = "everythinghastostartsomewhere"  # noqa: S105  # well known, and refused everywhere but locally
"""The local author's login. Outside `BROADSHEET_ENV=local` nothing creates it and no login accepts it."""

FORM_BODY_MAX_BYTES = 64 * 1024
NEWSLETTER_FORM_BODY_MAX_BYTES = 12 * 1024 * 1024
API_BODY_MAX_BYTES = 10 * 1024 * 1024

SIGNUP_FILL_MIN_S = 1.0

_LIMIT_NAME = re.compile(r"(LOGIN|SIGNUP|API|UNKNOWN_KEY)_([A-Z_]+)")
_LOCALHOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


class RateLimits(msgspec.Struct, frozen=True):
    """All rate limits of the gateway, parsed."""

    login_per_user: RateLimit
    """For one user name from one source."""
    login_per_user_overall: RateLimit
    """For one user name from all sources: so wide that nobody is easily locked out by others."""
    login_per_ip: RateLimit
    signup_per_ip: RateLimit
    signup_overall: RateLimit
    signup_untimed_per_ip: RateLimit
    signup_untimed_overall: RateLimit
    signup_per_address: RateLimit
    api_per_caller: RateLimit
    """For all requests of one key or user; the next three for one kind of them each."""
    api_reads_per_caller: RateLimit
    api_writes_per_caller: RateLimit
    api_expensive_per_caller: RateLimit
    """Files, searches, counts, previews, reports (`forwarding/limit_class.py`)."""
    api_strangers_per_ip: RateLimit
    """Requests to the API that name no caller, or a wrong one, from one source."""
    unknown_key_per_ip: RateLimit
    """Look-ups of API keys that this process does not know yet, from one source."""
    unknown_key_overall: RateLimit


PRODUCTION_LIMITS = RateLimits(
    login_per_user=RateLimit(10, 300),
    login_per_user_overall=RateLimit(300, 300),
    login_per_ip=RateLimit(60, 300),
    signup_per_ip=RateLimit(30, 3600),
    signup_overall=RateLimit(6000, 600),
    signup_untimed_per_ip=RateLimit(10, 3600),
    signup_untimed_overall=RateLimit(1200, 600),
    signup_per_address=RateLimit(20, 3600),
    api_per_caller=RateLimit(6000, 60),
    api_reads_per_caller=RateLimit(6000, 60),
    api_writes_per_caller=RateLimit(3000, 60),
    api_expensive_per_caller=RateLimit(300, 60),
    api_strangers_per_ip=RateLimit(600, 60),
    unknown_key_per_ip=RateLimit(300, 60),
    unknown_key_overall=RateLimit(3000, 60),
)
LOCAL_LIMITS = RateLimits(
    login_per_user=RateLimit(1000, 60),
    login_per_user_overall=RateLimit(10_000, 60),
    login_per_ip=RateLimit(1000, 60),
    signup_per_ip=RateLimit(1_000_000, 60),
    signup_overall=RateLimit(1_000_000, 60),
    signup_untimed_per_ip=RateLimit(1_000_000, 60),
    signup_untimed_overall=RateLimit(1_000_000, 60),
    signup_per_address=RateLimit(1_000_000, 60),
    api_per_caller=RateLimit(1_000_000, 60),
    api_reads_per_caller=RateLimit(1_000_000, 60),
    api_writes_per_caller=RateLimit(1_000_000, 60),
    api_expensive_per_caller=RateLimit(1_000_000, 60),
    api_strangers_per_ip=RateLimit(1_000_000, 60),
    unknown_key_per_ip=RateLimit(1_000_000, 60),
    unknown_key_overall=RateLimit(1_000_000, 60),
)


class GatewaySettings(ServiceSettings, frozen=True, kw_only=True):
    """Read from the environment: `public_url` from `PUBLIC_URL`, and so on."""

    connections_per_address_max: Annotated[int, msgspec.Meta(ge=0)] = 250
    """Of them, those of one IPv4 address, or of one /64 of IPv6 addresses; when it is reached, they make room for each
    other. Trusted proxies are not counted: they bound the connections of their clients themselves. 0: no limit.
    """
    public_url: HttpUrl
    """The public base URL. Links, cookies and the Origin check use it, never a request's Host header."""
    redis_url: RedisUrl
    redis_timeout_s: PositiveSeconds = 0.5
    redis_connections_max: PositiveInt = 50

    subscriptions_url: HttpUrl
    publishing_url: HttpUrl
    delivery_url: HttpUrl
    upstream_timeout_s: PositiveSeconds = 15.0
    """Longest wait for the start of a service's answer, and then for each piece of it."""
    upstream_connections_max: PositiveInt = 100
    """Calls of one service at once; others wait for their turn, five seconds at most."""
    upstream_waiting_max: PositiveInt = 300
    """Calls that may wait for one service: more are answered 503 at once."""
    upstream_breaker_failures: PositiveInt = 5
    """So many calls in a row that a service did not answer, and it is not called for a while: 503 at once."""
    event_streams_max: PositiveInt = 100
    """Event streams (`/api/v1/events` and those of issues) that are forwarded at once, each over a connection of its
    own.
    """
    body_timeout_s: PositiveSeconds = 30.0
    """How long a client may take to send a request's body."""
    import_body_max_bytes: PositiveInt = 1024 * 1024 * 1024
    """Largest file that is forwarded to an import; the service has limits of its own."""
    import_body_timeout_s: PositiveSeconds = 3600.0
    """How long a client may take to send such a file; BODY_TIMEOUT_S is then the longest pause in it."""

    identity_private_key: Secret
    second_factor_keys: Secret
    """`id:hex,…` of 32 bytes each, the current key first: encrypts the secrets of users' authenticators (TOTP)."""
    postmark_webhook_user: str | None = None
    postmark_webhook_password: Secret | None = None
    metrics_token: Secret | None = None
    """Bearer token for `/metrics`. Without one nobody may read it, because it is on the public port."""

    trusted_proxies: str = ""
    """Networks of trusted proxies in CIDR form, separated by commas. None by default."""
    trusted_proxy_header: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for"
    """The header in which those proxies report the client. Name the one that they write themselves: the other
    may come from the client.
    """

    security_contact: str = ""
    """Where weaknesses are reported, for `/.well-known/security.txt`: `mailto:`, `tel:` or `https:` addresses,
    separated by commas, most wanted first. Without one there is no such file.
    """
    security_policy_url: HttpUrl | None = None
    """The page that says how reports are handled, for the same file."""
    hsts_include_subdomains: bool = False
    """Whether browsers are to use HTTPS for all hosts below the public one too, for a year."""

    audit_stream: str | None = None
    """Where every entry of the audit log is passed on to, too: `file:/path`, `syslog://host:port` (UDP),
    `syslog+tcp://host:port`, or `syslog:///path` of a local socket.
    """

    oidc_issuer: str | None = None
    """The OpenID Connect provider that people may sign in by: its issuer address, exactly as it writes it itself."""
    oidc_client_id: str | None = None
    """What the provider calls this installation; register `PUBLIC_URL/login/provider/callback` there."""
    oidc_client_secret: Secret | None = None
    """The secret that belongs to it."""
    oidc_name: str = "single sign-on"
    """What people call the provider, for the button: “Log in with …”."""
    oidc_scopes: str = "openid profile email"
    """What is asked of the provider, with spaces between; many want `groups` to tell the groups."""
    oidc_groups_claim: str = "groups"
    """The claim of the ID token that lists the user's groups."""
    oidc_group_roles: str = ""
    """`GROUP=role; GROUP=role:newsletter_id; …`: the roles that groups at the provider give here."""
    oidc_create_users: bool = False
    """Whether somebody unknown who is in such a group becomes a user when they first sign in."""
    oidc_trusts_second_factor: bool = False
    """Whether the provider's word counts for a second factor: its `amr` must hold `mfa` (RFC 8176)."""
    oidc_timeout_s: PositiveSeconds = 10.0
    """Longest wait for one answer of the provider."""

    session_lifetime_s: PositiveInt = 86_400
    session_idle_s: PositiveInt = 28_800
    recent_authentication_s: PositiveInt = 900
    """How long a password or passkey counts as a fresh proof, which keys, users, exports and second factors need."""
    password_reset_lifetime_s: PositiveInt = 3600
    """How long a mailed link to set a new password works."""
    password_reset_cool_down_s: PositiveInt = 300
    """For so long after a link no other is mailed to the same user."""
    invitation_lifetime_s: PositiveInt = 604_800
    """How long the link of an invitation works."""
    invitation_cool_down_s: PositiveInt = 60
    """For so long after an invitation no other is mailed to the same address."""
    email_change_lifetime_s: PositiveInt = 86_400
    """How long the links work that confirm a user's new address."""
    email_change_cool_down_s: PositiveInt = 300
    """For so long after asking for another address a user asks for none again."""
    argon2_concurrency: PositiveInt = 2
    argon2_queue_max: PositiveInt = 32
    """Password checks that may be queued; more logins are answered 503."""
    api_key_cache_s: PositiveSeconds = 5.0
    """How long a verified key is cached, which is the longest delay until a revocation takes effect."""

    newsletter_cache_s: PositiveSeconds = 10.0
    """How long public pages cache newsletters, which is the longest delay until a change shows."""
    archive_cache_s: PositiveSeconds = 30.0
    """How long pages of sent issues are kept, here and then in browsers; the site map at least five minutes."""
    sandbox_inbox_url: HttpUrl | None = None
    """Where the mails of a local installation can be read: the page after a sign-up leads there. Only with
    BROADSHEET_ENV=local.
    """
    signup_fill_min_s: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """A sign-up form that comes back sooner is treated as a bot's. 1 by default; 0 if BROADSHEET_ENV=local."""

    login_limit_per_user: str | None = None
    login_limit_per_user_overall: str | None = None
    login_limit_per_ip: str | None = None
    signup_limit_per_ip: str | None = None
    signup_limit_overall: str | None = None
    signup_limit_untimed_per_ip: str | None = None
    signup_limit_untimed_overall: str | None = None
    signup_limit_per_address: str | None = None
    api_limit_per_caller: str | None = None
    api_limit_reads_per_caller: str | None = None
    api_limit_writes_per_caller: str | None = None
    api_limit_expensive_per_caller: str | None = None
    """Exports, imports, searches, counts, previews and reports."""
    api_limit_strangers_per_ip: str | None = None
    """Requests without valid credentials, from one source."""
    unknown_key_limit_per_ip: str | None = None
    unknown_key_limit_overall: str | None = None

    def __post_init__(self) -> None:
        """Raises `SettingsError`, naming every setting at fault."""
        problems: list[str] = []
        if self.broadsheet_env == "production" and not self.is_https and self._public_host not in _LOCALHOSTS:
            problems.append("PUBLIC_URL must be https in production, as session cookies and links depend on it")
        if self.sandbox_inbox_url is not None and not self.is_local:
            problems.append("SANDBOX_INBOX_URL is for BROADSHEET_ENV=local only: readers' mails must not be public")
        if urlsplit(self.public_url).path:
            problems.append("PUBLIC_URL must have no path: the gateway serves a whole host")
        for name in (
            "trusted_proxies",
            "security_contacts",
            "audit_stream",
            "rate_limits",
            "second_factor_keys",
            "oidc",
        ):
            try:
                getattr(self, f"parse_{name}")()
            except ValueError as error:
                problems.append(str(error))
        if problems:
            raise SettingsError(problems)

    @property
    def is_https(self) -> bool:
        return self.public_url.startswith("https:")

    @property
    def is_local(self) -> bool:
        return self.broadsheet_env == "local"

    @property
    def signup_fill_min(self) -> float:
        """In seconds."""
        if self.signup_fill_min_s is not None:
            return self.signup_fill_min_s
        return 0.0 if self.is_local else SIGNUP_FILL_MIN_S

    @property
    def public_origin(self) -> str:
        """Scheme, host and port as a browser writes them in `Origin`: lower case, no default port."""
        parts = urlsplit(self.public_url)
        default_port = 443 if parts.scheme == "https" else 80
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        port = "" if parts.port in {None, default_port} else f":{parts.port}"
        return f"{parts.scheme}://{host}{port}"

    @property
    def _public_host(self) -> str:
        return urlsplit(self.public_url).hostname or ""

    def parse_trusted_proxies(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """Raises ValueError naming the setting when an entry is no network."""
        try:
            return tuple(
                ipaddress.ip_network(entry.strip()) for entry in self.trusted_proxies.split(",") if entry.strip()
            )
        except ValueError as error:
            raise ValueError(f"TRUSTED_PROXIES is malformed: {error}") from error

    def count_connection_as(self, address: str) -> str | None:
        """As rate limits count; None for a trusted proxy."""
        return None if is_within(address, self.parse_trusted_proxies()) else rate_limit_subject(address)

    def parse_security_contacts(self) -> tuple[str, ...]:
        """Raises ValueError naming the setting when an entry is no address."""
        try:
            return parse_contacts(self.security_contact)
        except ValueError as error:
            raise ValueError(f"SECURITY_CONTACT is malformed: {error}") from error

    def parse_audit_stream(self) -> StreamTarget | None:
        """Raises ValueError naming the setting when it is no place that entries can be passed on to."""
        try:
            return None if self.audit_stream is None else parse_stream_target(self.audit_stream)
        except ValueError as error:
            raise ValueError(f"AUDIT_STREAM is malformed: {error}") from error

    def parse_second_factor_keys(self) -> SecretBox:
        """Raises ValueError naming the setting when a key is malformed, without what it held."""
        try:
            return SecretBox.parse(self.second_factor_keys.reveal())
        except ValueError as error:
            raise ValueError(f"SECOND_FACTOR_KEYS is malformed: {error}") from error

    @property
    def provider_name(self) -> str:
        """What people call the provider that they may sign in by; empty: none is set."""
        return self.oidc_name if self.oidc_issuer is not None else ""

    def parse_oidc(self) -> OidcConfiguration | None:
        """None: no provider is set. Raises ValueError naming the setting that is missing or malformed."""
        if self.oidc_issuer is None:
            if self.oidc_client_id is not None or self.oidc_client_secret is not None:
                raise ValueError("OIDC_ISSUER is not set")
            return None
        if self.oidc_client_id is None or self.oidc_client_secret is None:
            missing = "OIDC_CLIENT_ID" if self.oidc_client_id is None else "OIDC_CLIENT_SECRET"
            raise ValueError(f"{missing} is not set")
        for name, check in (
            ("OIDC_ISSUER", lambda: check_issuer(self.oidc_issuer or "", needs_https=not self.is_local)),
            ("OIDC_NAME", lambda: check_name(self.oidc_name)),
            ("OIDC_GROUP_ROLES", lambda: parse_group_roles(self.oidc_group_roles)),
        ):
            try:
                check()
            except ValueError as error:
                raise ValueError(f"{name} is malformed: {error}") from error
        if "openid" not in self.oidc_scopes.split():
            raise ValueError("OIDC_SCOPES must hold openid")
        roles = parse_group_roles(self.oidc_group_roles)
        if self.oidc_create_users and not roles:
            raise ValueError("OIDC_CREATE_USERS needs OIDC_GROUP_ROLES: new users have the roles of their groups")
        return OidcConfiguration(
            issuer=self.oidc_issuer,
            client_id=self.oidc_client_id,
            client_secret=self.oidc_client_secret.reveal(),
            name=self.oidc_name,
            scope=" ".join(self.oidc_scopes.split()),
            groups_claim=self.oidc_groups_claim,
            roles=roles,
            creates_users=self.oidc_create_users,
            trusts_second_factor=self.oidc_trusts_second_factor,
            redirect_uri=f"{self.public_url}{CALLBACK_PATH}",
            max_age_s=self.recent_authentication_s,
        )

    def parse_rate_limits(self) -> RateLimits:
        """The environment's defaults with what was set over them; raises ValueError naming a malformed one."""
        limits = LOCAL_LIMITS if self.is_local else PRODUCTION_LIMITS
        given = {
            "login_per_user": self.login_limit_per_user,
            "login_per_user_overall": self.login_limit_per_user_overall,
            "login_per_ip": self.login_limit_per_ip,
            "signup_per_ip": self.signup_limit_per_ip,
            "signup_overall": self.signup_limit_overall,
            "signup_untimed_per_ip": self.signup_limit_untimed_per_ip,
            "signup_untimed_overall": self.signup_limit_untimed_overall,
            "signup_per_address": self.signup_limit_per_address,
            "api_per_caller": self.api_limit_per_caller,
            "api_reads_per_caller": self.api_limit_reads_per_caller,
            "api_writes_per_caller": self.api_limit_writes_per_caller,
            "api_expensive_per_caller": self.api_limit_expensive_per_caller,
            "api_strangers_per_ip": self.api_limit_strangers_per_ip,
            "unknown_key_per_ip": self.unknown_key_limit_per_ip,
            "unknown_key_overall": self.unknown_key_limit_overall,
        }
        changes: dict[str, RateLimit] = {}
        for name, text in given.items():
            if text is None:
                continue
            try:
                changes[name] = RateLimit.parse(text)
            except ValueError as error:
                what, whom = _LIMIT_NAME.fullmatch(name.upper()).groups()  # type: ignore[union-attr]
                raise ValueError(f"{what}_LIMIT_{whom} is malformed: {error}") from error
        return msgspec.structs.replace(limits, **changes)
