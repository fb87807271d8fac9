"""From what an author wrote to the templates of its mails; pure. Parsers of other people's make run here, so that a
service calls it in a process of its own (`compiler`).
"""

import html
from typing import Final, assert_never

import msgspec

from broadsheet_common.http.plain_text import is_storable
from broadsheet_common.mail.footer_words import footer_words
from broadsheet_common.mail.template_work import Work
from broadsheet_publishing.compiling.compiled_issue import CompiledIssue, CompileError, Fault, Field
from broadsheet_publishing.compiling.html_document import HtmlDocument, InlineFaultError
from broadsheet_publishing.compiling.html_text import text_of_html
from broadsheet_publishing.compiling.issue_source import CONTENT_BYTES_MAX, Format, IssueSource, Layout, Look
from broadsheet_publishing.compiling.layout import (
    OPTIONAL_LINKS,
    faults_of_place,
    filled,
    layout_html,
    shipped_layout,
)
from broadsheet_publishing.compiling.liquid_shield import Covered, Shield
from broadsheet_publishing.compiling.markdown_html import MarkdownPage, read_markdown, script_in_markdown
from broadsheet_publishing.compiling.markdown_text import text_of_markdown
from broadsheet_publishing.compiling.markup import Place, all_pieces_of, find_too_deep
from broadsheet_publishing.compiling.mjml_html import MjmlFaultError, html_of_mjml, is_panic, lost_or_doubled
from broadsheet_publishing.compiling.script import script_in, script_in_covered, script_in_liquid
from broadsheet_publishing.compiling.template_faults import (
    faults_of_compiled,
    faults_of_preheader,
    faults_of_source,
    faults_of_title,
)

NESTING_MAX: Final = 200
"""Elements within each other. libxml2, which the plain text is made with, reads 256; MJML's parser dies near 2,000."""
BYTES_MAX: Final[dict[Format, int]] = {
    "markdown": 500_000,
    "mjml": 1_000_000,
    "html": CONTENT_BYTES_MAX,
    "text": CONTENT_BYTES_MAX,
}
"""What each parser gets at most. Markdown takes 10 s for 1 MB; a mail of more than 0.1 MB is cut off by Gmail."""
LAYOUT_BYTES_MAX: Final = 500_000
TEXT_SOURCE_BYTES_MAX: Final = 1_000_000
"""HTML that a plain text is made from."""
_WORDS_TO_FIND: Final = 10


def compile_issue(
    source: IssueSource, *, layout: Layout | None, look: Look, attributes: frozenset[str]
) -> CompiledIssue:
    """The templates of the issue's mails. A `layout` is used for Markdown alone; None: the one that ships.
    `attributes`: names of the list's attributes, which templates may use.

    Raises:
        CompileError: with every fault that was found.
    """
    return _Compilation(source, layout, look, attributes).compiled()


