"""What one cell says about whether its person may be written to, pure.

Exports say it in many ways: a status word, the time at which somebody left, a yes or a no in either direction.
The column's meaning determines how its cells are read:

- `state`: a status word. An unknown word is an error, since a wrong guess could mean mail to somebody who left.
- `opt_out`: a time or a word that says that the person left, bounced, was blocked or complained. Any cell that is
  neither blank nor a "no" counts, whatever it holds: a reason typed by the person, a campaign's title, a number.
- `opt_in`: a "no" says that the person left; a "yes" or a time says that they did not. Other words are an error.
- `confirmation`: a "no" says that the person never confirmed.
- `subscriptions`: the column of that name in our own export of all newsletters.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final, Literal, assert_never, get_args

import msgspec

from broadsheet_subscriptions.subscribers.subscription import State

Meaning = Literal["state", "opt_out", "opt_in", "confirmation", "subscriptions"]
MEANINGS: Final[frozenset[str]] = frozenset(get_args(Meaning))
Kind = Literal["blank", "no", "yes", "time", "number", "in", "waiting", "left", "other"]

_CELLS_REMEMBERED_MAX: Final = 4096
_CELL_CHARS_MAX: Final = 200
"""Only so much of a cell is looked at: no status is longer."""

_LEFT_STEMS: Final = (
    # English
    r"\bunsub", r"\bun subscri", r"\bopt(ed)? ?out\b", r"\boptout", r"\bdnc\b",
    r"\bdo ?not ?(bulk ?)?(e ?mail|contact|mail|send|market)", r"\bno ?longer\b",
    r"\b(not|never|non) ?(subscribed|opted in|consented)\b", r"\b(no|without) consent\b",
    r"bounc", r"\bundeliver", r"\bcleaned\b", r"\bclean (time|at|date|campaign)\b",
    r"\bblock ?(ed|list)", r"\bblack ?list", r"\bsuppress", r"\bcomplain", r"\bspam", r"\babuse",
    r"\bquarantin",
    # German, French, Spanish, Portuguese, Italian, Romanian
    r"\b(abgemeld|abmeld|abbestell|ausgetrag|austrag)", r"\bgesperrt", r"\bunzustellbar", r"\bzuruckgewies",
    r"\bbeschwerde",
    r"\bdes(abon|inscri)", r"\bbloqu", r"\brebond", r"\bplainte", r"\bne (pas|plus) (contacter|envoyer|ecrire)",
    r"\bde?suscri", r"\b(dado de|dada de|fecha de|fecha) baja\b", r"^(de )?baja$", r"\brebot", r"\bqueja", r"\bdevuelt",
    r"\bno (contactar|enviar)", r"\b(descadastr|desinscr)", r"\bdisiscri", r"\bbloccat", r"\brimbalz", r"\breclam",
    r"\bnon contattare", r"\bdezabon",
    # Dutch, Danish, Norwegian, Swedish, Finnish
    r"\b(afgemeld|uitgeschr|uitschr)", r"\bgeblokk", r"\bonbestelbaar", r"\bklacht",
    r"\b(afmeld|avmeld|avregistr|avprenum|avanmal)", r"\bblokker", r"\bsparrad", r"\bklage", r"\bklagomal",
    r"\b(poistunut|perunut|peruuttanut)",
    # Polish, Czech, Slovak, Hungarian, Croatian, Slovene; Russian, Ukrainian, Greek
    r"\b(wypis|odsubskr|zrezygn|rezygn)", r"\bzablokow", r"\bodhlas", r"\bblokov", r"\bzablokov", r"\bstiznost",
    r"\b(leiratk|leirat)", r"\bodjav",
    r"\b(отпис|отказ|заблок|жалоб)", r"\b(відпис|відмов)", r"\b(απεγγραφ|διαγραφ)",
)  # fmt: skip
_LEFT: Final = re.compile("|".join(_LEFT_STEMS))
_NOT_LEFT: Final = re.compile(
    r"\b(not|no|never|non|nicht|keine?) (unsub|bounc|block|black|suppress|complain|spam|abuse)"
)
_LEFT_WORDS: Final = frozenset({
    "inactive", "disabled", "cleaned", "removed", "deleted", "cancelled", "canceled", "churned", "unreachable",
    "invalid",
    "archived", "expired", "declined", "revoked", "rejected", "refused", "denied", "left", "dead", "transactional",
    "transactional only", "do not allow", "not allowed", "disallowed", "paused", "stopped", "excluded",
    "nonsubscribed", "neversubscribed", "notsubscribed", "not opted in", "withdrawn", "out",
    "unknown user",
    "inaktiv", "geloscht", "gekundigt", "inactif", "supprime", "inactivo", "inactiva", "eliminado", "cancelado",
    "inativo", "excluido", "inattivo", "cancellato", "eliminato", "inactief", "verwijderd", "borttagen", "slettet",
    "nieaktywny", "usuniety", "neaktivni", "smazano", "inaktivni", "poistettu", "torolt", "неактивен", "удален",
})  # fmt: skip
_IN_WORDS: Final = frozenset({
    "confirmed", "subscribed", "active", "enabled", "opted in", "opt in", "optin", "single opt in", "double opt in",
    "in",
    "regular", "premium", "gifted", "paid", "free", "comped", "trialing", "deliverable", "valid", "ok", "allowed",
    "allow",
    "explicit", "express", "implied", "implicit", "consented", "granted", "member", "subscriber", "sent", "verified",
    "marketing", "marketing contact", "accepted", "given",
    "aktiv", "angemeldet", "abonniert", "bestatigt", "eingetragen", "actif", "abonne", "abonnee", "inscrit",
    "inscrite", "confirme", "activo", "activa", "suscrito", "suscrita", "confirmado", "ativo", "inscrito", "attivo",
    "iscritto", "iscritta", "confermato", "actief", "ingeschreven", "aangemeld", "bevestigd", "prenumererar",
    "tilmeldt",
    "pameldt", "aktywny", "zapisany", "potwierdzony", "aktivni", "prihlasen", "potvrzeno", "feliratkozott", "tilaaja",
    "активен", "подписан",
})  # fmt: skip
_WAITING_WORDS: Final = frozenset({
    "pending", "unconfirmed", "new", "unactivated", "validating", "awaiting confirmation", "waiting", "not confirmed",
    "unverified", "not verified", "invited", "needs attention", "needsattention", "awaiting", "opt in pending",
    "ausstehend", "unbestatigt", "nicht bestatigt", "wartend", "en attente", "non confirme", "pendiente",
    "sin confirmar",
    "pendente", "in attesa", "non confermato", "in afwachting", "onbevestigd", "vantar", "afventer", "oczekujacy",
    "niepotwierdzony", "cekajici", "nepotvrzeno",
})  # fmt: skip
_YES: Final = frozenset({
    "true", "yes", "y", "t", "1", "on", "x", "ja", "oui", "si", "sim", "wahr", "vrai", "verdadero", "verdadeiro",
    "vero",
    "waar", "sand", "sant", "kylla", "tak", "prawda", "ano", "igen", "da", "да", "так", "checked", "✓", "✔",
})  # fmt: skip
_NO: Final = frozenset({
    "false", "no", "n", "f", "0", "off", "nein", "non", "nao", "nee", "nej", "nei", "ei", "nie", "ne", "nem", "falsch",
    "faux", "falso", "onwaar", "falsk", "falskt", "falsz", "nu", "нет", "ні", "never", "niemals", "jamais",
    "nunca",
    "mai", "nooit", "unchecked",
})  # fmt: skip
_BLANK: Final = frozenset({
    "", "null", "none", "nil", "n a", "na", "nan", "undefined", "unknown", "not set", "not available", "n v",
})  # fmt: skip
_NO_TIME: Final = re.compile(r"(0000-00-00|0001-01-01|1970-01-01|1900-01-0[01])\b")
_TIME: Final = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(\D.*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}(\D.*)?"
    r"|(?:[a-z]{3,9},? )?(?:[a-z]{3,9} \d{1,2}|\d{1,2} [a-z]{3,9}),? \d{4}.*|1\d{9}(?:\d{3})?",
    re.IGNORECASE,
)
_NUMBER: Final = re.compile(r"[+-]?\d+(?:[.,]\d+)?%?")
_NOT_A_WORD: Final = re.compile(r"[\W_]+")
_subscriptions_decoder: Final = msgspec.json.Decoder(list[dict[str, object]])


def fold(text: str) -> str:
    """Words in lower case without accents, one blank between two: `Désabonné_le` is `desabonne le`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    bare = "".join(char for char in unicodedata.normalize("NFKD", spaced) if not unicodedata.combining(char))
    return _NOT_A_WORD.sub(" ", bare.casefold().replace("ø", "o").replace("ł", "l").replace("æ", "ae")).strip()


