"""The two bodies of a newsletter mail, each with a visible unsubscribe link and the sender's visible postal address.

Whether a body needs a footer depends on what is rendered, never on its source: a link in a comment or in a branch
that was not taken does not count. A template of only text and merged variables is checked once for all mails;
what other templates render is checked for each mail.
"""

import html
import re
from typing import Final

import msgspec

from broadsheet_common.mail.footer_words import footer_words
from broadsheet_common.mail.mail_template import MailValues, Merge, MergeAttribute, Step, Template
from broadsheet_common.mail.template_work import ENCODED_CHARS_PER_UNIT, EXPRESSION_WORK, TemplateError, Work
from broadsheet_common.mail.visible_html import TAGS_MAX, Marks, look_at_html

_LINK: Final = "unsubscribe_url"
_TAGS_OF_EVERYBODY_MAX: Final = 200_000
# Placeholders for the parts of a mail while its template is checked. If a template contains one of them itself, each of
# its mails is checked.
_LINK_MARK: Final = "\ue001"
_MARKS: Final = Marks(value="\ue000", part="\ue002")
_BEFORE_LINK: Final = frozenset("<([{\"'>|*")
_AFTER_LINK: Final = frozenset(">)]}\"'<|*")
_ENDS_SENTENCE: Final = frozenset(".,;:!?")


_UNTRACKED: Final = "data-pm-no-track"
"""On a link, this keeps Postmark from replacing its address (https://postmarkapp.com/developer/user-guide/tracking-links)."""
# `<a` of a link with one of these fields in it. A tag ends at the first `<` or `>`, so that this takes linear time.
_LINK_TO_LEAVE: Final = re.compile(
    rf"<a(?=\s)(?![^<>]*{_UNTRACKED})(?=[^<>]*\{{\{{-?\s*(?:unsubscribe_url|preferences_url)\b)", re.IGNORECASE
)


class Footer(msgspec.Struct, frozen=True):
    """The content of a footer. An empty `postal_address` is left out. `language`: the newsletter's tag."""

    newsletter_name: str
    postal_address: str
    language: str = "en"


class _LookAtWholeError(Exception):
    """A part of this mail may change what is visible of the rest, so the whole mail must be checked."""


