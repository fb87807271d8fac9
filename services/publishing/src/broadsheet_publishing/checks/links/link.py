"""One link of a mail: whether it leads anywhere, and whether it may be tracked; pure. Liquid is shielded in it."""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
from yarl import URL

from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_common.outgoing.target import is_public
from broadsheet_publishing.checks.reading.liquid_markup import Shielded

ADDRESS_FIELDS: Final = frozenset({"unsubscribe_url", "preferences_url", "web_url"})
"""Merge fields that yield a whole address."""
_OWN_FIELDS: Final = frozenset({"unsubscribe_url", "preferences_url"})
_IGNORED: Final = re.compile(r"[\t\n\r]")
_SCHEME: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):")
_NUMBER: Final = re.compile(r"\+?[0-9().\-\s*#]{2,40}(?:;.*)?", re.DOTALL)
_PRIVATE_NAMES: Final = (".localhost", ".local", ".internal", ".intranet", ".lan", ".home.arpa", ".invalid", ".test")
_NUMERIC_LABEL: Final = re.compile(r"0x[0-9a-f]*|[0-9]+")
_SIGNATURES: Final = frozenset({
    "sig", "signature", "hmac", "token", "x-amz-signature", "x-goog-signature", "x-oss-signature", "key-pair-id",
    "awsaccesskeyid", "googleaccessid", "policy", "hdnea", "expires_signature",
})  # fmt: skip
"""Names of query parameters whose value holds only for the very address that was signed."""
_OWN_PATHS: Final = ("/unsubscribe/", "/preferences/")


class LinkFault(msgspec.Struct, frozen=True):
    """`code` as in `finding.CODES`."""

    code: str
    detail: str
    advice: str


def plain(href: str) -> str:
    """As browsers read it: without what they drop at its ends and within."""
    return _IGNORED.sub("", href.strip("".join(map(chr, range(33)))))


def judge(written: str, liquid: Shielded, *, targets: frozenset[str], public_url: str = "") -> LinkFault | None:
    """What is wrong with an `href`. `targets`: ids and anchors of the mail. Links below `public_url` are our own."""
    href = plain(written)
    if not href:
        return LinkFault(
            "link-empty", "A link leads nowhere: its address is empty.", "Give it an address, or remove it."
        )
    if href.startswith("#"):
        return _judge_fragment(href, liquid, targets)
    begins_with = (
        next(liquid.in_text(href[: len(liquid.prefix) + 12]), None) if href.startswith(liquid.prefix) else None
    )
    if begins_with is not None:
        if begins_with.path in ADDRESS_FIELDS:
            return None
        return LinkFault(
            "link-field-may-be-no-address",
            f"A link begins with {{{{ {begins_with.path} }}}}: whether that is an address depends on the reader.",
            "Write the beginning yourself, such as https://, or make sure that every value is a whole address.",
        )
    scheme = _SCHEME.match(href)
    if scheme is None:
        return LinkFault(
            "link-relative",
            f"'{_short(href, liquid)}' is no whole address: in a mail there is no page that it could be relative to.",
            f"Write https://{_short(href.lstrip('/'), liquid)}, if that is meant.",
        )
    match scheme[1].lower():
        case "http" | "https":
            return _judge_web(href, liquid, public_url)
        case "mailto":
            return _judge_mailto(href, liquid)
        case "tel":
            number = liquid.without_marks(unquote(href[len("tel:") :]))
            if number and not _NUMBER.fullmatch(number):
                return _malformed(href, liquid, "Write the number with digits, as tel:+441632960000.")
            return None
        case other:
            return LinkFault(
                "link-scheme-not-allowed",
                f"A link begins with {other}:, which mail programs block.",
                "Links begin with https://, http://, mailto: or tel:.",
            )


def _judge_fragment(href: str, liquid: Shielded, targets: frozenset[str]) -> LinkFault | None:
    name = unquote(href[1:])
    if not name or name.startswith("!"):
        return LinkFault("link-placeholder", "A link has only a placeholder (#).", "Give it its address.")
    if name in targets or name == "top" or next(liquid.in_text(name), None) is not None:
        return None
    return LinkFault(
        "link-target-missing",
        f"'{_short(href, liquid)}' leads to a place that the mail does not have.",
        f'Give the place id="{_short(name, liquid)}", or another address to the link.',
    )