def speaks_of_leaving(folded: str) -> bool:
    return _LEFT.search(folded) is not None and _NOT_LEFT.search(folded) is None


@lru_cache(maxsize=_CELLS_REMEMBERED_MAX)
def kind_of(cell: str) -> Kind:
    """The kind of a cell's word, independent of its column."""
    text = cell.strip()
    # Marks with which databases and spreadsheets say "nothing here".
    if text in {"", "-", "--", "–", "—", "\\N", "[]", "{}", "#N/A", "''", '""'} or _NO_TIME.match(text):  # noqa: RUF001
        return "blank"
    if text in {"✓", "✔"}:
        return "yes"
    if _TIME.fullmatch(text):
        return "time"
    word = fold(text)
    joined = word.replace(" ", "")
    for words, kind in _KINDS:
        if word in words or joined in words:
            return kind
    if _NUMBER.fullmatch(text):
        return "no" if float(text.rstrip("%").replace(",", ".")) == 0 else "number"
    return "left" if speaks_of_leaving(word) else "other"


_KINDS: Final[tuple[tuple[frozenset[str], Kind], ...]] = (
    (_BLANK, "blank"), (_NO, "no"), (_YES, "yes"), (_IN_WORDS, "in"), (_WAITING_WORDS, "waiting"),
    (_LEFT_WORDS, "left"),
)  # fmt: skip


