"""The two bodies of a newsletter mail, each with a way to leave and the sender's postal address where they are seen.

Whether a body needs a footer is decided by what is rendered, never by what its source holds: a link in a comment or in
a branch that was not taken is none. A template that is only text and merged variables is looked at once, for everybody;
what others render is looked at for each mail.
"""

import html
from typing import Final

import msgspec

from broadsheet_common.mail.mail_template import (
    ENCODED_CHARS_PER_UNIT,
    EXPRESSION_WORK,
    MailValues,
    Merge,
    Template,
    TemplateError,
    Work,
)
from broadsheet_common.mail.visible_html import TAGS_MAX, look_at_html

_LINK: Final = "unsubscribe_url"
_TAGS_OF_EVERYBODY_MAX: Final = 200_000
# They stand for the values of a mail while a template is looked at; one that holds them is looked at mail by mail.
_VALUE_MARK, _LINK_MARK = "\ue000", "\ue001"
_BEFORE_LINK: Final = frozenset("<([{\"'>|*")
_AFTER_LINK: Final = frozenset(">)]}\"'<|*")
_ENDS_SENTENCE: Final = frozenset(".,;:!?")


class Footer(msgspec.Struct, frozen=True):
    """What a footer says. An empty `postal_address` is left out."""

    newsletter_name: str
    postal_address: str


class HtmlBody:
    """Raises `TemplateError` when it is made of a template that hides whatever is added to it."""

    __slots__ = ("_footer", "_template", "_varies")

    def __init__(self, template: Template, footer: Footer) -> None:
        self._footer = footer
        self._template = template
        self._varies = True
        steps = template.plain_steps
        if steps is None or _has_marks(steps):
            return
        seen = look_at_html(_marked(steps), _LINK_MARK, merged=_VALUE_MARK, tags_max=_TAGS_OF_EVERYBODY_MAX)
        if not seen.is_everybodys:
            return
        self._varies = False
        added = _html_footer(footer, with_link=not seen.shows_link, with_address=_lacks_address(footer, seen.text))
        if added:
            self._template = template.with_steps(_inserted(steps, added, _place(seen.footer_at)))

    def render(self, values: MailValues, work: Work) -> str | msgspec.Raw:
        """The body, as it is or as JSON. Raises `TemplateError`."""
        if not self._varies:
            return msgspec.Raw(self._template.render_json(values, work))
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

    __slots__ = ("_footer", "_template", "_varies")

    def __init__(self, template: Template, footer: Footer) -> None:
        self._footer = footer
        self._template = template
        self._varies = True
        steps = template.plain_steps
        if steps is None or _has_marks(steps):
            return
        self._varies = False
        if added := _text_footer(footer, _marked(steps), _LINK_MARK):
            self._template = template.with_steps((*steps, *added))

    def render(self, values: MailValues, work: Work) -> str | msgspec.Raw:
        """The body, as it is or as JSON. Raises `TemplateError`."""
        if not self._varies:
            return msgspec.Raw(self._template.render_json(values, work))
        body = self._template.render(values, work)
        work.charge(len(body) // ENCODED_CHARS_PER_UNIT)
        added = _text_footer(self._footer, body, values.unsubscribe_url)
        return "".join([body, *(part if isinstance(part, str) else values.unsubscribe_url for part in added)])


def _html_footer(footer: Footer, *, with_link: bool, with_address: bool) -> tuple[str | Merge, ...]:
    # `!important`: a style sheet of the author's must not hide it.
    start = '<p style="display:block!important;margin-top:32px;font-size:13px;color:#555555">'
    address = html.escape(footer.postal_address)
    if with_link:
        why = f"You get this because you subscribed to {html.escape(footer.newsletter_name)}. "
        end = f'">Unsubscribe</a>{f"<br>{address}" if with_address else ""}</p>'
        return f'{start}{why}<a style="display:inline!important" href="', Merge(_LINK), end
    return (f"{start}{address}</p>",) if with_address else ()


def _text_footer(footer: Footer, body: str, link: str) -> tuple[str | Merge, ...]:
    address = f"{footer.postal_address}\n" if _lacks_address(footer, body) else ""
    if not text_shows_link(body, link):
        why = f"You get this because you subscribed to {footer.newsletter_name}."
        return f"\n\n-- \n{why}\nUnsubscribe: ", Merge(_LINK), f"\n{address}"
    return (f"\n\n-- \n{address}",) if address else ()


def text_shows_link(text: str, link: str) -> bool:
    """Whether `link` stands in `text` as it is, so that a mail program makes just that one of it."""
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


def _has_marks(steps: tuple[str | Merge, ...]) -> bool:
    return any(mark in step for step in steps if isinstance(step, str) for mark in (_VALUE_MARK, _LINK_MARK))


def _marked(steps: tuple[str | Merge, ...]) -> str:
    return "".join(map(_mark, steps))


def _mark(step: str | Merge) -> str:
    if isinstance(step, str):
        return step
    return _LINK_MARK if step.attribute == _LINK else _VALUE_MARK


def _inserted(steps: tuple[str | Merge, ...], added: tuple[str | Merge, ...], place: int) -> tuple[str | Merge, ...]:
    """`place` is an index into the marked text."""
    before: list[str | Merge] = []
    for number, step in enumerate(steps):
        length = len(_mark(step))
        if place <= length and isinstance(step, str):
            return (*before, step[:place], *added, step[place:], *steps[number + 1 :])
        if place == 0:
            return (*before, *added, *steps[number:])
        before.append(step)
        place -= length
    return (*before, *added)
