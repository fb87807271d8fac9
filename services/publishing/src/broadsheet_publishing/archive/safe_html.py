"""The HTML of a mail as a public page may show it; pure.

An allow-list: what is not named here is not shown. Nothing runs, nothing is sent, nothing is loaded but pictures over
https, and nothing lies over the page around it.
"""

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

import idna
import nh3

_PUBLIC_PATH: Final = re.compile(r"/?|/newsletters/[a-z0-9-]+/?(?:(?<=/)(?:issues(?:/[a-z0-9-]+)?|feed\.atom)/?)?")
"""Of the own site: pages that are the same for everybody. Others may act for the person whose token they hold."""
_WEB_ADDRESS: Final = re.compile(r"[\x00-\x20]*(https?):[/\\]*(.*)", re.IGNORECASE | re.DOTALL)

_TAGS: Final = frozenset({
    "a", "abbr", "address", "article", "aside", "b", "bdi", "bdo", "blockquote", "br", "caption", "center", "cite",
    "code", "col", "colgroup", "dd", "del", "dfn", "div", "dl", "dt", "em", "figcaption", "figure", "footer", "h1",
    "h2", "h3", "h4", "h5", "h6", "header", "hr", "i", "img", "ins", "kbd", "li", "mark", "ol", "p", "pre", "q", "s",
    "samp", "section", "small", "span", "strike", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th",
    "thead", "tr", "u", "ul", "var", "wbr",
})  # fmt: skip
_DROPPED_WHOLE: Final = frozenset({
    "applet", "audio", "base", "button", "canvas", "datalist", "dialog", "embed", "fieldset", "form", "frame",
    "frameset", "head", "iframe", "input", "link", "map", "math", "meta", "noembed", "noframes", "noscript", "object",
    "option", "script", "select", "style", "svg", "template", "textarea", "title", "video", "xmp",
})  # fmt: skip
_ATTRIBUTES: Final[dict[str, set[str]]] = {
    "*": {"dir", "id", "lang", "title"},
    "a": {"href"},
    "img": {"alt", "height", "src", "width"},
    "ol": {"reversed", "start"},
    "li": {"value"},
    "td": {"colspan", "headers", "rowspan"},
    "th": {"colspan", "headers", "rowspan", "scope"},
    "col": {"span"},
    "colgroup": {"span"},
}
_OWN_CLASSES: Final[dict[str, set[str]]] = {"a": {"button"}}
"""What Markdown's `{.button}` makes: the page has a look for it, in the newsletter's colour. No other class of the page
can be meant."""
_LOOK: Final[dict[str, set[str]]] = {
    "*": {"align", "style"},
    "table": {"bgcolor", "border", "cellpadding", "cellspacing", "width"},
    "td": {"bgcolor", "height", "valign", "width"},
    "th": {"bgcolor", "height", "valign", "width"},
    "tr": {"bgcolor", "valign"},
    "col": {"width"},
}
"""What a mail looks like, where its own look is kept."""
_STYLE: Final = frozenset({
    "background", "background-color", "border", "border-bottom", "border-collapse", "border-color", "border-left",
    "border-radius", "border-right", "border-spacing", "border-style", "border-top", "border-width", "box-sizing",
    "color", "direction", "display", "font", "font-family", "font-size", "font-style", "font-weight", "height",
    "letter-spacing", "line-height", "list-style", "list-style-type", "margin", "margin-bottom", "margin-left",
    "margin-right", "margin-top", "max-width", "min-width", "overflow-wrap", "padding", "padding-bottom",
    "padding-left", "padding-right", "padding-top", "table-layout", "text-align", "text-decoration",
    "text-transform", "vertical-align", "white-space", "width", "word-break", "word-spacing", "word-wrap",
})  # fmt: skip
"""Nothing that places an element elsewhere, or over others."""
_NOT_IN_STYLE: Final = ("url", "image", "expression", "\\", "@", "/*", "var(")
"""A style with one of these is dropped whole: it may load something, or hide what it is."""
_SCHEMES: Final = frozenset({"http", "https", "mailto", "tel"})
_ID_PREFIX: Final = "mail-"
"""Ids of the mail never meet those of the page around it."""


