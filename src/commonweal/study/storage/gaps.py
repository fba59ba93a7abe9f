"""Time in which nobody could take part is nobody's: deadlines move by it.

While a study is served its row notes every few seconds what time it is: its beat. Where the next
move comes much later than the last beat, the server was killed, its machine slept, or the clock was
set; where it comes before the last beat, the clock was set back. All times that are compared with
"now" are then moved by as much, before anything else happens: everybody has as much time left as
they had. What is stored of the past stays as it is.
"""

from __future__ import annotations

from sqlalchemy import select, update

from commonweal.study.storage.tables import Group, Job, Participant, Round
from commonweal.study.storage.transaction import Turn

BEAT_SECONDS = 5.0
GAP_SECONDS = 15.0
"""Less than this between two beats is a slow machine, or two servers whose clocks differ."""
GAP = "gap"
"""The kind of the event that tells of a gap; its details say of how many seconds."""
_ENDED = ("finished", "dissolved")


def beat(turn: Turn) -> None:
    """Notes that the study is being served now. From the first beat on gaps are bridged."""
    last = turn.study.beat_at
    if last is None or turn.now - last >= BEAT_SECONDS:
        turn.study.beat_at = turn.now


def steady(now: float, beat_at: float | None) -> float:
    """``now``, and never a little before the last beat: clocks of two servers differ somewhat."""
    if beat_at is not None and 0 < beat_at - now <= GAP_SECONDS:
        return beat_at
    return now


def renew_pages(turn: Turn) -> None:
    """Has everybody's page look again."""
    for group in turn.db.scalars(
        select(Group).where(Group.study_id == turn.study.id, Group.stage.not_in(_ENDED))
    ):
        turn.touch(group)
    turn.touch(None)


def bridge(turn: Turn) -> float:
    """The seconds by which everything that runs was moved: 0 where there was no gap."""
    last = turn.study.beat_at
    if last is None or abs(turn.now - last) <= GAP_SECONDS:
        return 0.0
    gap = turn.now - last
    of_study = Group.study_id == turn.study.id
    for group in turn.db.scalars(select(Group).where(of_study, Group.stage.not_in(_ENDED))):
        group.deadline += gap
        group.stage_since += gap
        if group.paused_at is not None:
            group.paused_at += gap
    turn.db.flush()
    turn.db.execute(
        update(Participant)
        .where(Participant.study_id == turn.study.id, Participant.outcome.is_(None))
        .values(
            stage_since=Participant.stage_since + gap, last_seen_at=Participant.last_seen_at + gap
        )
    )
    if gap < 0:  # a worker's lease runs out in a gap: the worker is gone, or renews it
        rounds = select(Round.id).join(Group, Round.group_id == Group.id).where(of_study)
        turn.db.execute(
            update(Job).where(Job.round_id.in_(rounds)).values(lease_until=Job.lease_until + gap)
        )
    turn.study.beat_at = turn.now
    renew_pages(turn)
    turn.log(GAP, seconds=round(gap, 1))
    turn.db.flush()
    return gap
