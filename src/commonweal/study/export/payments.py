"""Who is to be paid for what: the one list that holds recruiter's ids."""

from __future__ import annotations

import csv
import io
import re

from sqlalchemy import select

from commonweal.study.domain import people
from commonweal.study.storage.store import Store
from commonweal.study.storage.tables import ParticipantRow, RecruiterIdsRow, StudyRow

_SIGNS = "=+\\-@＝＋－＠"
_BLANK = r"\s\"'\u00ad\u200b-\u200f\u2060\ufeff"
"""What may stand before a sign and is not seen, or is taken away."""
_HEAD = re.compile(rf"[{_BLANK}]*")
_FORMULA = re.compile(rf"[{_BLANK}]*[{_SIGNS}]|[\s']*[\t\r]")
# All that is blank is taken at once, whether or not a sign follows: a text of separators would else
# be read again from each of them.
_WITHIN = re.compile(rf"([;,|\t\r\n][{_BLANK}]*)([{_SIGNS}]?)")


def payments(store: Store, study_id: int, *, actor: str = "command line") -> str:
    """Who is to be paid for what, as CSV: the only place where recruiter's ids are given out.

    Where several people came with one number it stands in several rows, and the last column says
    in how many: who of them it belongs to is known to the recruiter alone.

    The audit says that ``actor`` asked.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    writer.writerow(
        (
            "recruiter_participant",
            "recruiter_session",
            "outcome",
            "code",
            "n_rounds",
            "n_with_this_number",
        )
    )
    with store.read() as db:
        config = store.config_of(db.get_one(StudyRow, study_id))
        for ids, person in db.execute(
            select(RecruiterIdsRow, ParticipantRow)
            .join(ParticipantRow, RecruiterIdsRow.participant_id == ParticipantRow.id)
            .where(ParticipantRow.study_id == study_id)
            .order_by(RecruiterIdsRow.recruiter_participant)
        ):
            code = config.code(person.outcome) if person.outcome else ""
            cells = (
                ids.recruiter_participant,
                ids.recruiter_session,
                person.outcome or "taking part",
                code,
                str(person.n_rounds_completed),
                str(people.n_with_number(db, study_id, ids.recruiter_participant)),
            )
            writer.writerow([safe_cell(cell) for cell in cells])
    with store.transaction(study_id) as tx:
        tx.log("payments listed", actor=actor)
    return out.getvalue()


def safe_cell(cell: str) -> str:
    """The cell, behind a "'" wherever a spreadsheet would calculate what follows.

    Also within it: some read ";" or a tab as the end of a cell, whatever quotes say.
    """
    head = _HEAD.match(cell)
    begins = head.end() if head else 0
    rest = _WITHIN.sub(_guarded, cell[begins:])
    quote = "'" if _FORMULA.match(cell) else ""
    return f"{quote}{cell[:begins]}{rest}"


def _guarded(match: re.Match[str]) -> str:
    return f"{match[1]}'{match[2]}" if match[2] else match[1]
