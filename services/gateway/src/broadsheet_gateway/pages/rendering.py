"""From a view to HTML. One `Pages` an application: templates are compiled when it is made, none in a request."""

from datetime import UTC, datetime

import jinja2
import msgspec

from broadsheet_gateway.admin.navigation import open_groups
from broadsheet_gateway.pages.flashes import flash_text, flash_tone
from broadsheet_gateway.pages.static_files import StaticFile, load_static_files
from broadsheet_gateway.pages.views import PageView


class Pages:
    """Renders views, and holds the static files that the pages point to."""

    def __init__(self, *, static_prefix: str = "/static/") -> None:
        """Raises `jinja2.TemplateSyntaxError` for a template that does not compile: at start, not on a visit."""
        self._static_prefix = static_prefix
        self._static_files = load_static_files()
        self._static_by_address = {file.name: file for file in self._static_files.values()}
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("broadsheet_gateway.pages", "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
            cache_size=-1,
        )
        environment.globals["static_url"] = self.static_url
        environment.globals["open_groups"] = open_groups
        environment.globals["flash_text"] = flash_text
        environment.globals["flash_tone"] = flash_tone
        environment.filters["number"] = _number
        environment.filters["utc"] = _utc
        environment.filters["moment"] = _moment
        environment.filters["local_time"] = _local_time
        environment.filters["local_date"] = _local_date
        environment.tests["unset"] = _is_unset
        self._templates = {name: environment.get_template(name) for name in environment.list_templates()}

    def render(self, view: PageView) -> str:
        return self._templates[view.template].render(view=view)

    def static_url(self, plain_name: str) -> str:
        return self._static_prefix + self._static_files[plain_name].name

    def static_file(self, name: str) -> StaticFile | None:
        """The file at `/static/{name}`, where `name` holds the hash; None for any other."""
        return self._static_by_address.get(name)

    @property
    def static_files(self) -> tuple[StaticFile, ...]:
        return tuple(self._static_files.values())


def _is_unset(value: object) -> bool:
    return value is msgspec.UNSET


def _number(value: int) -> str:
    return f"{value:,}"


def _utc(value: datetime) -> str:
    return f"{value.astimezone(UTC):%-d %B %Y, %H:%M} UTC"


def _moment(value: datetime) -> str:
    """In the time zone that it has, which is named."""
    zone = getattr(value.tzinfo, "key", None) or value.tzname() or "UTC"
    return f"{value:%-d %B %Y, %H:%M} {zone.replace('_', ' ')}"


def _local_time(value: datetime) -> str:
    return f"{value:%-d %B %Y, %H:%M}"


def _local_date(value: datetime) -> str:
    return f"{value:%-d %B %Y}"
