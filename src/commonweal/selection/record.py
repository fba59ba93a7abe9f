"""One record of candidates, rewards, utilities, welfare and picks, and how picks are made."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from commonweal.datasets.words import tokens
from commonweal.errors import InputError
from commonweal.selection.shortlist import most_sensible
from commonweal.types import Candidate, Opinion, Question, Rejection
from commonweal.welfare import FloatArray, Ranking, WelfareRule, rank

if TYPE_CHECKING:
    from typing import Self


OWN_WORDS = "own_words"
"""The policy of a passage of somebody's opinion."""

MIN_GAIN = 1.0
"""Points of 7 by which everybody's mean expected rating of a passage must be above that of what was
written, before it may be the statement, and likewise of what a small model writes in place of a
statement: predictions of so different texts err by about as much."""


SURELY_STANDS = 0.8
"""How far a passage must stand alone (``Candidate.sense``) before it may be the statement: of those
from here on 97 in 100 could be read out, of those between 0.6 and 0.7 79
(docs/decisions/050-own-words.md)."""


class _Record:
    """A frozen record whose arrays cannot be written to, after pickling and copying neither."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for name, value in _values(self).items():
            if isinstance(value, np.ndarray) and value.flags.writeable:
                value = value.copy()
                value.setflags(write=False)
                object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (type(self), _values(self))

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        pairs = zip(_values(self).values(), _values(other).values(), strict=True)
        return all(
            # An array is equal to an array alone: beside None, == would give an array.
            type(one) is type(two)
            and (np.array_equal(one, two) if isinstance(one, np.ndarray) else one == two)
            for one, two in pairs
        )

    def __hash__(self) -> int:
        kept = (value for value in _values(self).values() if isinstance(value, tuple))
        return hash((type(self), *kept))


def _values(record: Any) -> dict[str, Any]:
    return {each.name: getattr(record, each.name) for each in fields(record)}


def _made(kind: type[Any], values: dict[str, Any]) -> Any:
    return kind(**values)


@dataclass(frozen=True, slots=True)
class Pick:
    """A candidate that is to be shown, and why.

    Attributes:
        index: which of its selection's candidates, from 0.
        rule: the welfare rule under which it was picked; None where it was picked at random.
        welfare: its predicted welfare under that rule; None where it was picked at random.
        rank: its rank among its selection's candidates under that rule, 1 is best; likewise.
    """

    index: int
    rule: WelfareRule | None = None
    welfare: float | None = None
    rank: int | None = None

    @property
    def alpha(self) -> float | None:
        """The inequality aversion of the rule, where it has one."""
        return None if self.rule is None else self.rule.alpha


class Prediction(NamedTuple):
    """What is predicted of one person and one candidate: a cell of a selection's arrays."""

    participant_id: str
    column: int
    reward: float
    expected_rating: float


