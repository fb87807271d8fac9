"""What the pages on attributes show: one Struct a page."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import msgspec

from broadsheet_gateway.pages.views import AdminPageView

AttributeType = Literal["text", "number", "boolean", "date"]


class Attribute(msgspec.Struct, frozen=True):
    """The API's Attribute."""

    name: str
    type: AttributeType
    label: str


class AttributesPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/attributes`, and its POST answered with faults. `attributes` None: the service does not answer.
    Fields: name, label, type.
    """

    template: ClassVar[str] = "attributes/list.html"

    attributes: tuple[Attribute, ...] | None
    name: str = ""
    label: str = ""
    type: str = "text"
    idempotency_key: str = ""
    errors: Mapping[str, str] = {}
    form_error: str = ""


class AttributePage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/attributes/{name}`, and its POST answered with faults. Field: label."""

    template: ClassVar[str] = "attributes/attribute.html"

    attribute: Attribute
    label: str
    version: str
    errors: Mapping[str, str] = {}
    form_error: str = ""


class AttributeRemovePage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/attributes/{name}/remove`, and its POST refused. `holders`: people with a value; None: not known.
    Field: understood.
    """

    template: ClassVar[str] = "attributes/remove.html"

    attribute: Attribute
    holders: int | None = None
    errors: Mapping[str, str] = {}
    form_error: str = ""
