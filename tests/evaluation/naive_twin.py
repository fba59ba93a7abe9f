"""Every figure again, in plain Python loops over rows: what the package's arrays must equal.

It shares nothing with the package but the dataset. A figure is a list of rows, each with its group
first, and a function of such rows; so it can be resampled the plain way too, by putting together
the rows of drawn groups.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from statistics import mean, median

import numpy as np
from scipy import optimize

from commonweal.datasets.dataset import Dataset
from commonweal.datasets.schema import Scale

ALPHAS = (0.0, 0.5, 1.0, 2.0, 4.0, math.inf)
STATISTICS = {"mean": mean, "median": median, "min": min}
Rows = list[tuple]


def ratio(rows: Rows) -> float:
    """Sum of the second column over that of the third."""
    below = sum(row[2] for row in rows)
    return sum(row[1] for row in rows) / below if below else math.nan


@dataclass(frozen=True)
class Sample:
    """What a figure is made of. ``n`` counts the rows that are in its denominator."""

    rows: Rows
    statistic: Callable[[Rows], float] = ratio

    @property
    def value(self) -> float:
        return self.statistic(self.rows)

    @property
    def n(self) -> int:
        return sum(row[2] for row in self.rows)


def tie(difference: float) -> bool:
    return abs(difference) < 1e-9


def agreement_of(utilities: list[float], alpha: float) -> float:
    """Isoelastic welfare as written in the paper, as a mean."""
    if alpha == math.inf:
        return min(utilities)
    if alpha == 1:
        return math.exp(mean(math.log(u) for u in utilities))
    return mean(u ** (1 - alpha) for u in utilities) ** (1 / (1 - alpha))


class Study:
    """The dataset as dictionaries."""

    def __init__(self, dataset: Dataset) -> None:
        self.scale = dataset.about.scale
        self.group = {r["round_id"]: r["group_id"] for r in dataset.rounds.iter_rows(named=True)}
        self.split = {r["round_id"]: r["split"] for r in dataset.rounds.iter_rows(named=True)}
        self.position_words = {
            r["round_id"]: len(r["position_statement"].split())
            for r in dataset.rounds.iter_rows(named=True)
            if r["position_statement"] is not None
        }
        self.apart: dict = {}
        self.unanimous: dict = {}
        self.candidates = {
            (c["round_id"], c["candidate_id"]): c
            for c in sorted(
                dataset.candidates.iter_rows(named=True),
                key=lambda c: (c["round_id"], c["candidate_id"]),
            )
        }
        self.keys: dict = defaultdict(list)
        for key, c in self.candidates.items():
            self.keys[key[0], c["policy"]].append(key)
        self.words = {key: len(c["text"].split()) for key, c in self.candidates.items()}
        self.policies = sorted({c["policy"] for c in self.candidates.values() if c["shown"]})
        self.machines = [name for name in self.policies if name != "human"]
        self.opinion_of = {
            (o["round_id"], o["participant_id"]): o["opinion_id"]
            for o in dataset.opinions.iter_rows(named=True)
        }
        answers = {"agreement": defaultdict(list), "quality": defaultdict(list)}
        firsts = {"agreement": {}, "quality": {}}
        self.passes: list[tuple] = []
        self.quality_passes: list[tuple] = []
        for row in sorted(dataset.ratings.iter_rows(named=True), key=lambda r: r["pass_index"]):
            key = (row["round_id"], row["candidate_id"])
            candidate = self.candidates[key]
            person = row["participant_id"]
            if not candidate["shown"] or candidate["author_id"] == person:
                continue
            if row["agreement"] is not None:
                self.passes.append((*key, row["agreement"]))
            if row["quality"] is not None:
                self.quality_passes.append((*key, row["quality"]))
            for name, by_cell in answers.items():
                if row[name] is not None:
                    by_cell[(*key, person)].append(row[name])
                    firsts[name].setdefault((*key, person), row[name])
        # Rating of a statement by a person: {(round, candidate): {person: mean over passes}}.
        self.rated = {}
        self.first = {}
        for name, by_cell in answers.items():
            table: dict = defaultdict(dict)
            for (r, c, person), values in by_cell.items():
                table[r, c][person] = mean(values)
            self.rated[name] = table
            first: dict = defaultdict(list)
            for (r, c, _), value in firsts[name].items():
                first[r, c].append(value)
            self.first[name] = first
        self.positions: dict = defaultdict(list)
        self.position_raters: dict = defaultdict(set)
        for row in dataset.position_ratings.iter_rows(named=True):
            if row["agreement"] is not None:
                self.positions[row["round_id"]].append(row["agreement"])
                self.position_raters[row["round_id"]].add(row["participant_id"])
        self.predictions: dict = defaultdict(dict)
        for row in dataset.predictions.iter_rows(named=True):
            key = (row["round_id"], row["candidate_id"])
            self.predictions[key][row["participant_id"]] = (row["reward"], row["expected_rating"])
        self.reward_model = (
            dataset.predictions["reward_model"][0] if dataset.predictions.height else None
        )

    def of_policy(self, r: str, policy: str) -> list[tuple]:
        """Keys of the policy's rated statements in the round."""
        return [key for key in self.keys[r, policy] if self.rated["agreement"].get(key)]

    def divisive(self, r: str) -> bool | None:
        given, neutral = self.positions[r], self.scale.neutral
        if len(given) < 2:
            return None
        return any(x > neutral for x in given) and any(x < neutral for x in given)

    def parts(self) -> dict[str, Callable[[str], bool]]:
        return {
            "all": lambda r: True,
            "train": lambda r: self.split[r] == "train",
            "iid_test": lambda r: self.split[r] == "iid_test",
            "ood_test": lambda r: self.split[r] == "ood_test",
            "divisive": lambda r: self.divisive(r) is True,
            "not_divisive": lambda r: self.divisive(r) is False,
        }


