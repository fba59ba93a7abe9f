"""Studies with known truth: simulated rounds whose effects are what the caller asked for.

Nobody's ratings: ``people`` is "simulated". The latent agreement of person i with statement s is,
in points of the seven-point scale,

    intercept + effect of the policy + random effects of participant, question, group, statement and
    (participant, statement) + random slopes of the policy + slant of the statement * side of the
    person (divisive rounds) + length_effect * (words - 40) / 10
    - inclusion_effect_agreement where the policy did not see i's opinion
    + logistic noise, drawn anew in each pass,

and the rating is the nearest whole number from 1 to 7: thresholds at 1.5, 2.5, ..., 6.5. So, given
the random effects, "agrees" (5 or more) follows a logistic regression and the ratings a cumulative
logit model, both with the coefficient ``effect / noise_scale`` exactly. Quality has the same form
with effects of its own.

What has no closed form (mean ratings, win rates, ...) is in ``known_figures.figures``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from commonweal.datasets.dataset import About, Dataset, completed
from commonweal.datasets.schema import LIKERT_7

MEAN_WORDS, SD_WORDS = 40, 10


@dataclass(frozen=True)
class Design:
    """What a simulated study is made with. Effects and sds are in points of the seven-point scale.

    Attributes:
        n_groups: groups; each has ``n_rounds_per_group`` rounds on different questions.
        group_size: people a group, or (least, most), drawn evenly.
        n_questions: how many questions the rounds draw from; none: every round has its own.
        policies: name to effect on latent agreement.
        policy_quality: name to effect on latent quality, 0 where left out.
        policy_words: name to how many words longer its statements are than 40.
        n_statements: shown statements a policy and round.
        n_unshown: statements a policy and round that were predicted, but not rated.
        human_effect: the effect of "human": each opinion is rated by all but its author. None: no.
        intercept, quality_intercept: latent agreement and quality at effect 0.
        sd_participant, sd_question, sd_group, sd_statement, sd_participant_statement: random
            intercepts.
        sd_slope_participant, sd_slope_question, sd_slope_group: random slopes: a deviation for
            each policy and participant, and so on.
        noise_scale: scale of the logistic noise of one rating (its sd is 1.81 times that).
        n_passes: how often each statement is rated.
        unreliable_share: people who answer evenly at random from 1 to 7.
        missing_share: ratings that are null (agreement and quality together).
        n_omitted: how many opinions a statement's policy does not see, drawn evenly of these.
        inclusion_effect_agreement, inclusion_effect_quality: how much lower it is for people whose
            opinion the policy did not see.
        length_effect: for 10 words more.
        divisive_share: rounds whose position statement splits the group: the smaller half of it
            disagrees (ratings 1 to 3), the rest agree (5 to 7). In the other rounds all agree.
        sd_slant: how differently the two sides of a divisive round take a statement: the slant is
            added for those who agree with the position, and taken off for the others.
        sd_prediction: noise of the reward, which otherwise is the latent agreement. None: no
            predictions.
        prediction_bias: added to every predicted rating, which is else nearly calibrated.
        ood_share: questions in ``ood_test``; the others are in ``iid_test``.
    """

    n_groups: int = 60
    group_size: int | tuple[int, int] = 5
    n_rounds_per_group: int = 3
    n_questions: int | None = None
    policies: tuple[tuple[str, float], ...] = (
        ("sft_utilitarian", 0.6),
        ("sft_base", 0.3),
        ("zero_shot", 0.0),
    )
    policy_quality: tuple[tuple[str, float], ...] = ()
    policy_words: tuple[tuple[str, int], ...] = ()
    n_statements: int = 2
    n_unshown: int = 0
    human_effect: float | None = None
    intercept: float = 4.6
    quality_intercept: float = 4.6
    sd_participant: float = 0.6
    sd_question: float = 0.5
    sd_group: float = 0.3
    sd_statement: float = 0.4
    sd_participant_statement: float = 0.6
    sd_slope_participant: float = 0.0
    sd_slope_question: float = 0.0
    sd_slope_group: float = 0.0
    noise_scale: float = 0.4
    n_passes: int = 2
    unreliable_share: float = 0.0
    missing_share: float = 0.0
    n_omitted: tuple[int, ...] = (0, 1, 2)
    inclusion_effect_agreement: float = 0.0
    inclusion_effect_quality: float = 0.0
    length_effect: float = 0.0
    divisive_share: float = 0.5
    sd_slant: float = 0.5
    sd_prediction: float | None = 0.8
    prediction_bias: float = 0.0
    ood_share: float = 0.5

    @property
    def effects(self) -> dict[str, float]:
        """Policy name to effect, ``human`` last if it is there."""
        human = {} if self.human_effect is None else {"human": self.human_effect}
        return {**dict(self.policies), **human}

    @property
    def max_size(self) -> int:
        return self.group_size if isinstance(self.group_size, int) else self.group_size[1]

    @property
    def statement_policies(self) -> list[str]:
        """The policy of each statement of a round, in order; one ``human`` for each person."""
        each = self.n_statements + self.n_unshown
        names = [name for name, _ in self.policies for _ in range(each)]
        return names + ["human"] * (0 if self.human_effect is None else self.max_size)

    @property
    def shown(self) -> np.ndarray:
        each = [True] * self.n_statements + [False] * self.n_unshown
        n_human = 0 if self.human_effect is None else self.max_size
        return np.array(each * len(self.policies) + [True] * n_human)


@dataclass(frozen=True)
class Truth:
    """What is true of a simulated study.

    Attributes:
        design: its effects and variances.
        unreliable: the people who answered at random.
        divisive_rounds: the rounds whose position statement splits the group.
    """

    design: Design
    unreliable: frozenset[str]
    divisive_rounds: frozenset[str]


def simulate_study(rng: np.random.Generator, **design: Any) -> tuple[Dataset, Truth]:
    """A simulated study and the truth of it. Arguments: those of ``Design``; mappings are taken."""
    given = {
        name: tuple(value.items()) if isinstance(value, Mapping) else value
        for name, value in design.items()
    }
    made = Design(**given)
    drawn = draw(rng, made)
    return _as_dataset(rng, made, drawn), _truth(made, drawn)


# ------------------------------------------------------------------------------------- drawing


@dataclass(frozen=True)
class Drawn:
    """Rectangular arrays: g groups, r rounds, p people, s statements, k passes.

    ``there`` [g, p] says which people exist, ``rates`` [g, r, p, s] who is asked to rate what.
    """

    there: np.ndarray
    unreliable: np.ndarray
    questions: np.ndarray
    ood: np.ndarray
    divisive: np.ndarray
    position: np.ndarray
    included: np.ndarray
    words: np.ndarray
    rates: np.ndarray
    agreement: np.ndarray
    quality: np.ndarray
    missing: np.ndarray
    reward: np.ndarray | None
    expected: np.ndarray | None


def draw(rng: np.random.Generator, d: Design) -> Drawn:
    """One study as arrays."""
    g, r, p, k = d.n_groups, d.n_rounds_per_group, d.max_size, d.n_passes
    policies = d.statement_policies
    s = len(policies)
    names = list(d.effects)
    which = np.array([names.index(name) for name in policies])
    is_human = np.array([name == "human" for name in policies])

    least = d.group_size if isinstance(d.group_size, int) else d.group_size[0]
    sizes = rng.integers(least, p + 1, g)
    there = np.arange(p) < sizes[:, None]
    unreliable = (rng.random((g, p)) < d.unreliable_share) & there

    if d.n_questions is None:
        n_questions = g * r
        questions = np.arange(g * r).reshape(g, r)
    else:  # a group never has a question twice
        n_questions = d.n_questions
        questions = rng.random((g, n_questions)).argsort(axis=1)[:, :r]
    ood = np.arange(n_questions) < round(d.ood_share * n_questions)

    # Sides: in a divisive round the smaller half of the group disagrees with the position.
    divisive = rng.random((g, r)) < d.divisive_share
    order = np.where(there[:, None, :], rng.random((g, r, p)), np.inf).argsort(2).argsort(2)
    against = divisive[:, :, None] & (order < (sizes // 2)[:, None, None])
    position = np.where(against, rng.integers(1, 4, (g, r, p)), rng.integers(5, 8, (g, r, p)))
    side = np.where(against, -1, 1) * divisive[:, :, None]

    # Who is left out of the prompt of which statement.
    n_omitted = rng.choice(np.array(d.n_omitted), (g, r, s))
    n_omitted = np.minimum(n_omitted, sizes[:, None, None] - 1)
    order = np.where(there[:, None, :, None], rng.random((g, r, p, s)), np.inf)
    included = (order.argsort(2).argsort(2) >= n_omitted[:, :, None, :]) | is_human

    more_words = dict(d.policy_words)
    longer = np.array([more_words.get(name, 0) for name in policies])
    words = np.rint(rng.normal(MEAN_WORDS + longer, SD_WORDS, (g, r, s))).astype(int).clip(3, None)

    def normal(sd: float, *shape: int) -> np.ndarray:
        return rng.normal(0, sd, shape) if sd else np.zeros(shape)

    def slopes(sd: float, *shape: int) -> np.ndarray:
        return normal(sd, *shape, len(names))[..., which]

    effect = np.array(list(d.effects.values()))[which]
    latent = np.broadcast_to(d.intercept + effect, (g, r, p, s)).copy()
    latent += normal(d.sd_participant, g, 1, p, 1)
    latent += normal(d.sd_question, n_questions)[questions][:, :, None, None]
    latent += normal(d.sd_group, g, 1, 1, 1)
    latent += normal(d.sd_statement, g, r, 1, s)
    latent += normal(d.sd_participant_statement, g, r, p, s)
    latent += slopes(d.sd_slope_participant, g, 1, p)
    latent += slopes(d.sd_slope_question, n_questions)[questions][:, :, None, :]
    latent += slopes(d.sd_slope_group, g, 1, 1)
    latent += normal(d.sd_slant, g, r, 1, s) * side[..., None]
    latent += d.length_effect * ((words - MEAN_WORDS) / SD_WORDS)[:, :, None, :]
    latent -= d.inclusion_effect_agreement * ~included

    by_quality = dict(d.policy_quality)
    quality = np.array([by_quality.get(name, 0.0) for name in policies])
    quality = np.broadcast_to(d.quality_intercept + quality, (g, r, p, s)).copy()
    quality += normal(d.sd_participant, g, 1, p, 1) + normal(d.sd_statement, g, r, 1, s)
    quality += normal(d.sd_participant_statement, g, r, p, s)
    quality -= d.inclusion_effect_quality * ~included

    def rated(mean: np.ndarray) -> np.ndarray:
        ratings = _cut(mean[..., None] + rng.logistic(0, d.noise_scale, (*mean.shape, k)))
        at_random = rng.integers(1, 8, ratings.shape)
        return np.where(unreliable[:, None, :, None, None], at_random, ratings)

    author = _authors(d)
    own = is_human & (author == np.arange(p)[:, None])  # [p, s]
    exists = ~is_human | there[:, author]  # [g, s]
    rates = np.broadcast_to(
        (there[:, :, None] & ~own & exists[:, None, :] & d.shown)[:, None], (g, r, p, s)
    )
    reward = expected = None
    if d.sd_prediction is not None:
        reward = latent + normal(d.sd_prediction, g, r, p, s)
        expected = _expected_rating(d, reward)
    return Drawn(
        there=there,
        unreliable=unreliable,
        questions=questions,
        ood=ood,
        divisive=divisive,
        position=position,
        included=included & there[:, None, :, None],
        words=words,
        rates=rates,
        agreement=rated(latent),
        quality=rated(quality),
        missing=rng.random((g, r, p, s, k)) < d.missing_share,
        reward=reward,
        expected=expected,
    )


def _authors(d: Design) -> np.ndarray:
    """The place in the group of each human statement's author [s]; 0 for the other statements."""
    n_human = d.statement_policies.count("human")
    place = np.arange(len(d.statement_policies)) - (len(d.statement_policies) - n_human)
    return place.clip(0, None)