@dataclass(frozen=True, slots=True, eq=False)
class Ranked(_Record):
    """The candidates under one welfare rule.

    Attributes:
        rule: what ranks.
        welfare: float64 [n_candidates], higher is better.
        ranking: the candidates by welfare; ties go to the one generated first.
    """

    rule: WelfareRule
    welfare: FloatArray
    ranking: Ranking

    @classmethod
    def of(cls, rule: WelfareRule, welfare: FloatArray) -> Ranked:
        """The candidates in the order of this welfare, of which there may be none."""
        return cls(rule, welfare, rank(welfare) if welfare.size else Ranking((), (), ()))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Selection(_Record):
    """Candidates written from the same opinions, what each person may think of them, and the picks.

    Attributes:
        question: what was asked.
        opinions: one a participant, in the order of the arrays' rows.
        omitted: ids of those whose opinion the policy did not see; they are scored all the same.
        candidates: in the order of generation, which is that of the arrays' columns.
        rejections: completions that did not become candidates.
        n_sampled: how many completions were drawn.
        n_standing: how many of the first candidates were there before anything was written: the
            statement that is revised, or texts of people.
        min_gain: points of 7 by which everybody's mean expected rating of what was written must be
            above that of the first that stands, before it may take its place; None for any.
        rewards: float64 [n_participants, n_candidates], raw, higher is more agreement; None without
            a reward model, and in a record of before rewards were kept.
        utilities: float64, likewise, the expected ratings in (1, 7); None without a reward model.
        qualities: float64 [n_candidates], 1 to 7: how good each is as a group's statement, whatever
            one thinks of it; None where the reward model does not judge that.
        low: float64 [n_participants, n_candidates]; half rate between this and ``high``. None
            where the reward model does not say.
        high: likewise.
        min_quality: the least quality of what may be picked; None where there is no floor.
        shortlist: how many of the most sensible, of those that reach the floor, may be picked; None
            for all of them. Without qualities all may, unless what the model that wrote them makes
            of each is known.
        ranked: one for each statement that was to be picked; None is a pick at random.
        picks: what is to be shown. Fewer than ``ranked`` where the candidates did not suffice: none
            where there is nothing to show.
        seed: of all chance: the caller's, and what tells this selection from its others.
        notes: what a reader should know of how it went, in plain sentences.
        timings_seconds: what "generate" and "predict" took. Selections that were scored together
            share the time of "predict" by their candidates.
        provenance: versions, seed, models and weights hashes: what is needed to do it again.
    """

    question: Question
    opinions: tuple[Opinion, ...]
    omitted: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...]
    rejections: tuple[Rejection, ...] = ()
    n_sampled: int
    n_standing: int = 0
    min_gain: float | None = None
    rewards: FloatArray | None = None
    utilities: FloatArray | None = None
    qualities: FloatArray | None = None
    low: FloatArray | None = None
    high: FloatArray | None = None
    min_quality: float | None = None
    shortlist: int | None = None
    ranked: tuple[Ranked | None, ...] = ()
    picks: tuple[Pick, ...] = ()
    seed: tuple[int, ...]
    notes: tuple[str, ...] = ()
    timings_seconds: dict[str, float]
    provenance: dict[str, Any]

    @property
    def included(self) -> tuple[str, ...]:
        """The ids of those whose opinion the policy saw, in the group's order."""
        return tuple(each.id for each in self.opinions if each.id not in self.omitted)

    @property
    def alphas(self) -> tuple[float | None, ...]:
        """The α of each rule; None for a pick at random, and for a rule that has none."""
        return tuple(None if each is None else each.rule.alpha for each in self.ranked)

    @property
    def shown(self) -> tuple[Candidate, ...]:
        """The candidates to be shown, in the order of picking."""
        return tuple(self.candidates[pick.index] for pick in self.picks)

    @property
    def weak(self) -> frozenset[int]:
        """The columns of the candidates whose quality lies below the floor: never picked. What
        stood before is none of them: people read it already.
        """
        if self.qualities is None or self.min_quality is None:
            return frozenset()
        below = self.qualities[self.n_standing :] < self.min_quality
        return frozenset(self.n_standing + int(i) for i in np.flatnonzero(below))

    @property
    def by_sense(self) -> tuple[int, ...]:
        """The columns of what was written and reaches the floor, the most sensible first; () where
        there is no shortlist, and the order is that of welfare.
        """
        written = [column for column, each in enumerate(self.candidates) if not each.author]
        senses = [self.candidates[column].sense for column in written]
        if self.shortlist is None or not written or (self.qualities is None and None in senses):
            return ()
        means = self._sure_means()
        order = most_sensible(
            self.question.text,
            [each.text for each in self.opinions],
            [self.candidates[column].text for column in written],
            None if self.qualities is None else self.qualities[written],
            senses,
            None if means is None else means[written],
        )
        weak = self.weak
        return tuple(written[at] for at in order if written[at] not in weak)

    def _sure_means(self) -> FloatArray | None:
        """The mean expected rating of each candidate, by a reward model that says how sure it is:
        of others a side of the question is as uncertain as a text.
        """
        if self.utilities is None or self.low is None or not len(self.utilities):
            return None
        means: FloatArray = self.utilities.mean(axis=0)
        return means

    @property
    def passed_over(self) -> frozenset[int]:
        """The columns that no rule picks: those of ``weak``, those not on the shortlist, and what
        people proposed in their opinions, or a small model wrote in place of what stands, unless it
        is predicted to please far more.

        What a person wrote as a statement is on no list: it neither needs a place there nor takes
        one. What was picked by a person, or by an order of before, may be one of them.
        """
        fit = self.by_sense
        unlisted = frozenset(fit) - frozenset(fit[: self.shortlist])
        return self.weak | unlisted | self._proposed_no_better() | self.revised_no_better()

    @property
    def proposed(self) -> tuple[int, ...]:
        """The columns of what people proposed in their opinions (``selection.own_words``), but for
        what stood before.
        """
        return tuple(
            i
            for i, each in enumerate(self.candidates)
            if each.policy == OWN_WORDS and i >= self.n_standing
        )

    @property
    def written(self) -> tuple[int, ...]:
        """The columns of what is worth showing and was not proposed in an opinion, best first: by
        the model's own order, or else by welfare.
        """
        if order := self.by_sense:
            return order
        aside = self.weak | frozenset(self.proposed)
        first = self.ranked[0] if self.ranked else None
        columns = range(len(self.candidates)) if first is None else first.ranking.order
        return tuple(i for i in columns if i not in aside)

    def _proposed_no_better(self) -> frozenset[int]:
        """Those of ``proposed`` that do not surely stand alone, and those whose mean expected
        rating is not ``MIN_GAIN`` above that of the first of what was written, if there is any.
        """
        own = self.proposed
        if not own:  # the order is not asked for where nothing depends on it
            return frozenset()
        senses = {i: self.candidates[i].sense for i in own}
        unsure = frozenset(i for i, at in senses.items() if at is not None and at < SURELY_STANDS)
        written = self.written
        if not written:
            return unsure
        if self.utilities is None or not len(self.utilities):
            return frozenset(own)
        means = self.utilities.mean(axis=0)
        best = means[written[0]] if self.by_sense else means[list(written)].max()
        return unsure | frozenset(i for i in own if means[i] < best + MIN_GAIN)

    def revised_no_better(self) -> frozenset[int]:
        """What was written beside what stands and is not ``min_gain`` above the first of that."""
        if self.min_gain is None or not self.n_standing or self.utilities is None:
            return frozenset()
        means = self.utilities.mean(axis=0)
        columns = (i for i in range(self.n_standing, len(means)) if not self.candidates[i].author)
        return frozenset(i for i in columns if means[i] < means[0] + self.min_gain)

    def predicted(self, column: int) -> tuple[FloatArray, FloatArray | None, FloatArray | None]:
        """The expected ratings of one candidate and their ranges, in the group's order."""
        assert self.utilities is not None  # noqa: S101 - for the type checker: it is asked of these
        if self.low is None or self.high is None:
            return self.utilities[:, column], None, None
        return self.utilities[:, column], self.low[:, column], self.high[:, column]

    @property
    def next_number(self) -> int:
        """Of the id of a candidate that comes after these: 17 after "c16"."""
        numbers = [int(each.id[1:]) for each in self.candidates if each.id[1:].isdigit()]
        return max(numbers, default=0) + 1

    @property
    def choosable(self) -> tuple[int, ...]:
        """The columns that may be picked, in the order of generation."""
        passed_over = self.passed_over
        return tuple(i for i in range(len(self.candidates)) if i not in passed_over)

    def open_to_rules(self) -> Self:
        """With two on a list that held one, that one among them: somebody names a rule."""
        return replace(self, shortlist=2) if self.shortlist == 1 else self

    def predictions(self) -> Iterator[Prediction]:
        """Each cell of ``rewards`` and ``utilities``, person by person; none without both."""
        if self.rewards is None or self.utilities is None:
            return
        for row, opinion in enumerate(self.opinions):
            for column in range(len(self.candidates)):
                reward, rating = self.rewards[row, column], self.utilities[row, column]
                yield Prediction(opinion.id, column, float(reward), float(rating))

    def of_people(self, ids: Container[str]) -> Self:
        """The same of these people only, ranked by what is predicted of them; nothing is picked."""
        rows = [row for row, opinion in enumerate(self.opinions) if opinion.id in ids]
        utilities = None if self.utilities is None else self.utilities[rows]
        rules = [None if each is None else each.rule for each in self.ranked]
        return replace(
            self,
            opinions=tuple(self.opinions[row] for row in rows),
            rewards=None if self.rewards is None else self.rewards[rows],
            utilities=utilities,
            low=None if self.low is None else self.low[rows],
            high=None if self.high is None else self.high[rows],
            ranked=rank_under(rules, utilities) if rows else (),
            picks=(),
        )

    def picked(
        self,
        rules: Iterable[WelfareRule | None] | None = None,
        *,
        avoid: Iterable[str] = (),
        rng: np.random.Generator | None = None,
    ) -> Self:
        """The same candidates and predictions, picked anew: nothing is generated or predicted.

        Args:
            rules: by default the same.
            avoid: texts that are taken or may not be shown.
            rng: the chance of picks at random; by default from the seed.

        Raises:
            InputError: a rule without utilities to compute a welfare from.
        """
        ranked = self.ranked if rules is None else rank_under(rules, self.utilities)
        rng = rng or np.random.default_rng([*self.seed, 1])
        texts = [each.text for each in self.candidates]
        picks = pick(texts, ranked, rng=rng, avoid=avoid, passed_over=self.passed_over)
        return replace(self, ranked=ranked, picks=picks)