def twin(dataset: Dataset, baseline: str | None) -> dict[str, Sample]:
    """All figures by key, regressions, reliability and power apart."""
    study = Study(dataset)
    found: dict[str, Sample] = {}
    for part in (
        _win_rates,
        _distributions,
        _divisiveness,
        _against_human,
        _inclusion,
        _krippendorff,
        _accuracy,
        _calibration,
        _welfare,
        _best_of_n,
        _confounds,
    ):
        part(study, baseline, found)
    return found


def _pairs(study: Study, baseline: str | None) -> list[tuple[str, str]]:
    order = ("sft_base", "few_shot", "zero_shot")  # the simpler one is the second of a pair
    others = sorted(
        (name for name in study.machines if name != baseline),
        key=lambda name: (order.index(name) if name in order else -1, name),
    )
    return [(name, baseline) for name in others if baseline] + list(combinations(others, 2))


def _win(group: str, a: float, b: float) -> tuple:
    return (group, a > b and not tie(a - b), not tie(a - b))


def _win_rates(study: Study, baseline: str | None, found: dict[str, Sample]) -> None:
    tables = {}
    for name, statistic in STATISTICS.items():
        table = {}
        for r in study.group:
            for policy in study.policies:
                keys = study.of_policy(r, policy)
                if keys:
                    table[r, policy] = mean(
                        statistic(list(study.rated["agreement"][key].values())) for key in keys
                    )
        tables[name] = table
        for policy in study.policies:
            found[f"agreement/{name}/{policy}"] = Sample(
                [(study.group[r], v, 1) for (r, p), v in table.items() if p == policy]
            )
    for a, b in _pairs(study, baseline):
        for name, table in tables.items():
            for part, holds in study.parts().items():
                found[f"win_rate/{name}/{part}/{a}/{b}"] = Sample(
                    [
                        _win(study.group[r], table[r, a], table[r, b])
                        for r in study.group
                        if holds(r) and (r, a) in table and (r, b) in table
                    ]
                )
        rows = []
        for r in study.group:
            own = _own(study, r)
            rows += [
                _win(study.group[r], mean(mine[a]), mean(mine[b]))
                for mine in own.values()
                if a in mine and b in mine
            ]
        found[f"win_rate/person/all/{a}/{b}"] = Sample(rows)


def _own(study: Study, r: str) -> dict[str, dict[str, list[float]]]:
    """Each person's ratings in a round by policy."""
    own: dict = defaultdict(lambda: defaultdict(list))
    for policy in study.policies:
        for key in study.of_policy(r, policy):
            for person, value in study.rated["agreement"][key].items():
                own[person][policy].append(value)
    return own


