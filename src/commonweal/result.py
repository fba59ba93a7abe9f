"""What the main job brings back: the selection under one welfare rule, and what came of it.

That a group has no statement is as good a result as a statement: see ``Outcome``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from commonweal.calling import check, checked, limited
from commonweal.errors import InputError
from commonweal.models import DEFAULT_MODEL, load_language_model
from commonweal.outcomes import (
    MAX_DISAGREEING,
    Dissent,
    Explanation,
    Outcome,
    PersonLeftOut,
    Verdict,
    explanation_from_dict,
    left_out,
    verdict,
)
from commonweal.population import Population
from commonweal.rewards import DEFAULT_REWARD_MODEL, load_reward_model
from commonweal.rules import RAWLSIAN, Welfare, resolve_rule
from commonweal.selection import (
    MIN_QUALITY,
    N_CANDIDATES,
    Pick,
    Ranked,
    Selection,
    check_min_quality,
    check_seed,
    selection_from_dict,
    selection_to_dict,
)
from commonweal.showing import (
    MAX_ROWS_DRAWN,
    FrameKind,
    Plot,
    frame_of,
    html_table,
    plot_ratings,
)
from commonweal.types import (
    RATING_MAX,
    RATING_MIN,
    RATING_NEUTRAL,
    Candidate,
    Critique,
    no_progress,
)
from commonweal.welfare import WELFARE_FUNCTIONS, FloatArray, Ranking, WelfareRule

if TYPE_CHECKING:
    from collections.abc import Callable

    from commonweal.policies.prompts import RevisionTemplate
    from commonweal.revising import Critiques
    from commonweal.rewards.prompted_cost import Cost
    from commonweal.types import LanguageModel, Progress, RewardModel

SCHEMA = "commonweal/agreement/2"
"""Name and version of the layout that ``Agreement.to_dict`` writes."""

_SCHEMAS = ("commonweal/agreement/1", SCHEMA)
"""Those that ``Agreement.from_dict`` reads. The first had no rewards and one pick."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Agreement(Selection):
    """The result: a selection under one welfare rule, and its outcome.

    ``closest`` is the best candidate that is worth showing. If enough people are predicted to
    agree, it is ``chosen``, and its text is the group's ``statement``; otherwise both are None, and
    ``outcome`` and ``reason`` say why.

    Its arrays are read-only. It can be pickled, and equals its copy and what ``from_dict`` makes of
    its ``to_dict``.

    Attributes:
        min_agreeing: the smallest share of the group, from 0 to 1, that must be predicted to agree
            (expected rating above 4) for an outcome "statement found". In any case somebody must,
            and at most half may be likely to disagree; None requires nothing.
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

    utilities: FloatArray
    min_agreeing: float | None = None
    explanation: Explanation | None = None
    before: Agreement | None = None
    critiques: tuple[Critique, ...] = ()
    minority: Selection | None = None
    population: Population | None = None

    @classmethod
    def of(cls, selection: Selection, **changes: Any) -> Agreement:
        """The agreement that a selection under one rule is, with these fields changed."""
        return cls(
            **{each.name: getattr(selection, each.name) for each in fields(selection)} | changes
        )

    @property
    def outcome(self) -> Outcome:
        """Whether a statement was found, and if not, why in a word."""
        if self.closest_index is None:
            return Outcome.NO_STATEMENT
        if self.min_agreeing is None:
            return Outcome.FOUND
        n_people, n_agreeing = len(self.opinions), len(self.agreeing)
        too_few = n_agreeing == 0 or n_agreeing < self.min_agreeing * n_people
        if self.population is not None and self.population.agreeing is not None:
            share = self.population.agreeing.value
            too_few = share == 0 or share < self.min_agreeing
        # The panel of many is drawn so that it is a picture of all.
        too_many = self._n_disagreeing > MAX_DISAGREEING * n_people
        return Outcome.NO_AGREEMENT if too_few or too_many else Outcome.FOUND

    @property
    def reason(self) -> str:
        """Why there is no statement, in a sentence; "" if there is one."""
        n_people = len(self.opinions)
        match self.outcome:
            case Outcome.FOUND:
                return ""
            case Outcome.NO_AGREEMENT:
                n_agreeing = len(self.agreeing)
                if self._n_disagreeing > MAX_DISAGREEING * n_people:
                    judged = " judged" if self.is_sample else ""
                    return (
                        f"{self._n_disagreeing} of {n_people} people{judged} are likely to "
                        "disagree with the text that comes closest."
                    )
                if self.population is not None:
                    return (
                        f"Only {self.population.agreeing} of {self.population.n_people:,} people "
                        "are predicted to agree with the text that comes closest."
                    )
                who = "Nobody" if not n_agreeing else f"Only {n_agreeing} of {n_people} people"
                verb = "are" if n_agreeing > 1 else "is"
                return f"{who} {verb} predicted to agree with the text that comes closest."
            case Outcome.NO_STATEMENT if not self.candidates:
                reasons = Counter(each.reason.value for each in self.rejections).most_common()
                counted = ", ".join(f"{n} {reason}" for reason, n in reasons)
                return (
                    f"None of {self.n_sampled} texts that were written can be shown to the group"
                    f"{f': {counted}' if counted else ''}."
                )
            case Outcome.NO_STATEMENT:
                best = (
                    ""
                    if self.qualities is None
                    else f", and the best has {max(self.qualities):.1f}"
                )
                return (
                    f"None of {len(self.candidates)} candidates makes enough sense as a group's "
                    f"statement: {self.min_quality:g} of 7 is required{best}."
                )

    @property
    def statement(self) -> str | None:
        """The group's statement; None if none was found."""
        return None if self.chosen is None else self.chosen.text

    @property
    def chosen(self) -> Candidate | None:
        """The candidate that is the group's statement; None if none was found."""
        return self.closest if self.outcome is Outcome.FOUND else None

    @property
    def closest(self) -> Candidate | None:
        """The candidate of highest welfare of those worth showing; of those that tie, the one
        generated first. None where none is worth showing.
        """
        index = self.closest_index
        return None if index is None else self.candidates[index]

    @property
    def closest_index(self) -> int | None:
        """Which of the candidates comes closest, from 0: the column of the arrays."""
        return self.picks[0].index if self.picks else None

    @property
    def agreeing(self) -> tuple[str, ...]:
        """The ids of those who are predicted to agree with the closest (expected rating > 4)."""
        if self.closest_index is None:
            return ()
        expected = self.utilities[:, self.closest_index]
        return tuple(
            opinion.id
            for opinion, rating in zip(self.opinions, expected, strict=True)
            if rating > RATING_NEUTRAL
        )

    @property
    def _n_disagreeing(self) -> int:
        """How many are likely to disagree with the closest."""
        index = self.closest_index
        return 0 if index is None else self.verdicts(index).count(Verdict.DISAGREES)

    def verdicts(self, column: int) -> tuple[Verdict, ...]:
        """What is predicted of everybody and one candidate, in words, in the group's order."""
        if self.low is None or self.high is None:
            return tuple(map(verdict, map(float, self.utilities[:, column])))
        three = (self.utilities[:, column], self.low[:, column], self.high[:, column])
        return tuple(verdict(*map(float, each)) for each in zip(*three, strict=True))

    @property
    def is_sample(self) -> bool:
        """Whether the rows are a sample of the people: no minimum over them is that of all."""
        return self.population is not None and self.population.is_sample

    @property
    def _ranked(self) -> Ranked:
        ranked = self.ranked[0]
        assert ranked is not None  # noqa: S101 - for the type checker: an agreement has a rule
        return ranked

    @property
    def rule(self) -> WelfareRule:
        """The welfare rule that chose."""
        return self._ranked.rule

    @property
    def welfare_name(self) -> str:
        """The name of the rule that chose: "utilitarian", or "isoelastic, α = 2"."""
        return self.rule.name

    @property
    def alpha(self) -> float | None:
        """The inequality aversion of the rule that chose; None where it has none."""
        return self.rule.alpha

    @property
    def welfare(self) -> FloatArray:
        """float64 [n_candidates], higher is better. In the unit of the utilities for every α; a
        rule that has none may have a unit of its own.
        """
        return self._ranked.welfare

    @property
    def ranking(self) -> Ranking:
        """The candidates by welfare."""
        return self._ranked.ranking

    @property
    def is_tie(self) -> bool:
        """Whether another candidate worth showing has the same welfare as the closest."""
        return len(self.tied) > 1

    @property
    def tied(self) -> tuple[Candidate, ...]:
        """The candidates worth showing that tie with the closest, which comes first."""
        if self.closest_index is None:
            return ()
        best = self.ranking.ranks[self.closest_index]
        return tuple(
            self.candidates[index] for index in self.choosable if self.ranking.ranks[index] == best
        )

    @property
    def dissent(self) -> tuple[Dissent, ...]:
        """Who is predicted to disagree with the closest (expected rating < 4), worst first."""
        if self.closest_index is None:
            return ()
        expected = self.utilities[:, self.closest_index]
        dissenters = [
            Dissent(opinion.id, float(rating))
            for opinion, rating in zip(self.opinions, expected, strict=True)
            if rating < RATING_NEUTRAL
        ]
        return tuple(sorted(dissenters, key=lambda dissent: dissent.expected_rating))

    @property
    def left_out(self) -> tuple[PersonLeftOut, ...]:
        """Those of whose own words the closest takes up none (``outcomes.left_out``)."""
        if self.closest is None:
            return ()
        return left_out(self.question.text, self.opinions, self.closest.text)

    @property
    def minority_statement(self) -> str | None:
        """The minority's own sentence, to be shown with the statement; None without one."""
        if self.minority is None or not self.minority.shown:
            return None
        return self.minority.shown[0].text

    @property
    def is_minority_found(self) -> bool:
        """Whether those of ``minority`` were found to disagree, and not only predicted to."""
        return self.minority is not None and self.minority.provenance.get("basis") == "found"

    @property
    def is_revised(self) -> bool:
        """Whether a revision is predicted to be better than what it revises, and taken."""
        index = self.closest_index
        return self.before is not None and index is not None and index >= self.n_standing

    @property
    def gains(self) -> dict[str, float]:
        """By how many points everybody's expected rating of the closest is above that of the text
        that it revises, both predicted from opinion and critique; {} of a first round.
        """
        if self.before is None or self.closest_index is None:
            return {}
        changes = self.utilities[:, self.closest_index] - self.utilities[:, 0]
        return {
            opinion.id: float(change)
            for opinion, change in zip(self.opinions, changes, strict=True)
        }

    @limited
    def revise(
        self,
        critiques: Critiques,
        *,
        model: str | LanguageModel = DEFAULT_MODEL,
        template: str | RevisionTemplate | None = None,
        reward: str | RewardModel = DEFAULT_REWARD_MODEL,
        n_candidates: int = N_CANDIDATES,
        seed: int = 0,
        min_quality: float | None = MIN_QUALITY,
        on_progress: Progress | None = None,
        on_cost: Callable[[Cost], None] | None = None,
        timeout_seconds: float | None = None,  # noqa: ARG002 - heard by ``limited``
    ) -> Agreement:
        """The result of the next round: the closest text, revised from what people would change.

        The old text is among the revisions and wins ties. The rule and the omitted people stay.

        Args:
            critiques: what each person would change about ``closest``, by id or as records; people
                without one, or with a blank one, would change nothing.
            model: the language model that writes, by name or as an object.
            template: the path of a prompt template for revisions, instead of ours.
            reward: what predicts agreement, by name or as an object.
            n_candidates: how many revisions to write.
            seed: as for ``find_agreement``.
            min_quality: likewise.
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
        check_min_quality(min_quality)
        writer = load_language_model(model) if isinstance(model, str) else model
        check()
        predictor = (
            load_reward_model(reward, writer=writer, on_cost=on_cost)
            if isinstance(reward, str)
            else reward
        )
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
        return Agreement.of(
            selection,
            notes=(*notes, *selection.notes, *getattr(predictor, "notes", ())),
            min_agreeing=self.min_agreeing,
            explanation=why,
            before=self,
            critiques=critiques_checked,
        )

    @property
    def all_critiques(self) -> tuple[tuple[Critique, ...], ...]:
        """The critiques of every round so far, the oldest first."""
        if self.before is None:
            return ()
        return (*self.before.all_critiques, self.critiques)

    def under(self, welfare: Welfare | None = None, *, alpha: float | None = None) -> Agreement:
        """The same candidates and utilities under another welfare function: nothing is generated.

        Raises:
            InputError: an unknown welfare function or an alpha outside the domain.
        """
        other = self.picked([resolve_rule(welfare, alpha)])
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
        data = selection_to_dict(self)
        (rule,) = data.pop("rules")
        welfare, passed_over = rule.pop("welfare"), self.passed_over
        for index, candidate in enumerate(data["candidates"]):
            candidate |= {
                "rank": self.ranking.ranks[index],
                "welfare": welfare[index],
                "worth_showing": index not in self.weak,
                "may_be_chosen": index not in passed_over,
            }
        for name in ("picks", "seed", "n_sampled"):  # said by "chosen" and "provenance"
            del data[name]
        return {
            "schema": SCHEMA,
            "question": data.pop("question"),
            "outcome": self.outcome.value,
            "reason": self.reason,
            "statement": self.statement,
            "chosen": _id(self.chosen),
            "closest": _id(self.closest),
            "min_agreeing": self.min_agreeing,
            "tied": [each.id for each in self.tied] if self.is_tie else [],
            "welfare": rule,
            "predicted_dissent": [
                {
                    "participant": dissent.participant_id,
                    "expected_rating": dissent.expected_rating,
                    "below_neutral": dissent.below_neutral,
                }
                for dissent in self.dissent
            ],
            "other_welfare_functions": {
                name: _id(self.under(name).closest)
                for name in WELFARE_FUNCTIONS
                if not self.is_sample or resolve_rule(name) != RAWLSIAN
            },
            "explanation": None if self.explanation is None else asdict(self.explanation),
            **(
                {}
                if self.minority is None
                else {
                    "minority_statement": self.minority_statement,
                    "minority": selection_to_dict(self.minority),
                }
            ),
            **self._chain(),
            **({} if self.population is None else {"population": self.population.to_dict()}),
            **data,
        }

    def _chain(self) -> dict[str, Any]:
        """The round before, whole, with what was said of it; nothing of a first round."""
        if self.before is None:
            return {}
        return {
            "is_revised": self.is_revised,
            "critiques": [asdict(each) for each in self.critiques],
            "predicted_gains": self.gains,
            "before": self.before.to_dict(),
        }

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

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Agreement:
        """The agreement that ``to_dict`` wrote, also in an older layout.

        Raises:
            InputError: it is no such dictionary; the message says what is wrong.
        """
        if data.get("schema") not in _SCHEMAS:
            raise InputError(
                f"the schema is {data.get('schema')!r}; expected one of {', '.join(_SCHEMAS)}, as "
                "`commonweal agree --json` writes"
            )
        try:
            rule = data["welfare"] | {"welfare": [each["welfare"] for each in data["candidates"]]}
            provenance = data["provenance"]
            selection = selection_from_dict(
                {
                    **data,
                    "rules": [rule],
                    "picks": [],
                    "seed": [provenance["seed"]],
                    "n_sampled": provenance["n_completions_sampled"],
                }
            )
            closest = data.get("closest", data["chosen"])
            if data["chosen"] not in (None, closest):
                raise ValueError(f"{data['chosen']!r} is chosen and {closest!r} is closest")
            picks: tuple[Pick, ...] = ()
            if closest is not None:
                index = [each.id for each in selection.candidates].index(closest)
                (ranked,) = selection.ranked
                assert ranked is not None  # noqa: S101 - for the type checker: there is a rule
                welfare, place = float(ranked.welfare[index]), ranked.ranking.ranks[index]
                picks = (Pick(index, ranked.rule, welfare, place),)
            return cls.of(
                selection,
                picks=picks,
                min_agreeing=data.get("min_agreeing"),
                explanation=explanation_from_dict(data.get("explanation")),
                before=cls.from_dict(data["before"]) if data.get("before") else None,
                critiques=tuple(Critique(**each) for each in data.get("critiques", ())),
                minority=selection_from_dict(data["minority"]) if data.get("minority") else None,
                population=Population.from_dict(data["population"])
                if data.get("population")
                else None,
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(
                f"no agreement can be read: {type(error).__name__} {error}; expected a dictionary "
                f"as Agreement.to_dict writes it ({SCHEMA})"
            ) from None


def _id(candidate: Candidate | None) -> str | None:
    return None if candidate is None else candidate.id
