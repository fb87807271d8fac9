"""Titles and subjects of an issue's mails: templates of one line; pure."""

import re
from typing import Final

from broadsheet_common.mail.mail_template import Template, parse
from broadsheet_common.mail.merge_fields import (
    SHARED_VARIABLES,
    TITLE_VARIABLES,
    MailValues,
    attribute_of,
    is_among,
    variable_names,
)
from broadsheet_common.mail.template_work import TemplateError, Work

SUBJECT_UTF16_UNITS_MAX: Final = 2_000
"""Postmark's limit for Subject (https://postmarkapp.com/developer/api/email-api), which counts UTF-16 units."""

_NOT_IN_HEADERS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


class Subject:
    """A title or a subject, which may contain merge fields. `source` is the author's text."""

    __slots__ = ("_template", "plain_text", "source")

    def __init__(
        self,
        source: str,
        *,
        allowed: frozenset[str] = TITLE_VARIABLES,
        attributes: frozenset[str] | None = frozenset(),
    ) -> None:
        """`attributes`: the names of those that subscribers have. None: any name may be one, for what was checked
        before; it shows nothing if nobody has it.

        Raises:
            TemplateError: also for a variable that is not `allowed`.
        """
        template = parse(source, "text", attributes=attributes or frozenset())
        # `variables` has all that are used, in no order; the unknown ones have a place to show.
        unknown: list[tuple[str, int | None, int | None]] = [
            (one.name, one.line, one.column)
            for one in template.unknown_variables
            if attributes is not None or attribute_of(one.name) is None
        ]
        unknown += [(name, None, None) for name in sorted(template.variables) if not is_among(name, allowed)]
        if unknown:
            name, line, column = unknown[0]
            possible = variable_names(attributes or frozenset(), allowed)
            raise TemplateError(f"a title cannot use the variable `{name}`. It can use: {possible}", line, column)
        self._set(source, template)

    def _set(self, source: str, template: Template) -> None:
        self.source = source
        self._template = template
        self.plain_text: str | None = None
        """Where nothing differs between mails, the line that all of them have."""
        if all(isinstance(step, str) for step in template.steps):
            self.plain_text = _one_line("".join(step for step in template.steps if isinstance(step, str))) or None

    def filled(self, values: MailValues, names: frozenset[str] = SHARED_VARIABLES) -> "Subject":
        """The same with what all mails of an issue share filled in. Raises `TemplateError` (see `Template.filled`)."""
        filled = object.__new__(Subject)
        filled._set(self.source, self._template.filled(values, names))
        return filled

    @property
    def uses_tags(self) -> bool:
        return self._template.uses_tags

    @property
    def attributes(self) -> frozenset[str]:
        """The names of the attributes that it uses."""
        return self._template.attributes

    def render(self, values: MailValues, work: Work) -> str:
        """One line of at most `SUBJECT_UTF16_UNITS_MAX`, whatever the values; the newsletter's name if nothing is
        left.

        Raises:
            TemplateError: it cannot be rendered with these values.
        """
        if self.plain_text is not None:
            return self.plain_text
        line = _one_line(self._template.render(values, work))
        return line or _one_line(values.newsletter_name)


def _one_line(text: str) -> str:
    line = _NOT_IN_HEADERS.sub(" ", text).strip()
    units = line.encode("utf-16-le")
    if len(units) // 2 <= SUBJECT_UTF16_UNITS_MAX:
        return line
    # A character of two units (a surrogate pair) is not cut in half.
    return units[: (SUBJECT_UTF16_UNITS_MAX - 1) * 2].decode("utf-16-le", "ignore") + "…"
