"""Finds the columns of a file that say who may not be written to, pure.

A column is recognised by the export that the file is (`known_exports`), or else by the words of its title, in the
main languages of Europe, compared with its first cells. There are three results:

- It certainly says so: it is read, unless the person who imports explicitly maps it to `ignored`.
- It may say so, and only the person who imports knows. It is undecided, and nothing is stored until it is decided.
- Nothing suggests that it does.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from broadsheet_subscriptions.imports.reading.known_exports import meanings_by_export
from broadsheet_subscriptions.imports.reading.opt_out_cell import Kind, Meaning, fold, kind_of, speaks_of_leaving

IGNORED: Final = "ignored"
"""The mapping's target for a column that may say who left, but is not to be read as such."""
Certainty = Literal["certain", "possible"]

_NOT_ABOUT_MAIL: Final = re.compile(
    r"\b(sms|phone|telephone|telefon\w*|mobile|whatsapp|push|postal|fax|call|viber|cookies?)\b"
)
_ABOUT_MAIL: Final = re.compile(r"\b(e ?)?mails?\b|\bnewsletters?\b")
_COUNTS: Final = re.compile(r"\b(soft|count|number|num|total|rate|anzahl|nombre|numero|score|pct|percent)\b")
# Words that are often about something else: an account, an order, a plan.
_MAYBE_LEFT: Final = re.compile(
    r"\b(deleted|delete|removed|removal|disabled|deactivated|desactivated|cancel(l)?(ed|ation)|churn(ed)?|left|inactive|invalid"
    r"|expired|ended|stop(ped)?|clean|geloscht|gekundigt|deaktiviert|kundigung|supprime\w*|eliminad\w|eliminat\w|cancelad\w"
    r"|cancellat\w|verwijderd|usuniet\w|excluded|optout|archived|reject(ed)?|dead)\b"
)
_DISABLED_MAIL: Final = re.compile(
    r"\b(e ?mails?|newsletters?|mailings?)\b.*\b(disabled|off|stopped|deactivated|deaktiviert|desactive\w*"
    r"|desactivad\w)\b"
)
_STATUS: Final = r"(state|status|statut|estado|stato|zustand|stav|stan|tila|allapot|situacao|estatus|статус|κατασταση)"
_MAIL_STATUS: Final = re.compile(
    rf"^(?:(?:subscri\w*|e ?mails?|contacts?|members?|membership|lists?|newsletters?|global|marketing|mailings?"
    r"|recipient|profile"
    rf"|kontakt\w*|abonn\w*|empfanger|optin|opt in|consent|permission|delivery|address) )*{_STATUS}$"
    rf"|^{_STATUS} (?:de |des |del |der |di |du )?"
    r"(?:subscri\w*|suscri\w*|e ?mails?|abonn\w*|newsletters?|contacts?|kontakt\w*)\b"
)
_REGION_STATUS: Final = frozenset({"state", "estado", "stato", "stan"})
_REGION: Final = re.compile(r"[A-Z]{2,3}")
_CONFIRMATION: Final = re.compile(
    r"\b(confirmed|verified|double ?opt ?in|doi|bestatigt|confirme|confirmad[oa]|confermat[oa]|bevestigd"
    r"|potwierdzon\w|potvrzeno)\b"
)
_IN: Final = re.compile(
    r"\b(subscribed|accepts?( e ?mail)? marketing|opt(ed)? ?in|optin|consent(s|ed)?|permissions?|receives? (e ?mails?"
    r"|news\w*)"
    r"|can (e ?mail|contact)|may (e ?mail|contact)|allow(s|ed)? (e ?mails?|contact)|e ?mails? (enabled|active|allowed"
    r"|ok)"
    r"|abonniert|angemeldet|einwilligung\w*|zustimmung\w*|consentement|consentimiento|consentimento|consenso|toestemming"
    r"|samtycke|samtykke|zgoda|souhlas|hozzajarulas|suostumus|suscrito|suscrita|inscrit[oae]?|iscritt[oa]|ingeschreven"
    r"|aangemeld|prenumererar|tilmeldt|pameldt|zapisany|feliratkozott|подписан\w*|согласие)\b"
)
_MAYBE_IN: Final = re.compile(
    r"\b(newsletters?|mailings?|marketing|active|enabled|aktiv|actif|activ[oa]|ativo|attiv[oa]|actief|aktywny|aktivni"
    r"|deliverable|valid|subscription|gdpr|dsgvo|rgpd|abonne|status)\b"
)
_SHOWN_VALUES_MAX: Final = 12
_SHOWN_CHARS_MAX: Final = 40
_SHOWN_FROM: Final = 2
"""A text that occurs only once may be somebody's own words. Unless it is a known word, it is only counted, not
shown.
"""


class UndecidedColumn(msgspec.Struct, frozen=True):
    """`values`: how often each value occurs in the first rows. `only_states`: the column certainly says who left, so
    it can only be decided by a meaning or `ignored`, and not by another use of the column.
    """

    column: str
    reason: str
    values: dict[str, int]
    only_states: bool

    def is_decided_by(self, target: str | None) -> bool:
        return target is not None and (not self.only_states or is_state_target(target))


class Finding(msgspec.Struct, frozen=True):
    meaning: Meaning
    certainty: Certainty
    reason: str


