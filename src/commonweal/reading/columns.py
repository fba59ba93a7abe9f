"""Names of columns as people write them, and columns that say that a row does not count."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache

OPINION = (
    *("opinion", "opinions", "your opinion", "text", "answer", "response", "comment", "statement"),
    *("meinung", "antwort", "beitrag", "avis", "reponse", "respuesta", "opiniao", "resposta"),
    *("opinione", "risposta", "mening", "antwoord", "svar", "asikt", "opinia", "odpowiedz"),
    *("mielipide", "vastaus", "мнение", "ответ", "意见", "意見", "回答", "의견", "رأي"),
)
"""Names of the column of opinions, as ``plain`` writes them, the likeliest first."""

PARTICIPANT = (
    *("id", "participant", "participant id", "participant_id", "person", "name", "author"),
    *("respondent id", "response id", "responseid", "teilnehmer", "nom", "nombre", "nome"),
    *("naam", "namn", "имя", "姓名", "名前"),
)
"""Names of the column of participants' ids."""

QUESTION = (
    *("question", "questions", "frage", "pregunta", "domanda", "pergunta", "vraag", "fraga"),
    *("pytanie", "kysymys", "sporsmal", "вопрос", "问题", "問題", "質問", "질문", "سؤال"),
)
"""Names of the column of the question."""

GROUP = (
    *("group", "group id", "round", "round id", "conversation", "conversation id", "session"),
    *("table", "gruppe", "runde", "groupe", "grupo", "gruppo", "groep", "grupp"),
)
"""Names of the column that tells many groups in one table apart."""


@lru_cache(maxsize=4096)  # each row of a file has the same names
def plain(name: str) -> str:
    """A name in small letters, without accents and punctuation.

    Example:
        >>> plain("  Your_Opinion: "), plain("Réponse"), plain("Response-ID")
        ('your opinion', 'reponse', 'response id')
    """
    letters = unicodedata.normalize("NFKD", name)
    letters = "".join(c for c in letters if not unicodedata.combining(c))
    return " ".join(re.sub(r"[\W_]+", " ", letters.casefold()).split())


def says_nothing(text: str) -> bool:
    """Whether a text holds nothing to read: no letter, number or symbol, as in "" or "-".

    Example:
        >>> says_nothing(" - "), says_nothing("\u200b"), says_nothing("👍"), says_nothing("No")
        (True, True, False, False)
    """
    return not any(unicodedata.category(character)[0] in "LNS" for character in text)


def column_named(header: Sequence[str], names: Sequence[str]) -> int | None:
    """The place of the column with the likeliest of these names; None where there is none."""
    there = [plain(name) for name in header]
    return next((there.index(plain(name)) for name in names if plain(name) in there), None)


# ------------------------------------------------------------- rows that say they do not count

_NO = frozenset(("", "0", "no", "n", "false", "f", "none", "null", "nein", "non", "nej", "nee"))
_NO |= {"falsch", "faux", "falso", "nao", "не", "нет", "否", "na", "n a", "0 0"}
_MARKED = re.compile(
    r"(?:is |was |has )?(?:been )?(deleted|removed|withdrawn|withdrew|consent withdrawn|"
    r"withdrawn consent|withdrew consent|spam|hidden|rejected|mock|duplicate|bot|test|test response"
    r"|is meta|meta|moderated out|geloscht|zuruckgezogen|supprime|retire|borrado|eliminado)"
    r"(?: at| on| by admin)?"
)
_CONSENT = re.compile(
    r"(?:i |do you |you )?(?:give |given )?(?:informed )?(?:consent|consents|consented|"
    r"einwilligung|zustimmung|consentement|consentimiento|consenso)(?: given| to take part)?"
)
_REFUSED = (_NO - {""}) | {
    "withdrawn",
    "revoked",
    "declined",
    "refused",
    "withdrew",
    "i do not consent",
}
_STATES = {
    "status": {"spam", "test", "preview", "survey preview", "survey test", "deleted", "rejected"}
    | {"withdrawn", "hidden", "removed", "moderated out", "banned", "mock"},
    "moderated": {"1 out", "out", "rejected", "hidden", "spam", "deleted", "removed"},
    "distributionchannel": {"preview", "test"},
    "provenance": {"mock", "dummy", "example", "bot citizen", "bot"},
}
_STATES["state"] = _STATES["moderation"] = _STATES["moderation status"] = _STATES["status"]
_STATES["response status"] = _STATES["distribution channel"] = _STATES["status"]


def is_mark(column: str) -> bool:
    """Whether a column of this name marks rows that do not count: deleted, is-spam, is_meta."""
    return bool(_MARKED.fullmatch(plain(column)))


def says_no(value: str) -> bool:
    """Whether what stands in such a column is a no, in one of the usual ways.

    Example:
        >>> says_no("FAUX"), says_no("0.0"), says_no(""), says_no("y"), says_no("1.0")
        (True, True, True, False, False)
    """
    return plain(value) in _NO


_QUALTRICS_STATES = ("1", "2", "8", "9")
"""Preview, test and spam, where an export gives numbers."""


def why_not_counted(
    row: Mapping[str, object] | Sequence[tuple[str, object]],
) -> str | None:
    """What in a row says that its text is not to be counted, or None.

    Marks of deletion, spam, tests and withdrawn consent are read whatever a file calls them, so
    that no importer takes what its source had taken out: a column such as ``deleted`` or ``spam``
    with anything but no in it, ``consent`` with no, a ``status`` of spam or test, a ``provenance``
    of mock.

    Args:
        row: column to value, or, where two columns may have one name, each with its value.

    Example:
        >>> why_not_counted({"text": "Buy tyres!", "Is-Spam": "TRUE"})
        'Is-Spam is TRUE'
        >>> why_not_counted({"Consent": "No"}), why_not_counted({"spam": 0, "status": "live"})
        ('Consent is No', None)
    """
    cells = list(row.items()) if isinstance(row, Mapping) else row
    qualtrics = any(plain(str(name)) == "responseid" for name, _ in cells)
    for name, given in cells:
        column, value = plain(str(name)), plain("" if given is None else str(given))
        if str(given).strip() == "-1":
            value = "1 out"  # plain() takes the sign: Polis's way to say moderated out
        states = _STATES.get(column)
        if (
            (_MARKED.fullmatch(column) and value not in _NO)
            or (_CONSENT.fullmatch(column) and value in _REFUSED)
            or (states and value in states)
            or (qualtrics and column == "status" and value in _QUALTRICS_STATES)
        ):
            return f"{name} is {str(given).strip()}"
    return None