class _Compilation:
    def __init__(self, source: IssueSource, layout: Layout | None, look: Look, attributes: frozenset[str]) -> None:
        self._source = msgspec.structs.replace(
            source,
            content=_with_plain_newlines(source.content),
            text_content=None if source.text_content is None else _with_plain_newlines(source.text_content),
        )
        self._layout = layout
        self._look = look
        self._attributes = attributes
        self._faults: list[Fault] = []

    def compiled(self) -> CompiledIssue:
        source = self._source
        self._add(self._of_sizes())
        self._stop_at_faults()
        self._add(faults_of_title(source.title, "title", Work(), self._attributes, source.without))
        if source.subject is not None:
            self._add(faults_of_title(source.subject, "subject", Work(), self._attributes, source.without))
        self._add(faults_of_preheader(source.preheader, self._attributes, source.without))
        if source.text_content is not None and not source.text_content.strip():
            detail = "The plain text is empty. Write it, or leave it out: then it is made of the content."
            self._add([Fault(code="empty", field="text_content", detail=detail)])
        elif source.text_content is not None and source.format != "text":
            self._add(faults_of_source(source.text_content, "text_content", "text", self._attributes, source.without))
        html_content, text_content = self._bodies()
        self._stop_at_faults()
        compiled = CompiledIssue(
            title=source.title.strip(),
            subject=(source.title if source.subject is None else source.subject).strip(),
            preheader=source.preheader.strip(),
            html_content=html_content,
            text_content=text_content,
        )
        self._add(faults_of_compiled(compiled, self._look, self._attributes))
        self._stop_at_faults()
        return compiled

    def _add(self, faults: list[Fault]) -> None:
        self._faults += faults

    def _stop_at_faults(self) -> None:
        if self._faults:
            raise CompileError(tuple(self._faults))

    def _of_sizes(self) -> list[Fault]:
        source = self._source
        texts: list[tuple[Field, str, int]] = [
            ("content", source.content, BYTES_MAX[source.format]),
            ("text_content", source.text_content or "", CONTENT_BYTES_MAX),
            ("layout", self._layout.source if self._layout is not None else "", LAYOUT_BYTES_MAX),
        ]
        faults: list[Fault] = []
        for field, text, bytes_max in texts:
            size = len(text.encode("utf-8", "replace"))
            if size > bytes_max:
                detail = f"It may be at most {bytes_max} bytes; this is {size}. Shorten it."
                faults.append(Fault(code="too-large", field=field, detail=detail))
            if not is_storable(text):
                detail = "It may not hold a NUL character or an unpaired surrogate. Take it out."
                faults.append(Fault(code="control-character", field=field, detail=detail))
        if not source.content.strip():
            faults.append(Fault(code="empty", field="content", detail="Content is needed. Write something."))
        return faults

    def _bodies(self) -> tuple[str | None, str]:
        """HTML and plain text. With faults, what is returned is of no use."""
        source = self._source
        if source.format == "text":
            self._add(faults_of_source(source.content, "content", "text", self._attributes, source.without))
            return None, source.content
        layout = self._layout if self._layout is not None else shipped_layout(self._look)
        in_use = layout.source if source.format == "markdown" else ""
        shield = Shield(source.content, source.preheader, in_use)
        covered = shield.cover("content", source.content)
        try:
            match source.format:
                case "markdown":
                    return self._of_markdown(covered, shield, layout)
                case "html":
                    return self._of_html(covered, shield)
                case "mjml":
                    return self._of_mjml(covered, shield)
                case _:
                    assert_never(source.format)
        except MjmlFaultError as error:
            self._add(list(error.faults))
        except InlineFaultError as error:
            detail = f"The HTML or its style sheets cannot be read: {error}. Look for what is not closed."
            self._add([Fault(code="html-syntax", field="content", detail=detail)])
        except _StopError:
            pass
        except BaseException as error:
            if not is_panic(error):
                raise
            detail = "A parser fails on this markup. Look for tags that are not complete, and take out odd characters."
            self._add([Fault(code="html-syntax", field="content", detail=detail)])
        return None, ""

    def _of_markdown(self, covered: Covered, shield: Shield, layout: Layout) -> tuple[str, str]:
        page = read_markdown(covered, shield)
        self._add(self._of_content(shield.without_literal(covered)))
        self._add(script_in_markdown(page, covered, shield) or script_in_liquid(shield, covered))
        how = "Markdown has no place for it here, or what holds it is not used"
        self._add(lost_or_doubled(covered, page.html, shield, how))
        self._add(_of_depth(page.html, "content"))
        self._add(_of_ends(page.html, "content", covered, is_derived=True))
        covered_layout = shield.cover("layout", layout.source)
        self._add(self._of_layout(layout, covered_layout, shield))
        if self._faults:
            raise _StopError
        content = self._isolated(page, shield)
        document = filled(layout_html(layout, covered_layout, shield, self._look), covered_layout, shield, content)
        if isinstance(document, Fault):
            self._add([document])
            raise _StopError
        html_content = self._finished(document, shield)[0]
        own = self._source.text_content
        if own is not None:
            return html_content, own
        return html_content, self._text(shield.restore_text(text_of_markdown(page.tokens, shield)))

    def _of_content(self, text: str) -> list[Fault]:
        return faults_of_source(text, "content", "html", self._attributes, self._source.without)

    def _of_layout(self, layout: Layout, covered: Covered, shield: Shield) -> list[Fault]:
        is_mjml = layout.format == "mjml"
        faults = faults_of_place(covered, shield)
        # The place is the compiler's; the template language does not know it.
        places = {number for number in covered.numbers if shield[number].kind == "content"}
        shield.literal |= places
        faults += faults_of_source(shield.without_literal(covered), "layout", "html", self._attributes)
        faults += script_in_covered(covered, shield, is_mjml=is_mjml) or script_in_liquid(shield, covered)
        faults += _of_depth(covered.text, "layout", covered, is_mjml=is_mjml)
        faults += [] if is_mjml else _of_ends(covered.text, "layout", covered)
        return faults

    def _isolated(self, page: MarkdownPage, shield: Shield) -> str:
        """The content, with every element closed that it opens: its own HTML cannot end the layout's tables."""
        tokens = (token for block in page.tokens for token in (block, *(block.children or ())))
        if not any(token.type in {"html_block", "html_inline"} for token in tokens):
            return page.html
        document = HtmlDocument(page.html, shield)
        self._add(document.check())
        if self._faults:
            raise _StopError
        return document.fragment()

    def _of_html(self, covered: Covered, shield: Shield) -> tuple[str, str]:
        self._add(self._of_content(covered.source))
        self._add(script_in_covered(covered, shield) or script_in_liquid(shield, covered))
        self._add(_of_depth(covered.text, "content", covered))
        self._add(_of_ends(covered.text, "content", covered))
        if self._faults:
            raise _StopError
        return self._with_text(*self._finished(covered.text, shield), shield)

    def _of_mjml(self, covered: Covered, shield: Shield) -> tuple[str, str]:
        self._add(self._of_content(covered.source))
        self._add(script_in_covered(covered, shield, is_mjml=True) or script_in_liquid(shield, covered))
        self._add(_of_depth(covered.text, "content", covered, is_mjml=True))
        if self._faults:
            raise _StopError
        return self._with_text(*self._finished(html_of_mjml(covered, shield, self._look), shield), shield)

    def _finished(self, document: str, shield: Shield) -> tuple[str, HtmlDocument]:
        self._add(_of_depth(document, "content"))
        if self._faults:
            raise _StopError
        page = HtmlDocument(document, shield)
        self._add(page.check())
        preheader = html.escape(shield.cover("preheader", self._source.preheader.strip()).text)
        finished = page.finished(preheader, self._look)
        # A parser may see more in broken HTML than a look at the author's text showed.
        self._add([] if self._faults else script_in(finished, shield, "content", lambda _: None))
        if self._faults:
            raise _StopError
        return shield.restore_html(finished), page

    def _with_text(self, html_content: str, page: HtmlDocument, shield: Shield) -> tuple[str, str]:
        own = self._source.text_content
        if own is not None:
            return html_content, own
        source = page.for_text()
        if len(source) > TEXT_SOURCE_BYTES_MAX:
            detail = "The HTML is too long to make a plain text of it. Write the plain text yourself."
            self._add([Fault(code="too-large", field="text_content", detail=detail)])
            raise _StopError
        text = text_of_html(source, shield)
        if not text.strip():
            detail = "The HTML holds no text that could be read without pictures. Write the plain text yourself."
            self._add([Fault(code="empty", field="text_content", detail=detail)])
            raise _StopError
        return html_content, self._text(shield.restore_text(text))

    def _text(self, body: str) -> str:
        """A plain text that was made, with what each mail says at its end. Delivery adds what is still missing."""
        look = self._look
        words = footer_words(look.language, _in_text(look.newsletter_name))
        lines = [words.why]
        links = [(words.web, "web_url")] if look.has_archive else []
        links += [(words.preferences, "preferences_url")]
        lines += [
            f"{word}: {{{{ {name} }}}}"
            for word, name in links
            if name in OPTIONAL_LINKS and f"{{{{ {name} }}}}" not in body
        ]
        if "unsubscribe_url" not in body:
            lines.append(f"{words.unsubscribe}: {{{{ unsubscribe_url }}}}")
        address = "\n".join(line.strip() for line in look.postal_address.splitlines() if line.strip())
        if address and " ".join(address.split()) not in " ".join(body.split()):
            lines += ["", _in_text(address)]
        return "\n".join([body, "", "-- ", *lines, ""])