def _cut(latent: np.ndarray) -> np.ndarray:
    return np.floor(latent + 0.5).clip(1, 7).astype(np.int64)


def _expected_rating(d: Design, reward: np.ndarray) -> np.ndarray:
    """E[rating | reward], if latent agreement were normal: it nearly is, policies apart."""
    effects = np.array(list(d.effects.values()))
    variance = effects.var() + sum(
        sd**2
        for sd in (
            d.sd_participant,
            d.sd_question,
            d.sd_group,
            d.sd_statement,
            d.sd_participant_statement,
            d.sd_slope_participant,
            d.sd_slope_question,
            d.sd_slope_group,
            d.sd_slant * np.sqrt(d.divisive_share),
            d.length_effect,
        )
    )
    noise = (d.sd_prediction or 0) ** 2
    mean = d.intercept + effects.mean()
    centre = mean + (reward - mean) * variance / (variance + noise)
    rest = variance * noise / (variance + noise)
    # 20 points of the normal that is left, with the logistic noise of a rating on top.
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    grid = np.linspace(centre.min() - 0.1, centre.max() + 0.1, 400)  # smooth: interpolated
    latent = grid[:, None, None] + np.sqrt(rest) * nodes[None, :, None]
    above = 1 / (1 + np.exp(-(latent - np.arange(1.5, 7)) / d.noise_scale))
    curve = 1 + above.sum(2) @ (weights / weights.sum())
    return np.interp(centre, grid, curve) + d.prediction_bias