def _judge_web(href: str, liquid: Shielded, public_url: str) -> LinkFault | None:
    has_fields = next(liquid.in_text(href), None) is not None
    if re.search(r"[\s<>]", href):
        return _malformed(href, liquid, "Write blanks as %20, and < and > as %3C and %3E.")
    try:
        url = URL(href)
        host = url.host or ""
        _ = url.port
    except ValueError:
        return None if has_fields else _malformed(href, liquid, "Copy the address again.")
    if not host:
        return _malformed(href, liquid, "Behind https:// comes the name of a site.")
    if public_url and href.startswith(public_url):
        return None
    if next(liquid.in_text(host), None) is None and _is_private(host.lower().rstrip(".")):
        return LinkFault(
            "link-to-private-host",
            f"'{_short(href, liquid)}' leads to a machine that readers cannot reach.",
            "Use the public address of the page.",
        )
    if url.scheme == "http":
        return LinkFault(
            "link-over-http",
            f"'{_short(href, liquid)}' is not encrypted.",
            "Use https://, if the site has it; most do.",
        )
    return None


def _judge_mailto(href: str, liquid: Shielded) -> LinkFault | None:
    addresses, has_query, _ = href[len("mailto:") :].partition("?")
    if not addresses:
        return None if has_query else _malformed(href, liquid, "Behind mailto: comes an address.")
    for address in addresses.split(","):
        if next(liquid.in_text(address), None) is not None:
            continue
        try:
            EmailAddress.parse(unquote(address))
        except ValueError:
            return _malformed(href, liquid, "Behind mailto: comes an address, such as mailto:office@example.com.")
    return None


def _malformed(href: str, liquid: Shielded, advice: str) -> LinkFault:
    return LinkFault("link-malformed", f"'{_short(href, liquid)}' is not an address that works.", advice)


def _short(href: str, liquid: Shielded) -> str:
    readable = liquid.readable(href)
    return readable if len(readable) <= 120 else f"{readable[:119]}…"  # noqa: PLR2004  # fits a line of the report


def _is_private(host: str) -> bool:
    try:
        return not is_public(ip_address(host.strip("[]")))
    except ValueError:
        pass
    if _NUMERIC_LABEL.fullmatch(host.rpartition(".")[2]):
        return True
    return "." not in host or host.endswith(_PRIVATE_NAMES)


def must_not_be_tracked(written: str, liquid: Shielded, *, public_url: str = "") -> str | None:
    """Why this link must stay as it is: no tracking, no added parameters. None: it may be changed.

    Sections of the mail itself, `mailto:` and `tel:` lead nowhere that could count; a link of the reader's own would
    be followed by whoever records it; a signed address is void once it is changed.
    """
    href = plain(written)
    if any(output.path in _OWN_FIELDS for output in liquid.in_text(href)):
        return "own"
    if not href.lower().startswith(("http://", "https://")):
        return None if href.startswith(liquid.prefix) else "no-page"
    if public_url and href.startswith(public_url) and href[len(public_url) :].startswith(_OWN_PATHS):
        return "own"
    try:
        query = parse_qsl(urlsplit(href).query, keep_blank_values=True, max_num_fields=100)
    except ValueError:
        # Whoever cannot read it should not change it.
        return "signed"
    return "signed" if any(name.lower() in _SIGNATURES for name, _ in query) else None


def askable(hrefs: Iterable[str], liquid: Shielded, *, public_url: str) -> list[str]:
    """The addresses that may be asked, each once: http(s), without merge fields, signatures and what is our own."""
    found: dict[str, None] = {}
    for written in hrefs:
        href = plain(written)
        is_web = href.lower().startswith(("http://", "https://"))
        is_own = bool(public_url) and href.startswith(public_url)
        has_field = next(liquid.in_text(href), None) is not None
        if is_web and not is_own and not has_field and must_not_be_tracked(href, liquid) is None:
            found[href] = None
    return list(found)