def _distributions(study: Study, baseline: str | None, found: dict[str, Sample]) -> None:
    for policy in study.policies:
        given = [
            (study.group[r], value)
            for r, c, value in study.passes
            if study.candidates[r, c]["policy"] == policy
        ]
        for point in range(study.scale.low, study.scale.high + 1):
            found[f"distribution/{policy}/{point}"] = Sample([(g, v == point, 1) for g, v in given])
        found[f"distribution/{policy}/agree"] = Sample(
            [(g, v > study.scale.neutral, 1) for g, v in given]
        )
        quality = [
            (study.group[r], value)
            for r, c, value in study.quality_passes
            if study.candidates[r, c]["policy"] == policy
        ]
        for point in range(study.scale.low, study.scale.high + 1):
            found[f"quality_distribution/{policy}/{point}"] = Sample(
                [(g, v == point, 1) for g, v in quality]
            )


def _divisiveness(study: Study, baseline: str | None, found: dict[str, Sample]) -> None:
    neutral = study.scale.neutral

    def smaller(values: list[float]) -> float:
        sides = (sum(v > neutral for v in values), sum(v < neutral for v in values))
        return min(sides) / len(values)

    for name in ("all", *study.machines):
        less, agreed, unanimous, whole = [], [], [], []
        for r, group in study.group.items():
            if not study.divisive(r):
                continue
            asked = reached = may_be = there = False
            complete = True
            for policy in study.machines if name == "all" else [name]:
                for key in study.of_policy(r, policy):
                    by_person = study.rated["agreement"][key]
                    everybody = study.position_raters[r]
                    there = True
                    if not everybody <= set(by_person):
                        complete = False
                        may_be = may_be or all(v >= neutral + 1 for v in by_person.values())
                        continue
                    asked = True
                    reached = reached or all(v >= neutral + 1 for v in by_person.values())
                    values = [by_person[person] for person in everybody]
                    is_less = smaller(values) < smaller(study.positions[r]) - 1e-9
                    less.append((group, is_less, 1, key))
                    if is_less:
                        agree = sum(v > neutral for v in values)
                        agreed.append((group, agree > sum(v < neutral for v in values), 1))
            if asked and complete:
                unanimous.append((group, reached, 1, r))
            if there:
                whole.append((group, reached, 1, may_be and not reached, asked and complete))
        found[f"less_divisive/{name}"] = Sample(less)
        found[f"less_divisive_agreed/{name}"] = Sample(agreed)
        study.unanimous[name] = unanimous
        open_rounds = any(row[3] for row in whole)
        found[f"unanimous/{name}"] = Sample(
            [(row[0], row[1], row[4] if open_rounds else 1, row[3], row[4]) for row in whole],
            _within_bounds,
        )


def _within_bounds(rows: Rows) -> float:
    """Of the complete rounds, held within what is known of all."""
    if not rows:
        return math.nan
    yes, open_rounds = sum(row[1] for row in rows), sum(row[3] for row in rows)
    whole = [row[1] for row in rows if row[4]]
    if not open_rounds:
        return yes / len(rows)
    if not whole:
        return math.nan
    return min(max(mean(whole), yes / len(rows)), (yes + open_rounds) / len(rows))


def _against_human(study: Study, baseline: str | None, found: dict[str, Sample]) -> None:
    if "human" not in study.policies:
        return
    for how, statistic in (("mean", mean), ("best", max)):
        for part, holds in study.parts().items():
            for policy in study.machines:
                found[f"against_human/{how}/{part}/{policy}"] = Sample(
                    [
                        _win(study.group[r], statistic(mine[policy]), statistic(mine["human"]))
                        for r in study.group
                        if holds(r)
                        for mine in _own(study, r).values()
                        if policy in mine and "human" in mine
                    ]
                )


def _inclusion(study: Study, baseline: str | None, found: dict[str, Sample]) -> None:
    differences: dict = {"agreement": {}, "quality": {}}
    for key, candidate in study.candidates.items():
        included = candidate["included_opinion_ids"]
        if candidate["policy"] == "human" or included is None or not candidate["shown"]:
            continue
        for outcome, by_key in differences.items():
            sides: dict = {True: [], False: []}
            for person, value in study.rated[outcome].get(key, {}).items():
                opinion = study.opinion_of.get((key[0], person))
                if opinion is not None:
                    sides[opinion in included].append(value)
            if sides[True] and sides[False]:
                by_key[key] = median(sides[True]) - median(sides[False])
    study.apart = differences
    for policy in (None, *study.machines):

        def of_policy(by_key: dict, policy: str | None = policy) -> list[tuple]:
            return [
                (study.group[key[0]], v, 1)
                for key, v in by_key.items()
                if policy in (None, study.candidates[key]["policy"])
            ]

        end = f"/{policy}" if policy else ""
        for outcome, by_key in differences.items():
            found[f"inclusion/{outcome}{end}"] = Sample(of_policy(by_key))
        gap = {
            key: v - differences["quality"][key]
            for key, v in differences["agreement"].items()
            if key in differences["quality"]
        }
        found[f"inclusion/agreement_minus_quality{end}"] = Sample(of_policy(gap))