def rank_under(
    rules: Iterable[WelfareRule | None], utilities: FloatArray | None
) -> tuple[Ranked | None, ...]:
    """The candidates under each rule; None for None, which picks at random.

    Args:
        rules: what ranks.
        utilities: [n_participants, n_candidates]; may be None where every rule is.

    Raises:
        InputError: a rule without utilities to compute a welfare from.
    """
    ranked: list[Ranked | None] = []
    for rule in rules:
        if rule is None:
            ranked.append(None)
            continue
        if utilities is None:
            raise InputError(
                f"the rule is {rule.name} and there are no utilities; expected both or none"
            )
        # Of no candidates there is no order.
        is_empty = utilities.shape[1] == 0
        ranked.append(Ranked.of(rule, np.empty(0) if is_empty else rule.welfare(utilities)))
    return tuple(ranked)


def pick(
    texts: Sequence[str],
    ranked: Iterable[Ranked | None],
    *,
    rng: np.random.Generator,
    avoid: Iterable[str] = (),
    passed_over: Container[int] = (),
) -> tuple[Pick, ...]:
    """One different candidate for each rule, the best under it that is not taken; fewer if none is.

    Ties go to the candidate generated first.

    Args:
        texts: the candidates', in the order of generation.
        ranked: the candidates under each rule; None picks at random.
        rng: the chance of picks at random.
        avoid: texts that are taken or may not be shown. Texts are the same where their words are.
        passed_over: indexes of candidates that are not worth showing.
    """
    taken = {tuple(tokens(text)) for text in avoid}
    words = [tuple(tokens(text)) for text in texts]
    picks: list[Pick] = []
    for each in ranked if texts else ():
        order = map(int, rng.permutation(len(texts))) if each is None else each.ranking.order
        fit = (i for i in order if words[i] not in taken and i not in passed_over)
        best = next(fit, None)
        if best is None:
            continue
        taken.add(words[best])
        picks.append(
            Pick(best)
            if each is None
            else Pick(best, each.rule, float(each.welfare[best]), each.ranking.ranks[best])
        )
    return tuple(picks)
