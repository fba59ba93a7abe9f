"""What was written as it is stored: a round's candidates, which of them are to be shown, and the
minority's sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import select

from commonweal.rules import RAWLSIAN
from commonweal.selection import Pick, Selection, pick, rank_under
from commonweal.study.domain import revisions
from commonweal.study.domain.privacy import without_notes_on
from commonweal.study.domain.screening import flags_of, screen_statement
from commonweal.study.storage.tables import (
    MinorityRow,
    OpinionRow,
    PredictionRow,
    RoundRow,
    StatementRow,
)
from commonweal.study.storage.transaction import Transaction
from commonweal.study.writing.writer import ArmOutput

if TYPE_CHECKING:
    from commonweal.types import FloatArray

WEAK = "quality"
"""The flag of a statement below the floor of quality (``Selection.min_quality``)."""


def store_statements(tx: Transaction, row: RoundRow, written: Mapping[str, ArmOutput]) -> None:
    """Stores candidates and predictions of each arm, and picks those to be shown.

    A candidate that is taken or rejected makes room for the next best.
    Whoever deleted their data while the model wrote leaves no predictions and no weight behind.

    Args:
        tx: the transaction.
        row: the round.
        written: what was written for each arm.
    """
    people = {
        opinion.name: opinion.participant_id
        for opinion in tx.db.scalars(
            select(OpinionRow).where(OpinionRow.round_id == row.opinions_id)
        )
    }
    revised = revisions.revised_by(tx.db, row)
    rng = np.random.default_rng([row.seed, 1])
    picked: list[StatementRow] = []
    n_stored = 0
    row.provenance, row.notes = {}, []
    for arm in tx.config.arms:
        if arm.name not in written:
            continue
        result = written[arm.name]
        row.provenance = {**row.provenance, arm.name: result.provenance}
        # Whoever has deleted their data since is not quoted.
        gone = {each.id for drawn in result.draws for each in drawn.opinions} - people.keys()
        notes = (f"{arm.name}: {note}" for note in result.notes)
        row.notes = [*row.notes, *without_notes_on(gone, notes)]
        reward_model = str(result.provenance.get("reward_model", arm.reward))
        for number, drawn in enumerate(result.draws):
            statements = _stored(tx, row, arm.name, number, drawn, n_stored)
            n_stored += len(statements)
            left = drawn.of_people(people)
            if revised is not None and drawn.n_standing:
                picked.append(_stands(statements[0], revised[1], left))
                if drawn.n_standing > 1:
                    picked.append(_by_hand(statements[1], left))
            if not left.opinions:
                continue
            _store_predictions(tx, statements, left, people, reward_model)
            rejected = [each.text for each in statements if each.screening == "rejected"]
            taken = [*rejected, *(each.text for each in picked)]
            for chosen in left.picked(avoid=taken, rng=rng).picks:
                statement = statements[chosen.index]
                statement.pick = len(picked)
                _say_why(statement, chosen)
                picked.append(statement)


def replace_rejected(tx: Transaction, rejected: StatementRow) -> StatementRow | None:
    """The next best candidate in the place of one that a person rejected; None where none is left.

    It is the best that remains of the same draw, under the same rule, and is screened like any
    other. Candidates below the floor of quality were rejected from the beginning and never take a
    place. Those that were not on the shortlist may: it often has no more than are shown.
    """
    if rejected.pick is None:
        return None
    everything = list(
        tx.db.scalars(
            select(StatementRow)
            .where(StatementRow.round_id == rejected.round_id)
            .order_by(StatementRow.id)
        )
    )
    draw = [each for each in everything if (each.arm, each.draw) == (rejected.arm, rejected.draw)]
    utilities = _predicted(tx, draw)
    arm = next(each for each in tx.config.arms if each.name == rejected.arm)
    rule = arm.rule_of(rejected.alpha)
    if rule is not None and utilities is None:
        return None  # everybody whose agreement was predicted has deleted their data
    seed = tx.db.get_one(RoundRow, rejected.round_id).seed
    picks = pick(
        [each.text for each in draw],
        rank_under([rule], utilities),
        rng=np.random.default_rng([seed, 2, rejected.id]),
        avoid=[
            each.text
            for each in everything
            if each.pick is not None or each.screening == "rejected"
        ],
    )
    if not picks:
        return None
    (next_best,) = picks
    statement = draw[next_best.index]
    statement.pick = rejected.pick
    _say_why(statement, next_best)
    return statement


def store_minority(tx: Transaction, row: RoundRow, written: ArmOutput) -> None:
    """Keeps the best sentence that the screen lets through, or why there is none."""
    kept = tx.db.get_one(MinorityRow, row.id)
    there = select(OpinionRow.name).where(OpinionRow.round_id == row.opinions_id)
    if not set(kept.included) <= set(tx.db.scalars(there)):
        kept.why = "deleted"
        return
    tried: list[str] = []
    while (best := _best_of(written.draws[0], tried)) is not None:
        text, model = best
        kept.flags = flags_of(text)
        kept.screening = screen_statement(tx.config, kept.flags)
        if kept.screening != "rejected":
            kept.text, kept.model = text, model
            return
        tried.append(text)
    kept.why, kept.screening, kept.flags = "nothing", "clear", []


def _best_of(drawn: Selection, tried: list[str]) -> tuple[str, str] | None:
    """The best sentence that was not tried yet, and the model that wrote it."""
    rule = None if drawn.utilities is None else RAWLSIAN
    for best in drawn.picked([rule], avoid=tried).picks:
        candidate = drawn.candidates[best.index]
        return candidate.text, candidate.model
    return None


def _stands(statement: StatementRow, revised: StatementRow, drawn: Selection) -> StatementRow:
    """The statement that is revised, among its revisions: shown first, however it is judged, since
    people have rated it before.
    """
    for name in ("text", "arm", "policy", "model", "prompt_hash", "seed", "attempt", "included"):
        setattr(statement, name, getattr(revised, name))
    statement.screening, statement.flags = revised.screening, revised.flags
    statement.same_as_id = revised.id
    return _shown_anyway(statement, 0, drawn)


def _by_hand(statement: StatementRow, drawn: Selection) -> StatementRow:
    """The version that the facilitator wrote, who need not let it through."""
    statement.screening, statement.flags = "approved", []
    return _shown_anyway(statement, 1, drawn)


def _shown_anyway(statement: StatementRow, column: int, drawn: Selection) -> StatementRow:
    """The candidate of that column as picked, with what is predicted of it."""
    statement.pick = column
    ranked = drawn.ranked[0] if drawn.ranked else None
    if ranked is not None:
        welfare, ranks = float(ranked.welfare[column]), ranked.ranking.ranks
        _say_why(statement, Pick(column, ranked.rule, welfare, ranks[column]))
    return statement


def _say_why(statement: StatementRow, chosen: Pick) -> None:
    statement.alpha, statement.welfare, statement.rank = chosen.alpha, chosen.welfare, chosen.rank


def _stored(
    tx: Transaction, row: RoundRow, arm: str, number: int, drawn: Selection, n_before: int
) -> list[StatementRow]:
    statements = []
    for column, candidate in enumerate(drawn.candidates):
        flags = flags_of(candidate.text)
        is_weak = column in drawn.weak
        statements.append(
            StatementRow(
                round_id=row.id,
                name=f"c{n_before + column + 1:02d}",
                arm=arm,
                draw=number,
                text=candidate.text,
                policy=candidate.policy,
                model=candidate.model,
                prompt_hash=candidate.prompt_hash,
                seed=candidate.seed,
                attempt=candidate.attempt,
                included=list(candidate.included_opinion_ids),
                # Never shown, whatever the study's moderation: nor in place of another.
                screening="rejected" if is_weak else screen_statement(tx.config, flags),
                flags=[*flags, WEAK] if is_weak else flags,
            )
        )
    tx.db.add_all(statements)
    tx.db.flush()
    return statements


def _store_predictions(
    tx: Transaction,
    statements: Sequence[StatementRow],
    drawn: Selection,
    people: Mapping[str, int],
    reward_model: str,
) -> None:
    tx.db.add_all(
        PredictionRow(
            statement_id=statements[each.column].id,
            participant_id=people[each.participant_id],
            reward_model=reward_model,
            reward=each.reward,
            expected_rating=each.expected_rating,
        )
        for each in drawn.predictions()
    )


def _predicted(tx: Transaction, statements: Sequence[StatementRow]) -> FloatArray | None:
    """Expected ratings [n_participants, n_statements] as stored; None where there are none."""
    place = {each.id: index for index, each in enumerate(statements)}
    given: dict[int, dict[int, float]] = {}
    for prediction in tx.db.scalars(
        select(PredictionRow)
        .where(PredictionRow.statement_id.in_(place))
        .order_by(PredictionRow.participant_id)
    ):
        row = given.setdefault(prediction.participant_id, {})
        row[place[prediction.statement_id]] = prediction.expected_rating
    if not given:
        return None
    return np.array([[row[index] for index in range(len(place))] for row in given.values()])