def _krippendorff(study: Study, baseline: str | None, found: dict[str, Sample]) -> None:
    for outcome in ("agreement", "quality"):
        units = [
            (study.group[key[0]], tuple(values), 1)
            for key, values in study.first[outcome].items()
            if len(values) > 1
        ]
        for metric in ("ordinal", "interval"):
            found[f"krippendorff/{outcome}/{metric}"] = Sample(
                units, lambda rows, metric=metric: krippendorff([row[1] for row in rows], metric)
            )


def krippendorff(units: list[tuple], metric: str) -> float:
    """Krippendorff's alpha by pairs of ratings, one by one."""
    everything = [value for unit in units for value in unit]
    if not everything:
        return math.nan
    count = {value: everything.count(value) for value in set(everything)}

    def distance(a: int, b: int) -> float:
        if metric == "interval":
            return (a - b) ** 2
        low, high = min(a, b), max(a, b)
        between = sum(n for value, n in count.items() if low <= value <= high)
        return (between - (count[low] + count[high]) / 2) ** 2 if a != b else 0.0

    observed = sum(
        sum(distance(a, b) for i, a in enumerate(unit) for j, b in enumerate(unit) if i != j)
        / (len(unit) - 1)
        for unit in units
    ) / len(everything)
    n = len(everything)
    expected = sum(count[a] * count[b] * distance(a, b) for a in count for b in count) / (
        n * (n - 1)
    )
    return 1 - observed / expected if expected else math.nan


def _judged(study: Study) -> dict:
    """{(round, person): [(candidate, rating, reward, expected)]}."""
    judged: dict = defaultdict(list)
    for (r, c), by_person in study.rated["agreement"].items():
        for person, value in by_person.items():
            if person in study.predictions.get((r, c), {}):
                judged[r, person].append((c, value, *study.predictions[r, c][person]))
    return judged


def _right(x: float) -> float:
    return 0.5 if tie(x) else float(x > 0)


def _accuracy(study: Study, baseline: str | None, found: dict[str, Sample]) -> None:
    if study.reward_model is None:
        return
    judged, neutral = _judged(study), study.scale.neutral
    within, agreed = [], []  # group, right, 1, round, unit
    leans: dict = defaultdict(list)
    for (r, person), rows in judged.items():
        for first, second in combinations(sorted(rows), 2):
            gap = first[1] - second[1]
            if tie(gap):
                continue
            right = _right((first[2] - second[2]) * math.copysign(1, gap))
            within.append((study.group[r], right, 1, r, person))
            if (first[1] - neutral) * (second[1] - neutral) < 0:
                agreed.append((study.group[r], right, 1, r, person))
                lean = first[2] - second[2]
                leans[r, first[0], second[0]].append((gap > 0, lean, person))
    crossed = []
    for (r, _, _), people in leans.items():  # the unit of a quadruple is its two people
        for one, two in combinations(people, 2):
            if one[0] != two[0]:
                up, down = (one, two) if one[0] else (two, one)
                two_people = frozenset((one[2], two[2]))
                crossed.append((study.group[r], _right(up[1] - down[1]), 1, r, two_people))
    for key, rows in (("within", within), ("agreed", agreed), ("crossed", crossed)):
        found[f"accuracy/{key}/{study.reward_model}"] = Sample(rows, by_unit_and_round)


def by_unit_and_round(rows: Rows) -> float:
    """The mean over rounds of the mean over units of the mean of each unit's comparisons."""
    units: dict = defaultdict(list)
    for _, right, _, r, unit in rows:
        units[r, unit].append(right)
    rounds: dict = defaultdict(list)
    for (r, _), rights in units.items():
        rounds[r].append(mean(rights))
    return mean(map(mean, rounds.values())) if rounds else math.nan


