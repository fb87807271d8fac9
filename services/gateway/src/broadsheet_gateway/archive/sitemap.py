"""The addresses of all archives, as sitemaps.org has it; pure."""

from datetime import UTC
from typing import Final
from xml.etree import ElementTree as ET

from broadsheet_gateway.archive.archive_answers import Sitemap

MEDIA_TYPE: Final = "application/xml"
_SITEMAP: Final = "http://www.sitemaps.org/schemas/sitemap/0.9"


def sitemap_xml(found: Sitemap, *, public_url: str) -> bytes:
    ET.register_namespace("", _SITEMAP)
    root = ET.Element(f"{{{_SITEMAP}}}urlset")
    for item in found.items:
        url = ET.SubElement(root, f"{{{_SITEMAP}}}url")
        path = f"/newsletters/{item.newsletter_slug}/issues" + (f"/{item.issue_slug}" if item.issue_slug else "")
        ET.SubElement(url, f"{{{_SITEMAP}}}loc").text = public_url + path
        if item.issue_slug is not None:
            updated_at = item.updated_at.astimezone(UTC)
            ET.SubElement(url, f"{{{_SITEMAP}}}lastmod").text = f"{updated_at:%Y-%m-%dT%H:%M:%SZ}"
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written