def is_state_target(target: str) -> bool:
    """Whether a mapping's target is a way to say who may be written to, or `ignored`."""
    return target == IGNORED or target in _TARGETS


_TARGETS: Final[frozenset[str]] = frozenset({"state", "opt_out", "opt_in", "confirmation", "subscriptions"})


def title_says(title: str) -> tuple[Meaning, bool] | None:
    """The meaning that the title suggests, and whether it does so clearly."""
    folded = fold(title)
    if not folded or (_NOT_ABOUT_MAIL.search(folded) and not _ABOUT_MAIL.search(folded)):
        return None
    if speaks_of_leaving(folded) or _DISABLED_MAIL.search(folded):
        return "opt_out", _COUNTS.search(folded) is None
    if _MAIL_STATUS.search(folded):
        return "state", True
    if _MAYBE_LEFT.search(folded):
        return "opt_out", False
    if _CONFIRMATION.search(folded):
        return "confirmation", True
    if _IN.search(folded):
        return "opt_in", True
    if _MAYBE_IN.search(folded):
        return "opt_in", False
    return None


def find_opt_outs(
    titles: Sequence[str], plain_titles: Sequence[str], rows: Sequence[Sequence[str]]
) -> dict[str, Finding]:
    """Findings by title. `rows`: the file's first rows, without the titles."""
    by_export = meanings_by_export(frozenset(plain_titles))
    found: dict[str, Finding] = {}
    for column, (title, plain) in enumerate(zip(titles, plain_titles, strict=True)):
        cells = [row[column] for row in rows if column < len(row)]
        if plain in by_export:
            if (known := by_export[plain]) is not None:
                found[title] = Finding(known, "certain", "A known export uses it to say who may be written to.")
            continue
        finding = _by_words(title, cells)
        if finding is not None:
            found[title] = finding
    return found


def _by_words(title: str, cells: Sequence[str]) -> Finding | None:
    kinds = {kind_of(cell[:200]) for cell in cells} - {"blank"}
    said = title_says(title)
    if said is None:
        return _by_cells(cells)
    meaning, is_clear = said
    match meaning:
        case "state":
            return _status(title, cells, kinds)
        case "opt_out":
            if is_clear and kinds <= {"no", "yes", "time", "left", "in", "waiting"}:
                return Finding("opt_out", "certain", "Its title is about people who left or cannot be reached.")
            if kinds <= {"no"}:
                return Finding("opt_out", "certain", "Its title may be about people who left; so far nobody has.")
            return Finding("opt_out", "possible", "Its title may be about people who left or cannot be reached.")
        case "confirmation":
            if kinds <= {"no", "yes", "time", "in", "waiting"}:
                return Finding("confirmation", "certain", "Its title is about who confirmed.")
            return _by_cells(cells)
        case _:
            if (is_clear and kinds <= {"no", "yes", "time", "in", "left", "waiting"}) or kinds <= {"yes", "time", "in"}:
                return Finding("opt_in", "certain", "Its title is about who wants mail.")
            if is_clear or kinds & {"no", "left", "waiting"}:
                return Finding("opt_in", "possible", "Its title may be about who wants mail.")
            return None


def _status(title: str, cells: Sequence[str], kinds: set[Kind]) -> Finding | None:
    if kinds <= {"in", "waiting", "left"}:
        return Finding("state", "certain", "Its title and its values are those of a status.")
    if fold(title) in _REGION_STATUS and all(not cell.strip() or _REGION.fullmatch(cell.strip()) for cell in cells):
        return None  # a region of a country
    return Finding("state", "possible", "Its title is that of a status, but not all of its values are known.")


def _by_cells(cells: Sequence[str]) -> Finding | None:
    if any(len(cell) <= _SHOWN_CHARS_MAX and kind_of(cell) == "left" for cell in cells):
        return Finding("state", "possible", "Some of its cells say that somebody left.")
    return None


def undecided_column(title: str, reason: str, cells: Sequence[str], *, only_states: bool) -> UndecidedColumn:
    """Includes a summary of the column's first cells, so that a person can decide."""
    counted: Counter[str] = Counter()
    texts: Counter[str] = Counter()
    for cell in cells:
        kind = kind_of(cell[:200])
        text = cell.strip()
        if kind == "blank":
            counted["(blank)"] += 1
        elif kind == "time":
            counted["(a date or time)"] += 1
        elif "@" in text or len(text) > _SHOWN_CHARS_MAX or not text.isprintable():
            counted["(other texts)"] += 1
        else:
            texts[text] += 1
    for text, times in texts.most_common():
        is_shown = len(counted) < _SHOWN_VALUES_MAX and (times >= _SHOWN_FROM or kind_of(text) != "other")
        counted[text if is_shown else "(other texts)"] += times
    return UndecidedColumn(title, reason, dict(counted), only_states)


def how_to_decide(undecided: UndecidedColumn) -> str:
    """A message for the person who imports."""
    values = ", ".join(f"{value} ×{times}" for value, times in undecided.values.items())  # noqa: RUF001
    return (
        f"The column “{undecided.column[:80]}” may say who must not be written to. {undecided.reason} "
        f"Its first rows hold: {values or 'nothing'}. Say in the mapping what it is: `opt_out` (any cell but a blank "
        f"or a no means that the person left), `opt_in` (a no means that the person left), `state` (words like "
        f"subscribed and unsubscribed), or `{IGNORED}`."
    )