def _calibration(study: Study, baseline: str | None, found: dict[str, Sample]) -> None:
    if study.reward_model is None:
        return
    cells = [
        (r, expected, _on_seven(rating, study.scale))
        for (r, _), rows in _judged(study).items()
        for _, rating, _, expected in rows
    ]
    n_in = Counter(r for r, _, _ in cells)
    among = [expected for _, expected, _ in cells]
    rows = []  # group, weighted error, weight, bin, weighted rating
    for r, expected, rating in cells:
        place, weight = _tenth(expected, among), 1 / n_in[r]
        rows.append((study.group[r], (expected - rating) * weight, weight, place, rating * weight))

    def error(rows: Rows) -> float:
        gaps: dict = defaultdict(float)
        for row in rows:
            gaps[row[3]] += row[1]
        return sum(map(abs, gaps.values())) / sum(row[2] for row in rows)

    found[f"calibration/error/{study.reward_model}"] = Sample(rows, error)
    found[f"calibration/bias/{study.reward_model}"] = Sample(rows)
    for i, place in enumerate(sorted({row[3] for row in rows})):
        mine = [(row[0], row[4], row[2]) for row in rows if row[3] == place]
        found[f"calibration/bin/{study.reward_model}/{i}"] = Sample(mine)


def _on_seven(rating: float, scale: Scale) -> float:
    """Disagree, pass and agree are 2, 4 and 6; other scales are stretched over 1 to 7."""
    if scale.name == "vote":
        return 4 + 2 * rating
    return 1 + 6 * (rating - scale.low) / (scale.high - scale.low)


def _tenth(value: float, among: list[float]) -> int:
    """Which tenth of the values it is in, by the middle of those that are like it."""
    below = sum(other < value and not tie(other - value) for other in among)
    alike = sum(tie(other - value) for other in among)
    return math.floor(10 * (below + alike / 2) / len(among))


def _ranked(values: list[float]) -> list[float]:
    return [
        sum(v < x - 1e-9 for v in values) + (sum(tie(v - x) for v in values) - 1) / 2
        for x in values
    ]


def spearman(x: list[float], y: list[float]) -> float:
    a, b = _ranked(x), _ranked(y)
    mean_a, mean_b = mean(a), mean(b)
    cov = sum((i - mean_a) * (j - mean_b) for i, j in zip(a, b, strict=True))
    var = sum((i - mean_a) ** 2 for i in a) * sum((j - mean_b) ** 2 for j in b)
    return cov / math.sqrt(var) if var > 1e-9 else math.nan


def _predicted(study: Study, key: tuple, alpha: float) -> float:
    return agreement_of([e for _, e in study.predictions[key].values()], alpha)


def _welfare(study: Study, baseline: str | None, found: dict[str, Sample]) -> None:
    rows: dict = defaultdict(list)
    for r, group in study.group.items():
        keys = [key for policy in study.machines for key in study.of_policy(r, policy)]
        realised = {
            key: {
                name: STATISTICS[name](list(study.rated["agreement"][key].values()))
                for name in ("mean", "min")
            }
            for key in keys
        }
        if len(keys) > 1:
            for name in ("mean", "min"):
                values = [realised[key][name] for key in keys]
                rows[f"welfare/{name}/random"].append((group, mean(values), 1))
                rows[f"welfare/{name}/best"].append((group, max(values), 1))
        keys = [key for key in keys if study.predictions.get(key)]
        if len(keys) < 2:
            continue
        picks, chosen = {}, {}
        plain = [_predicted(study, key, 0.0) for key in keys]
        for alpha in ALPHAS:
            predicted = {key: _predicted(study, key, alpha) for key in keys}
            highest = max(predicted.values())
            best = [k for k in keys if predicted[k] >= highest * (1 - 1e-12)]
            chosen[alpha] = best
            if alpha:
                same = best == chosen[0.0]
                rows[f"welfare/same_pick/{alpha:g}"].append((group, float(same), 1))
                rho = spearman([predicted[key] for key in keys], plain) if len(keys) > 2 else None
                if rho is not None and not math.isnan(rho):
                    rows[f"welfare/rank_correlation_with_utilitarian/{alpha:g}"].append(
                        (group, rho, 1)
                    )
            for name in ("mean", "min"):
                value = mean(realised[key][name] for key in best)
                picks[alpha, name] = value
                rows[f"welfare/{name}/{alpha:g}"].append((group, value, 1))
                if alpha:
                    rows[f"welfare/{name}_minus_utilitarian/{alpha:g}"].append(
                        (group, value - picks[0.0, name], 1)
                    )
            if len(keys) > 2:
                low = study.scale.low
                real = [
                    agreement_of(
                        [v - low + 1 for v in study.rated["agreement"][key].values()], alpha
                    )
                    for key in keys
                ]
                rho = spearman([predicted[key] for key in keys], real)
                if not math.isnan(rho):
                    rows[f"welfare/rank_correlation/{alpha:g}"].append((group, rho, 1))
    found.update({key: Sample(some) for key, some in rows.items()})