class HtmlBody:
    """The HTML of a mail. Raises `TemplateError` if the template hides whatever is added to it.

    What is the same in every mail is checked here, once, and gets its footer; of each mail, only the parts that
    the engine renders are checked. If parts could change what is visible of the rest, each mail is checked as a
    whole.
    """

    __slots__ = ("_footer", "_for_everybody", "_shows_link", "_template")

    def __init__(self, template: Template, footer: Footer) -> None:
        self._footer = footer
        self._template = template
        self._for_everybody: Template | None = None
        self._shows_link = False
        if _has_marks(template):
            return
        seen = look_at_html(_marked(template), _LINK_MARK, marks=_MARKS, tags_max=_TAGS_OF_EVERYBODY_MAX)
        if not seen.is_everybodys:
            return
        self._shows_link = seen.shows_link
        added = _html_footer(footer, with_link=not seen.shows_link, with_address=_lacks_address(footer, seen.text))
        self._for_everybody = _inserted(template, added, _place(seen.footer_at)) if added else template

    def render(self, values: MailValues, work: Work) -> str | msgspec.Raw:
        """The body, as text or as JSON. Raises `TemplateError`."""
        if self._for_everybody is not None:

            def look_at_part(part: str) -> None:
                if "<" in part:
                    self._look_at_part(part, values.unsubscribe_url, work)

            try:
                return msgspec.Raw(self._for_everybody.render_json(values, work, look_at_part))
            except _LookAtWholeError:
                # What this attempt has cost is charged all the same.
                return self._render_whole(values, work)
        return self._render_whole(values, work)

    def _look_at_part(self, part: str, link: str, work: Work) -> None:
        work.charge(len(part) // ENCODED_CHARS_PER_UNIT + part.count("<") * EXPRESSION_WORK)
        seen = look_at_html(part, link)
        if not seen.is_closed or (seen.shows_link and not self._shows_link):
            raise _LookAtWholeError

    def _render_whole(self, values: MailValues, work: Work) -> str:
        body = self._template.render(values, work)
        work.charge(len(body) // ENCODED_CHARS_PER_UNIT + min(body.count("<"), TAGS_MAX) * EXPRESSION_WORK)
        seen = look_at_html(body, values.unsubscribe_url)
        added = _html_footer(
            self._footer, with_link=not seen.shows_link, with_address=_lacks_address(self._footer, seen.text)
        )
        if not added:
            return body
        place = _place(seen.footer_at)
        link = html.escape(values.unsubscribe_url)
        return "".join([body[:place], *(part if isinstance(part, str) else link for part in added), body[place:]])


class TextBody:
    """The plain text of a mail."""

    __slots__ = ("_footer", "_for_everybody", "_shows_link", "_template")

    def __init__(self, template: Template, footer: Footer) -> None:
        self._footer = footer
        self._template = template
        self._for_everybody: Template | None = None
        self._shows_link = False
        if _has_marks(template):
            return
        marked = _marked(template)
        self._shows_link = text_shows_link(marked, _LINK_MARK)
        added = _text_footer(footer, marked, _LINK_MARK)
        self._for_everybody = template.with_steps((*template.steps, *added)) if added else template

    def render(self, values: MailValues, work: Work) -> str | msgspec.Raw:
        """The body, as text or as JSON. Raises `TemplateError`."""
        if self._for_everybody is not None:

            def look_at_part(part: str) -> None:
                if not self._shows_link and values.unsubscribe_url in part:
                    raise _LookAtWholeError

            try:
                return msgspec.Raw(self._for_everybody.render_json(values, work, look_at_part))
            except _LookAtWholeError:
                # What this attempt has cost is charged all the same.
                return self._render_whole(values, work)
        return self._render_whole(values, work)

    def _render_whole(self, values: MailValues, work: Work) -> str:
        body = self._template.render(values, work)
        work.charge(len(body) // ENCODED_CHARS_PER_UNIT)
        added = _text_footer(self._footer, body, values.unsubscribe_url)
        return "".join([body, *(part if isinstance(part, str) else values.unsubscribe_url for part in added)])


def _html_footer(footer: Footer, *, with_link: bool, with_address: bool) -> tuple[str | Merge, ...]:
    # `!important`, so that the author's style sheet does not hide it.
    start = '<p style="display:block!important;margin-top:32px;font-size:13px;color:#555555">'
    address = html.escape(footer.postal_address)
    if with_link:
        words = footer_words(footer.language, footer.newsletter_name)
        why = f"{html.escape(words.why)} "
        end = f'">{html.escape(words.unsubscribe)}</a>{f"<br>{address}" if with_address else ""}</p>'
        # Postmark must neither count nor rewrite a link that acts for its reader.
        return f'{start}{why}<a {_UNTRACKED} style="display:inline!important" href="', Merge(_LINK), end
    return (f"{start}{address}</p>",) if with_address else ()


def _text_footer(footer: Footer, body: str, link: str) -> tuple[str | Merge, ...]:
    address = f"{footer.postal_address}\n" if _lacks_address(footer, body) else ""
    if not text_shows_link(body, link):
        words = footer_words(footer.language, footer.newsletter_name)
        return f"\n\n-- \n{words.why}\n{words.unsubscribe}: ", Merge(_LINK), f"\n{address}"
    return (f"\n\n-- \n{address}",) if address else ()


def keep_links_to_leave(html_source: str) -> str:
    """The same template, with its links to unsubscribe and to the preferences exempt from Postmark's tracking."""
    return _LINK_TO_LEAVE.sub(lambda link: f"{link[0]} {_UNTRACKED}", html_source)


def text_shows_link(text: str, link: str) -> bool:
    """Whether `text` contains `link` on its own, so that a mail program turns exactly it into a link."""
    at = text.find(link)
    while at >= 0:
        before, after = text[at - 1 : at] if at else "", text[at + len(link) : at + len(link) + 2]
        is_begun = not before or before.isspace() or before in _BEFORE_LINK
        following = after[1:] if after[:1] in _ENDS_SENTENCE else after[:1]
        if is_begun and (not following or following.isspace() or following in _AFTER_LINK):
            return True
        at = text.find(link, at + 1)
    return False


def _lacks_address(footer: Footer, text: str) -> bool:
    wanted = " ".join(footer.postal_address.split())
    return bool(wanted) and wanted not in " ".join(text.split())


def _place(footer_at: int | None) -> int:
    if footer_at is None:
        raise TemplateError("Its body is hidden, so that nobody would see how to unsubscribe")
    return footer_at


def _has_marks(template: Template) -> bool:
    marks = (_LINK_MARK, _MARKS.value, _MARKS.part)
    return any(mark in step for step in template.steps if isinstance(step, str) for mark in marks)


def _marked(template: Template) -> str:
    return "".join(map(_mark, template.steps))


def _mark(step: Step) -> str:
    if isinstance(step, str):
        return step
    if isinstance(step, Merge):
        return _LINK_MARK if step.field == _LINK else _MARKS.value
    if isinstance(step, MergeAttribute):
        return _MARKS.value
    return _MARKS.part


def _inserted(template: Template, added: tuple[str | Merge, ...], place: int) -> Template:
    """`place` is an index into the marked text."""
    before: list[Step] = []
    for number, step in enumerate(template.steps):
        length = len(_mark(step))
        if place <= length and isinstance(step, str):
            return template.with_steps((*before, step[:place], *added, step[place:], *template.steps[number + 1 :]))
        if place == 0:
            return template.with_steps((*before, *added, *template.steps[number:]))
        before.append(step)
        place -= length
    return template.with_steps((*before, *added))
