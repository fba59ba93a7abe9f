"""One transaction on one study: what everything that happens in a study is done in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from commonweal.study.config import StudyConfig
from commonweal.study.storage.tables import EventRow, GroupRow, ParticipantRow, StudyRow


@dataclass
class Transaction:
    """One transaction on one study, which nobody else moves meanwhile.

    Attributes:
        db: the session.
        study: the study's row, locked.
        config: what the study is.
        now: the time of everything that happens in it.
        is_touched: whether what somebody sees has changed.
        has_job: whether there is something new to write.
        has_deleted: whether somebody's data were deleted, of which no trace is to stay in files.
    """

    db: Session
    study: StudyRow
    config: StudyConfig
    now: float
    is_touched: bool = False
    has_job: bool = False
    has_deleted: bool = False

    def __post_init__(self) -> None:
        # A session forgets a row that nobody holds, and asks the database for it again.
        held: list[object] = []
        event.listen(self.db, "loaded_as_persistent", lambda _session, row: held.append(row))

    def log(
        self,
        kind: str,
        *,
        actor: str = "machine",
        group: GroupRow | None = None,
        person: ParticipantRow | None = None,
        **details: Any,
    ) -> None:
        """Appends an event to the audit. Of what a person did the minute is kept, and no more."""
        self.db.add(
            EventRow(
                study_id=self.study.id,
                at=self.now if person is None else self.now // 60 * 60,
                actor=actor,
                kind=kind,
                group_id=group.id if group else None,
                participant_id=person.id if person else None,
                details=details,
            )
        )

    def touch(self, group: GroupRow | None) -> None:
        """Says that what people of the group (or of the lobby) see has changed."""
        self.is_touched = True
        if group is None:
            self.study.lobby_version += 1
        else:
            group.version += 1