def _best_of_n(study: Study, baseline: str | None, found: dict[str, Sample]) -> None:
    """By going through all subsets of n candidates."""
    for policy in study.machines:
        for alpha, name in ((0.0, "mean"), (math.inf, "min")):
            realised, predicted = {}, {}
            for r in study.group:
                stored = [key for key in study.keys[r, policy] if study.predictions.get(key)]
                by_welfare = sorted(stored, key=lambda key: -_predicted(study, key, alpha))
                own = [_predicted(study, key, alpha) for key in by_welfare]
                people = [
                    STATISTICS[name](list(study.rated["agreement"][key].values()))
                    for key in by_welfare
                    if study.rated["agreement"].get(key)
                ]
                if own:
                    predicted[r] = own
                if people:
                    realised[r] = people
            for kind, table in (("realised", realised), ("predicted", predicted)):
                if not table:
                    continue
                sizes = sorted(map(len, table.values()))
                enough = max(2, sizes[(len(sizes) - 1) // 2])
                kept = {r: values for r, values in table.items() if len(values) >= enough}
                if not kept:
                    continue
                least = min(map(len, kept.values()))
                for n in range(1, least + 1):
                    found[f"best_of_n/{kind}/{name}/{policy}/{n}"] = Sample(
                        [
                            (
                                study.group[r],
                                mean(values[min(s)] for s in combinations(range(len(values)), n)),
                                1,
                            )
                            for r, values in kept.items()
                        ]
                    )
                for n in range(2, least) if kind == "realised" else ():
                    rows = []
                    for r, values in kept.items():
                        outcomes = [
                            values[min(s)] - values[other]
                            for s in combinations(range(len(values)), n)
                            for other in range(len(values))
                            if other not in s
                        ]
                        won = mean(x > 1e-9 for x in outcomes)
                        lost = mean(x < -1e-9 for x in outcomes)
                        rows.append((study.group[r], won, won + lost))
                    found[f"best_of_n/win_rate/{name}/{policy}/{n}"] = Sample(rows)


def at_zero(rows: Rows) -> float:
    """The share of the third column where the second is 0, by scipy's optimiser."""
    x, y = np.array([row[1:3] for row in rows]).T
    if np.ptp(x) < 1e-9 or np.ptp(y) < 1e-9 or _separated(x, y):
        return math.nan
    scale = np.abs(x).max()

    def loss(beta: np.ndarray) -> float:
        eta = beta[0] + beta[1] * x / scale
        return float(np.logaddexp(0, eta).sum() - (y * eta).sum())

    best = optimize.minimize(loss, np.zeros(2), method="Nelder-Mead", tol=1e-13)
    return float(1 / (1 + np.exp(-best.x[0])))


def _separated(x: np.ndarray, y: np.ndarray) -> bool:
    won, lost = x[y == 1], x[y == 0]
    return bool(won.min() >= lost.max() or won.max() <= lost.min())


def _confounds(study: Study, baseline: str | None, found: dict[str, Sample]) -> None:
    quality = {key: mean(v.values()) for key, v in study.rated["quality"].items() if v}
    for name, of in (("length", study.words), ("quality", quality)):
        start = f"confound/{name}"
        for a, b in _pairs(study, baseline):
            rows = []
            for r, group in study.group.items():
                values, level = [], []
                for policy in (a, b):
                    keys = study.of_policy(r, policy)
                    known = [of[key] for key in keys if key in of]
                    if keys and known:
                        rated = study.rated["agreement"]
                        values.append(mean(mean(rated[key].values()) for key in keys))
                        level.append(mean(known))
                if len(values) == 2 and not tie(values[0] - values[1]):
                    rows.append((group, level[0] - level[1], float(values[0] > values[1])))
            if rows:
                found[f"{start}/win_rate/{a}/{b}"] = Sample(rows, at_zero)
        for a, b in _pairs(study, baseline):
            rows = []
            for r, group in study.group.items():
                for person, mine in _own(study, r).items():
                    levels = [_level(study, r, person, who, name) for who in (a, b)]
                    if a in mine and b in mine and None not in levels:
                        gap = mean(mine[a]) - mean(mine[b])
                        if not tie(gap):
                            rows.append((group, levels[0] - levels[1], float(gap > 0)))
            if rows:
                found[f"{start}/win_rate_person/{a}/{b}"] = Sample(rows, at_zero)
        ways = (("", mean, _level), ("_best", max, _level_of_best))
        for how, statistic, level_of in ways if "human" in study.policies else ():
            for policy in study.machines:
                rows = []
                for r, group in study.group.items():
                    for person, mine in _own(study, r).items():
                        if policy not in mine or "human" not in mine:
                            continue
                        gap = statistic(mine[policy]) - statistic(mine["human"])
                        levels = [
                            level_of(study, r, person, who, name) for who in (policy, "human")
                        ]
                        if not tie(gap) and None not in levels:
                            rows.append((group, levels[0] - levels[1], float(gap > 0)))
                if rows:
                    found[f"{start}/against_human{how}/{policy}"] = Sample(rows, at_zero)
        if name == "length":
            rows = [
                (row[0], study.words[row[3]] - study.position_words[row[3][0]], float(row[1]))
                for row in found["less_divisive/all"].rows
                if row[3][0] in study.position_words
            ]
            if rows:
                found[f"{start}/less_divisive/all"] = Sample(rows, at_zero)
        else:
            agreed, valued = study.apart["agreement"], study.apart["quality"]
            rows = [
                (study.group[key[0]], valued[key], agreed[key]) for key in agreed if key in valued
            ]
            if rows:
                found[f"{start}/inclusion"] = Sample(rows, intercept)
        if len(study.machines) > 1:
            _unanimous_at_average(study, start, of, found)
        everything = found["less_divisive/all"].rows
        known = [of[row[3]] for row in everything if row[3] in of]
        for policy in study.machines if len(study.machines) > 1 and known else ():
            rows = [
                (row[0], of[row[3]] - mean(known), float(row[1]))
                for row in found[f"less_divisive/{policy}"].rows
                if row[3] in of
            ]
            if rows:
                found[f"{start}/less_divisive/{policy}"] = Sample(rows, at_zero)


def _unanimous_at_average(
    study: Study, start: str, of: dict[tuple, float], found: dict[str, Sample]
) -> None:
    by_policy: dict = {policy: [] for policy in study.machines}
    for policy, rows in by_policy.items():
        for row in study.unanimous[policy]:
            known = [of[key] for key in study.of_policy(row[3], policy) if key in of]
            if known:
                rows.append((row[0], mean(known), float(row[1])))
    every = [row[1] for rows in by_policy.values() for row in rows]
    for policy, rows in by_policy.items():
        if rows:
            found[f"{start}/unanimous/{policy}"] = Sample(
                [(group, x - mean(every), y) for group, x, y in rows], at_zero
            )


def intercept(rows: Rows) -> float:
    """Of a straight line of the third column by the second, by numpy's least squares."""
    x, y = np.array([row[1:3] for row in rows]).T
    if np.ptp(x) < 1e-9:
        return math.nan
    return float(np.polynomial.polynomial.polyfit(x, y, 1)[0])


def _level_of_best(study: Study, r: str, person: str, policy: str, name: str) -> float | None:
    """As ``_level``, of the policy's statements that the person rated highest."""
    mine = {
        key: study.rated["agreement"][key][person]
        for key in study.keys[r, policy]
        if person in study.rated["agreement"].get(key, {})
    }
    best = [key for key, value in mine.items() if tie(value - max(mine.values()))]
    values = (
        [study.words[key] for key in best]
        if name == "length"
        else [
            study.rated["quality"][key][person]
            for key in best
            if person in study.rated["quality"].get(key, {})
        ]
    )
    return mean(values) if values else None


def _level(study: Study, r: str, person: str, policy: str, name: str) -> float | None:
    """The mean words, or the person's mean quality, of the policy's statements rated by them."""
    values = []
    for key in study.keys[r, policy]:
        if name == "length" and person in study.rated["agreement"].get(key, {}):
            values.append(study.words[key])
        if name == "quality" and person in study.rated["quality"].get(key, {}):
            values.append(study.rated["quality"][key][person])
    return mean(values) if values else None
