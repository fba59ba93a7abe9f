"""What the main job brings back: a result that can be revised, judged anew, shown and stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from commonweal.calling import check, checked, limited
from commonweal.errors import InputError
from commonweal.models import DEFAULT_MODEL, load_language_model
from commonweal.outcomes import Verdict
from commonweal.result.record import AgreementRecord
from commonweal.result.stored import SCHEMA, agreement_from_dict, agreement_to_dict
from commonweal.rewards.choosing import loaded_as_before
from commonweal.rules import Welfare, resolve_rule
from commonweal.selection import MIN_QUALITY, N_CANDIDATES, check_min_quality, check_seed
from commonweal.showing import MAX_ROWS_DRAWN, FrameKind, Plot, frame_of, html_table, plot_ratings
from commonweal.types import RATING_MAX, RATING_MIN, no_progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from commonweal.policies.prompts import RevisionTemplate
    from commonweal.revising import Critiques
    from commonweal.rewards.prompted_cost import Cost
    from commonweal.types import LanguageModel, Progress, RewardModel


class Agreement(AgreementRecord):
    """The result: a selection under one welfare rule, and its outcome.

    ``closest`` is the best candidate that is worth showing. If enough people are predicted to
    agree, it is ``chosen``, and its text is the group's ``statement``; otherwise both are None, and
    ``outcome`` and ``reason`` say why.

    Its arrays are read-only. It can be pickled, and equals its copy and what ``from_dict`` makes of
    its ``to_dict``.

    Attributes:
        min_agreeing: the smallest share of the group, from 0 to 1, that must be predicted to agree
            (expected rating above 4) for an outcome "statement found". In any case somebody's
            range must reach it, and at most half may be likely to disagree; None requires nothing.
        explanation: why predictions are as they are; None if the reward model cannot tell.
        before: the result that this one revises; None in a first round. Its ``closest`` is the
            first candidate, scored again from opinion and critique.
        critiques: what people would change about that; people without one would change nothing.
        minority: what was written for those who disagree with the closest, from their opinions, and
            picked for them alone; None if nothing was asked for.
        population: with many people: estimates for all. The rows (``opinions``, ``utilities``) are
            then a panel of them; ``agreeing`` and ``dissent`` are those of the panel, ``outcome``
            and ``welfare`` those of all.
    """

    __slots__ = ()

    @limited
    def revise(
        self,
        critiques: Critiques,
        *,
        model: str | LanguageModel = DEFAULT_MODEL,
        template: str | RevisionTemplate | None = None,
        reward: str | RewardModel | None = None,
        n_candidates: int = N_CANDIDATES,
        seed: int = 0,
        min_quality: float | Literal["auto"] | None = "auto",
        on_progress: Progress | None = None,
        on_cost: Callable[[Cost], None] | None = None,
        timeout_seconds: float | None = None,  # noqa: ARG002 - heard by ``limited``
    ) -> Agreement:
        """The result of the next round: the closest text, revised from what people would change.

        The old text is among the revisions and wins ties; where a model of two billion parameters
        or fewer writes, a revision must be a point of 7 better on average. The rule and the omitted
        people stay.

        Args:
            critiques: what each person would change about ``closest``, by id or as records; people
                without one, or with a blank one, would change nothing.
            model: the language model that writes, by name or as an object.
            template: the path of a prompt template for revisions, instead of ours.
            reward: what predicts agreement, by name or as an object; by default what did before.
            n_candidates: how many revisions to write.
            seed: as for ``find_agreement``.
            min_quality: likewise; by default that of the first round, and 3.5 at most.
            on_progress: likewise.
            on_cost: likewise.
            timeout_seconds: likewise.

        Raises:
            InputError: there is no text to revise, nobody says anything, or somebody is not in the
                group.
            WeightsError, EngineError, TimeLimitError: as ``find_agreement``.

        Source: Tessler et al. 2024.
        """
        if self.population is not None:
            raise InputError(
                f"this is a result of {self.population.n_people:,} people, whose critiques do not "
                "fit one prompt; revise with a group of up to 100"
            )
        from commonweal.revising import check_critiques, revise

        if self.closest is None:
            raise InputError(f"there is no text to revise: {self.reason} Try another seed first")
        critiques_checked, notes = check_critiques(critiques, self.opinions)
        check_seed(seed)
        if min_quality == "auto":
            asked = self.first_round.min_quality  # what a round before raised it to is that round's
            min_quality = None if asked is None else min(MIN_QUALITY, asked)
        check_min_quality(min_quality)
        writer = load_language_model(model) if isinstance(model, str) else model
        check()
        predictor = loaded_as_before(reward, self.provenance, writer=writer, on_cost=on_cost)
        check()
        selection, why = revise(
            self,
            self.closest,
            critiques_checked,
            model=writer,
            template=template,
            reward=predictor,
            rule=self.rule,
            n_candidates=n_candidates,
            seed=seed,
            min_quality=min_quality,
            on_progress=checked(on_progress or no_progress),
            earlier=self.all_critiques,
        )
        taken = {"taken": selection.candidates[0].id, "taken_by": self.taken_by}
        return Agreement.of(
            selection,
            notes=(*notes, *selection.notes, *getattr(predictor, "notes", ())),
            provenance=selection.provenance | (taken if self.taken_by else {}),
            min_agreeing=self.min_agreeing,
            explanation=why,
            before=self,
            critiques=critiques_checked,
        )

    def under(self, welfare: Welfare | None = None, *, alpha: float | None = None) -> Agreement:
        """The same candidates and utilities under another welfare function: nothing is generated.

        Raises:
            InputError: an unknown welfare function or an alpha outside the domain.
        """
        other = self.open_to_rules().picked([resolve_rule(welfare, alpha)])
        # An explanation is of one text.
        is_same = other.closest_index == self.closest_index
        if is_same:
            return other
        return replace(other, explanation=None, minority=None, population=None)

    def to_frame(self, kind: FrameKind = "polars") -> Any:
        """One row for each person and candidate, best candidate first, as polars or pandas.

        Columns: candidate_id, rank, welfare, is_statement, text, participant_id,
        expected_rating; low and high where the reward model gives ranges.

        Raises:
            InputError: pandas is asked for and not installed.
        """
        pairs = [(c, row) for c in self.ranking.order for row in range(len(self.opinions))]
        columns: dict[str, list[Any]] = {
            "candidate_id": [self.candidates[c].id for c, _ in pairs],
            "rank": [self.ranking.ranks[c] for c, _ in pairs],
            "welfare": [float(self.welfare[c]) for c, _ in pairs],
            "is_statement": [self.candidates[c] is self.chosen for c, _ in pairs],
            "text": [self.candidates[c].text for c, _ in pairs],
            "participant_id": [self.opinions[row].id for _, row in pairs],
            "expected_rating": [float(self.utilities[row, c]) for c, row in pairs],
        }
        for name, ends in (("low", self.low), ("high", self.high)):
            if ends is not None:
                columns[name] = [float(ends[row, c]) for c, row in pairs]
        return frame_of(columns, kind)

    def plot(self) -> Plot:
        """Each person's expected rating of the best candidates; a notebook shows it.

        Raises:
            InputError: there is no candidate.
        """
        if not self.candidates:
            raise InputError(f"there is nothing to draw: {self.reason}")
        order = [int(c) for c in self.ranking.order[:MAX_ROWS_DRAWN]]
        drawn = self.welfare[order]
        in_unit = (drawn >= RATING_MIN) & (drawn <= RATING_MAX)
        index = None if self.statement is None else self.closest_index
        return plot_ratings(
            [f"{self.candidates[c].id}: {self.candidates[c].text}" for c in order],
            self.utilities[:, order],
            np.where(in_unit, drawn, np.nan),
            best=order.index(index) if index in order else None,
            caption=(
                f"{self.question.text} The {len(order)} best of {len(self.candidates)} candidates "
                f"by {self.welfare_name}; ratings are predicted by "
                f"{self.provenance['reward_model']}, and nobody has voted."
            ),
        )

    def _repr_html_(self) -> str:
        index = self.closest_index
        verdicts = () if index is None else self.verdicts(index)
        rows: list[tuple[object, ...]] = [("Outcome", self.outcome.value)]
        if self.closest is not None:
            name = "Statement" if self.statement is not None else "Comes closest"
            rows.append((name, self.closest.text))
        if self.reason:
            rows.append(("Why", self.reason))
        for each in Verdict:
            who = [o.id for o, v in zip(self.opinions, verdicts, strict=False) if v is each]
            rows.append((each.value.capitalize(), ", ".join(who) or "nobody"))
        rows.append(("Predicted by", f"{self.provenance['reward_model']}; nobody has voted"))
        return html_table(self.question.text, rows)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values that JSON can hold (an infinite α as the string "inf")."""
        return agreement_to_dict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Agreement:
        """The agreement that ``to_dict`` wrote, also in an older layout.

        Raises:
            InputError: it is no such dictionary; the message says what is wrong.
        """
        return agreement_from_dict(cls, data)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        """In a pydantic model it is what ``to_dict`` writes, and read by ``from_dict``."""
        from pydantic_core import core_schema

        def read(given: Any) -> Agreement:
            try:
                return given if isinstance(given, cls) else cls.from_dict(given)
            except (InputError, AttributeError) as error:
                raise ValueError(str(error)) from error

        return core_schema.no_info_plain_validator_function(
            read,
            serialization=core_schema.plain_serializer_function_ser_schema(
                cls.to_dict, return_schema=core_schema.dict_schema()
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: Any, _handler: Any) -> dict[str, Any]:
        return {"type": "object", "title": cls.__name__, "description": f"As in {SCHEMA}."}
