"""Time in which nobody could take part is nobody's: deadlines move by it.

While a study is served its row notes every few seconds what time it is: its beat. Where the next
move comes much later than the last beat, the server was killed, its machine slept, or the clock was
set; where it comes before the last beat, the clock was set back. All times that are compared with
"now" are then moved by as much, before anything else happens: everybody has as much time left as
they had. What is stored of the past stays as it is.
"""

from __future__ import annotations

from sqlalchemy import select, update

from commonweal.study.storage.tables import GroupRow, JobRow, ParticipantRow, RoundRow
from commonweal.study.storage.transaction import Transaction

BEAT_SECONDS = 5.0
GAP_SECONDS = 15.0
"""Less than this between two beats is a slow machine, or two servers whose clocks differ."""
GAP = "gap"
"""The kind of the event that tells of a gap; its details say of how many seconds."""
_ENDED = ("finished", "dissolved")


def beat(tx: Transaction) -> None:
    """Notes that the study is being served now. From the first beat on gaps are bridged."""
    last = tx.study.beat_at
    if last is None or tx.now - last >= BEAT_SECONDS:
        tx.study.beat_at = tx.now


def steady(now: float, beat_at: float | None) -> float:
    """``now``, and never a little before the last beat: clocks of two servers differ somewhat."""
    if beat_at is not None and 0 < beat_at - now <= GAP_SECONDS:
        return beat_at
    return now


def renew_pages(tx: Transaction) -> None:
    """Has everybody's page look again."""
    for group in tx.db.scalars(
        select(GroupRow).where(GroupRow.study_id == tx.study.id, GroupRow.stage.not_in(_ENDED))
    ):
        tx.touch(group)
    tx.touch(None)


def bridge(tx: Transaction) -> float:
    """The seconds by which everything that runs was moved: 0 where there was no gap."""
    last = tx.study.beat_at
    if last is None or abs(tx.now - last) <= GAP_SECONDS:
        return 0.0
    gap = tx.now - last
    of_study = GroupRow.study_id == tx.study.id
    for group in tx.db.scalars(select(GroupRow).where(of_study, GroupRow.stage.not_in(_ENDED))):
        group.deadline += gap
        group.stage_since += gap
        if group.paused_at is not None:
            group.paused_at += gap
    tx.db.flush()
    tx.db.execute(
        update(ParticipantRow)
        .where(ParticipantRow.study_id == tx.study.id, ParticipantRow.outcome.is_(None))
        .values(
            stage_since=ParticipantRow.stage_since + gap,
            last_seen_at=ParticipantRow.last_seen_at + gap,
        )
    )
    if gap < 0:  # a worker's lease runs out in a gap: the worker is gone, or renews it
        rounds = (
            select(RoundRow.id).join(GroupRow, RoundRow.group_id == GroupRow.id).where(of_study)
        )
        tx.db.execute(
            update(JobRow)
            .where(JobRow.round_id.in_(rounds))
            .values(lease_until=JobRow.lease_until + gap)
        )
    tx.study.beat_at = tx.now
    renew_pages(tx)
    tx.log(GAP, seconds=round(gap, 1))
    tx.db.flush()
    return gap