def safe_html(html: str, *, keeps_look: bool, public_url: str, neutral_url: str) -> str:
    """`html` must have passed `nesting.why_not_parsed`. `keeps_look`: with the mail's own inline styles, those that are
    safe. A link of the site at `public_url` that acts for somebody leads to `neutral_url`.
    """
    attributes = {tag: set(names) for tag, names in _ATTRIBUTES.items()}
    if keeps_look:
        for tag, names in _LOOK.items():
            attributes.setdefault(tag, set()).update(names)
    found = nh3.clean(
        html,
        tags=set(_TAGS),
        clean_content_tags=set(_DROPPED_WHOLE),
        attributes=attributes,
        allowed_classes=None if keeps_look else {tag: set(names) for tag, names in _OWN_CLASSES.items()},
        attribute_filter=_attribute_filter(public_url, neutral_url),
        tag_attribute_values={"table": {"role": {"none", "presentation"}}},
        set_tag_attribute_values={"img": {"loading": "lazy", "decoding": "async", "referrerpolicy": "no-referrer"}},
        filter_style_properties=set(_STYLE) if keeps_look else None,
        url_schemes=set(_SCHEMES),
        url_relative=_own_section,
        link_rel="noopener noreferrer",
        id_prefix=_ID_PREFIX,
    )
    return without_acting_addresses(found, public_url=public_url, neutral_url=neutral_url)


def _own_section(url: str) -> str | None:
    """Only places of the mail itself: a mail has no other relative address."""
    return f"#{_ID_PREFIX}{url[1:]}" if url.startswith("#") and len(url) > 1 else None


def _attribute_filter(public_url: str, neutral_url: str) -> Callable[[str, str, str], str | None]:
    own_host = _host_of(public_url) or ""

    def judge(tag: str, name: str, value: str) -> str | None:
        if name == "style":
            lowered = value.lower()
            return None if any(part in lowered for part in _NOT_IN_STYLE) else value
        if name == "src":
            # Pictures of other schemes are not loaded anyway: the page's policy says so.
            return value if value.lower().startswith("https://") else None
        if tag == "a" and name == "href" and acts_for_somebody(value, own_host):
            return neutral_url
        return value

    return judge


def acts_for_somebody(url: str, own_host: str) -> bool:
    """Whether it leads to a page of the own site that is not the same for everybody."""
    parts = _split(url)
    if parts is None:
        return False
    host = _host(parts)
    if host is None:
        return True  # browsers may read it otherwise
    return host == own_host and _PUBLIC_PATH.fullmatch(parts.path) is None


def without_acting_addresses(text: str, *, public_url: str, neutral_url: str) -> str:
    """Text or HTML, with addresses that act for somebody replaced also where they are only written."""
    own_host = _host_of(public_url) or ""
    address = re.compile(rf"(?<![\w.-])(https?:/*)?{re.escape(own_host)}\.?(?::[0-9]+)?/[^\s<>\"']*", re.IGNORECASE)

    def judge(found: re.Match[str]) -> str:
        url = found[0] if found[1] else f"https://{found[0]}"
        return neutral_url if acts_for_somebody(url, own_host) else found[0]

    return address.sub(judge, text)


def _host_of(url: str) -> str | None:
    parts = _split(url)
    return None if parts is None else _host(parts)


def _split(url: str) -> SplitResult | None:
    """As browsers do: any number of slashes of either kind. None: it is no address of the web."""
    found = _WEB_ADDRESS.match(url)
    if found is None:
        return None
    rest = found[2].replace("\\", "/")
    try:
        return urlsplit(f"{found[1]}://{rest}")
    except ValueError:
        return SplitResult("https", "", "", "", "")


def _host(parts: SplitResult) -> str | None:
    """As browsers write it. None: there is none, or none that can be read."""
    try:
        host = unquote(parts.hostname or "").rstrip(".")
        return (host if host.isascii() else idna.encode(host, uts46=True).decode()).lower() or None
    except ValueError:  # `idna.IDNAError` too
        return None