def read_state(meaning: Meaning, cell: str, newsletter_id: int) -> State | None:
    """The state that the cell gives; None: it gives none. Raises ValueError with a message for the person who wrote
    the cell.
    """
    if meaning == "subscriptions":
        return _of_our_export(cell, newsletter_id)
    kind = kind_of(cell if len(cell) <= _CELL_CHARS_MAX else cell[:_CELL_CHARS_MAX])
    match meaning:
        case "state":
            return _of_status(kind)
        case "opt_out":
            return None if kind in {"blank", "no", "in"} else "unsubscribed"
        case "opt_in":
            return _of_opt_in(kind)
        case "confirmation":
            return "unsubscribed" if kind == "left" else "pending" if kind in {"no", "waiting"} else None
        case _:
            assert_never(meaning)


def _of_status(kind: Kind) -> State | None:
    match kind:
        case "blank":
            return None
        case "in":
            return "confirmed"
        case "waiting":
            return "pending"
        case "left":
            return "unsubscribed"
        case _:
            raise ValueError("This status is not known. It must be confirmed, pending or unsubscribed.")


def _of_opt_in(kind: Kind) -> State | None:
    match kind:
        case "no" | "left":
            return "unsubscribed"
        case "waiting":
            return "pending"
        case "other":
            raise ValueError("It does not say whether this person may be written to. Yes or no is expected.")
        case _:
            return None


def _of_our_export(cell: str, newsletter_id: int) -> State | None:
    """The state on the newsletter of the import. If the cell does not list that newsletter, the state over all that
    it lists.
    """
    if not cell.strip():
        return None
    try:
        held = {one["newsletter_id"]: one["state"] for one in _subscriptions_decoder.decode(cell)}
    except (msgspec.DecodeError, KeyError, TypeError, UnicodeError) as error:
        raise ValueError("The subscriptions are not in the form of an export.") from error
    states = {held[newsletter_id]} if newsletter_id in held else set(held.values())
    if states == {"unsubscribed"}:
        return "unsubscribed"
    return "pending" if states and "confirmed" not in states else None
