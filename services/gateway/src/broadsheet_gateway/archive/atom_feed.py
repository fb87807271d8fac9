"""An archive as an Atom feed (RFC 4287); pure."""

import re
from datetime import UTC, datetime
from typing import Final
from xml.etree import ElementTree as ET

from broadsheet_gateway.archive.archive_answers import ArchiveFeed, ArchiveIssue
from broadsheet_gateway.archive.permanent_id import permanent_id

MEDIA_TYPE: Final = "application/atom+xml"
_ATOM: Final = "http://www.w3.org/2005/Atom"
_XML_LANG: Final = "{http://www.w3.org/XML/1998/namespace}lang"
_NOT_IN_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def atom_feed(feed: ArchiveFeed, *, archive_url: str) -> bytes:
    """`archive_url`: of the list of issues, absolute."""
    newsletter = feed.newsletter
    ET.register_namespace("", _ATOM)
    root = ET.Element(_name("feed"), {_XML_LANG: newsletter.language})
    _text(root, "id", permanent_id("newsletter", newsletter.id, newsletter.created_at))
    _text(root, "title", newsletter.name)
    if newsletter.description:
        _text(root, "subtitle", newsletter.description)
    updated_at = max((item.updated_at for item in feed.items), default=newsletter.created_at)
    _text(root, "updated", _time(updated_at))
    _link(root, "self", f"{archive_url.removesuffix('/issues')}/feed.atom", MEDIA_TYPE)
    _link(root, "alternate", archive_url, "text/html")
    author = ET.SubElement(root, _name("author"))
    _text(author, "name", newsletter.name)
    _text(root, "generator", "Broadsheet")
    if newsletter.logo_url is not None:
        _text(root, "logo", newsletter.logo_url)
    for item in feed.items:
        _add_entry(root, item, f"{archive_url}/{item.slug}")
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _add_entry(root: ET.Element, item: ArchiveIssue, url: str) -> None:
    entry = ET.SubElement(root, _name("entry"))
    _text(entry, "id", permanent_id("issue", item.id, item.created_at))
    _text(entry, "title", item.title)
    _text(entry, "published", _time(item.published_at))
    _text(entry, "updated", _time(item.updated_at))
    _link(entry, "alternate", url, "text/html")
    if summary := item.summary or item.text_start or ("" if item.html else item.title):
        _text(entry, "summary", summary)
    if item.html:
        _text(entry, "content", item.html).set("type", "html")


def _text(parent: ET.Element, name: str, text: str) -> ET.Element:
    element = ET.SubElement(parent, _name(name))
    element.text = _NOT_IN_XML.sub("", text)
    return element


def _link(parent: ET.Element, relation: str, url: str, media_type: str) -> None:
    ET.SubElement(parent, _name("link"), {"rel": relation, "href": _NOT_IN_XML.sub("", url), "type": media_type})


def _name(name: str) -> str:
    return f"{{{_ATOM}}}{name}"


def _time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