class _StopError(Exception):
    """Faults were found, and going on would only find their consequences."""


def _in_text(value: str) -> str:
    """A text of the look's is no template."""
    return Shield(value).restore_text(value)


def _with_plain_newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _of_depth(text: str, field: Field, covered: Covered | None = None, *, is_mjml: bool = False) -> list[Fault]:
    index = find_too_deep(text, NESTING_MAX, is_mjml=is_mjml)
    if index is None:
        return []
    place = covered.place(index) if covered is not None else None
    detail = f"Elements stand within each other more than {NESTING_MAX} deep. Close those that are not closed."
    return [_placed("nested-too-deep", field, detail, place)]


def _of_ends(text: str, field: Field, covered: Covered | None = None, *, is_derived: bool = False) -> list[Fault]:
    """Of a tag, a comment or an element like `<style>` that never ends: all that follows would be lost. `is_derived`:
    `text` was made of what was covered, and the place is where the same words stand there.
    """
    before = None
    for piece in all_pieces_of(text):
        if piece.kind == "broken" or (piece.kind == "raw" and piece.end == len(text)):
            start = before.start if piece.kind == "raw" and before is not None else piece.start
            if is_derived and covered is not None:
                start = covered.text.rfind(text[start : start + _WORDS_TO_FIND])
            place = covered.place(start) if covered is not None and start >= 0 else None
            detail = "A tag, a comment or a style begins here and never ends. Close it."
            return [_placed("html-syntax", field, detail, place)]
        if piece.kind == "start" and piece.name == "frameset":
            place = covered.place(piece.start) if covered is not None and not is_derived else None
            detail = "No mail program shows frames, and what stands between them is lost. Take out `<frameset>`."
            return [_placed("html-syntax", field, detail, place)]
        before = piece
    return []


def _placed(code: str, field: Field, detail: str, place: Place | None) -> Fault:
    return Fault(
        code=code,
        field=field,
        detail=detail,
        line=place.line if place is not None else None,
        column=place.column if place is not None else None,
    )