# -------------------------------------------------------------------------------- as a dataset


def _names(prefix: str, n: int) -> np.ndarray:
    width = len(str(n))
    return np.array([f"{prefix}{i:0{width}}" for i in range(1, n + 1)], dtype=object)


def _as_dataset(rng: np.random.Generator, d: Design, x: Drawn) -> Dataset:
    g, r, p, s, _ = x.agreement.shape
    groups, people, statements = _names("g", g), _names("p", p), _names("c", s)
    round_ids = groups[:, None] + "-" + _names("r", r)[None, :]
    person_ids = groups[:, None] + "-" + people[None, :]
    question_ids = _names("q", len(x.ood))

    def table(name: str, **columns: Any) -> pl.DataFrame:
        series = {
            key: value if isinstance(value, pl.Series) else pl.Series(list(value))
            for key, value in columns.items()
        }
        return completed(name, pl.DataFrame(series))

    def at(values: np.ndarray, *index: np.ndarray) -> pl.Series:
        """``values[index]`` as a column, by polars, which is faster with texts."""
        flat = np.ravel_multi_index(index, values.shape)
        return pl.Series(values.ravel().tolist()).gather(flat)

    gi, ri = (axis.ravel() for axis in np.indices((g, r)))
    qi = x.questions.ravel()
    asked = at(question_ids, qi)
    rounds = table(
        "rounds",
        round_id=at(round_ids, gi, ri),
        group_id=at(groups, gi),
        question_id=asked,
        question="Should we do " + asked + "?",
        position_statement="We should do " + asked + ".",
        split=np.where(x.ood[qi], "ood_test", "iid_test").tolist(),
    )

    gi, ri, pi = np.nonzero(np.broadcast_to(x.there[:, None], (g, r, p)))
    in_round, who = at(round_ids, gi, ri), at(person_ids, gi, pi)
    opinions = table(
        "opinions",
        round_id=in_round,
        opinion_id=at(people, pi),
        participant_id=who,
        text="The opinion of " + who + ".",
        source=pl.Series(["written"]).gather(np.zeros(len(gi), int)),
    )
    position_ratings = table(
        "position_ratings", round_id=in_round, participant_id=who, agreement=x.position[gi, ri, pi]
    )

    policies = np.array(d.statement_policies, dtype=object)
    is_human = policies == "human"
    author = _authors(d)
    exists = ~is_human | x.there[:, author]
    gi, ri, si = np.nonzero(np.broadcast_to(exists[:, None], (g, r, s)))
    texts = np.array(["word " * (n - 1) + "word." for n in range(x.words.max() + 1)], dtype=object)
    # Which opinions each statement's policy saw, one row each, folded into lists in order.
    ci, pi = np.nonzero(x.included.swapaxes(2, 3)[gi, ri, si])
    seen = (
        pl.DataFrame({"row": ci, "id": at(people, pi)})
        .group_by("row", maintain_order=True)
        .agg(pl.col("id"))
    )
    human_here = pl.Series(is_human[si])
    candidates = table(
        "candidates",
        round_id=at(round_ids, gi, ri),
        candidate_id=at(statements, si),
        text=at(texts, x.words[gi, ri, si]),
        policy=at(policies, si),
        shown=d.shown[si],
        author_id=pl.select(pl.when(human_here).then(at(person_ids, gi, author[si]))).to_series(),
        included_opinion_ids=pl.select(pl.when(~human_here).then(seen["id"])).to_series(),
    )

    # Each person sees the statements of a pass in an order of their own.
    rates = np.broadcast_to(x.rates[..., None], x.agreement.shape)
    shown_at = np.where(rates, rng.random(rates.shape), np.inf).argsort(3).argsort(3)
    gi, ri, pi, si, ki = np.nonzero(rates)
    given = pl.Series(~x.missing[gi, ri, pi, si, ki])
    ratings = table(
        "ratings",
        round_id=at(round_ids, gi, ri),
        participant_id=at(person_ids, gi, pi),
        candidate_id=at(statements, si),
        pass_index=ki,
        **{
            name: pl.select(pl.when(given).then(pl.Series(values[gi, ri, pi, si, ki]))).to_series()
            for name, values in (("agreement", x.agreement), ("quality", x.quality))
        },
        position=shown_at[gi, ri, pi, si, ki],
    )

    tables = {}
    if x.reward is not None and x.expected is not None:
        rows = x.there[:, None, :, None] & exists[:, None, None, :]
        gi, ri, pi, si = np.nonzero(np.broadcast_to(rows, (g, r, p, s)))
        tables["predictions"] = table(
            "predictions",
            round_id=at(round_ids, gi, ri),
            participant_id=at(person_ids, gi, pi),
            candidate_id=at(statements, si),
            reward_model=pl.Series(["simulated"]).gather(np.zeros(len(gi), int)),
            reward=x.reward[gi, ri, pi, si],
            expected_rating=x.expected[gi, ri, pi, si],
        )
    about = About(
        name="known truth",
        people="simulated",
        scale=LIKERT_7,
        source="simulated with known truth, for tests: nobody rated anything",
    )
    return Dataset(
        about,
        rounds=rounds,
        opinions=opinions,
        candidates=candidates,
        ratings=ratings,
        position_ratings=position_ratings,
        **tables,
    )


def _truth(d: Design, x: Drawn) -> Truth:
    gi, pi = np.nonzero(x.unreliable)
    groups, people = _names("g", d.n_groups), _names("p", d.max_size)
    rounds = _names("r", d.n_rounds_per_group)
    g2, r2 = np.nonzero(x.divisive)
    return Truth(
        d,
        frozenset(f"{groups[a]}-{people[b]}" for a, b in zip(gi, pi, strict=True)),
        frozenset(f"{groups[a]}-{rounds[b]}" for a, b in zip(g2, r2, strict=True)),
    )
