"""The subject of an issue's mails: its title, which is a template of one line; pure."""

import re
from typing import Final

from broadsheet_common.mail.mail_template import TITLE_VARIABLES, MailValues, Template, parse
from broadsheet_common.mail.template_work import TemplateError, Work

SUBJECT_UTF16_UNITS_MAX: Final = 2_000
"""Postmark's limit for Subject (https://postmarkapp.com/developer/api/email-api), which counts UTF-16 units."""

_NOT_IN_HEADERS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


class Subject:
    """A title that may contain variables. `title` is the author's text."""

    __slots__ = ("_template", "is_plain", "title")

    def __init__(self, title: str) -> None:
        """Raises `TemplateError`, also for a variable that titles do not have."""
        self.title = title
        self._template: Template = parse(title, "text")
        unknown = [one.name for one in self._template.unknown_variables]
        unknown += sorted(self._template.variables - TITLE_VARIABLES - set(unknown))
        if unknown:
            names = ", ".join(f"{{{{ {name} }}}}" for name in sorted(TITLE_VARIABLES))
            raise TemplateError(f"a title cannot use the variable `{unknown[0]}`. It can use: {names}")
        self.is_plain = self._template.steps == (title,)
        """Without variables, the subject is the same for everybody."""

    def render(self, values: MailValues, work: Work) -> str:
        """One line of at most `SUBJECT_UTF16_UNITS_MAX`, whatever the values; the newsletter's name if nothing is
        left.

        Raises:
            TemplateError: it cannot be rendered with these values.
        """
        if self.is_plain:
            return self.title
        line = _one_line(self._template.render(values, work))
        return line or _one_line(values.newsletter_name)


def _one_line(text: str) -> str:
    line = _NOT_IN_HEADERS.sub(" ", text).strip()
    units = line.encode("utf-16-le")
    if len(units) // 2 <= SUBJECT_UTF16_UNITS_MAX:
        return line
    # A character of two units (a surrogate pair) is not cut in half.
    return units[: (SUBJECT_UTF16_UNITS_MAX - 1) * 2].decode("utf-16-le", "ignore") + "…"
