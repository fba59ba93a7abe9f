"""Each rule on 100,000 profiles of 5 participants and 16 candidates, beside a plain loop.

    python benchmarks/rules_speed.py [--profiles 100000] [--loop 200]

The loop calls pure Python that follows each definition, on fewer profiles, its time scaled up; both
must pick the same. Where pref_voting is installed, its winners are compared with ours on the
same profiles (it is no dependency: it brings OR-tools and numba).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import combinations

import numpy as np

from commonweal.rules import resolve_rule
from commonweal.rules.pairwise import margins
from commonweal.welfare import best, rank

RULES = (
    *("approval", "quantile", "veto_core"),
    *("schulze", "ranked_pairs", "maximal_lotteries"),
)


def loop_margins(u: list[list[float]]) -> list[list[int]]:
    n = range(len(u[0]))
    return [[sum((p[a] > p[b]) - (p[b] > p[a]) for p in u) for b in n] for a in n]


def loop_schulze(u: list[list[float]]) -> list[float]:
    m = loop_margins(u)
    n = range(len(m))
    s = [[max(m[a][b], 0) for b in n] for a in n]
    for c in n:
        for a in n:
            for b in n:
                s[a][b] = max(s[a][b], min(s[a][c], s[c][b]))
    return [-sum(s[b][a] > s[a][b] for b in n) for a in n]


def loop_ranked_pairs(u: list[list[float]]) -> list[float]:
    m = loop_margins(u)
    n = range(len(m))
    leads = [[False] * len(m) for _ in n]
    pairs = sorted((-m[a][b], a, b) for a in n for b in n if m[a][b] > 0)
    for _, a, b in pairs:
        if not leads[b][a]:
            for x in n:
                if x == a or leads[x][a]:
                    for y in n:
                        if y == b or leads[b][y]:
                            leads[x][y] = True
    return [-sum(leads[b][a] for b in n) for a in n]


def loop_veto_core(u: list[list[float]]) -> list[float]:
    n_people, n = len(u), len(u[0])
    found = []
    for x in range(n):
        blocked = any(
            sum(all(p[y] > p[x] for p in who) for y in range(n)) >= n - (-(-n * t // n_people) - 1)
            for t in range(1, n_people + 1)
            for who in combinations(u, t)
        )
        mean = sum(p[x] for p in u) / n_people
        found.append(mean - 7 if blocked else mean)
    return found


def loop_approval(u: list[list[float]]) -> list[float]:
    return [sum(p[j] > 4 for p in u) / len(u) for j in range(len(u[0]))]


def loop_quantile(u: list[list[float]]) -> list[float]:
    return [sorted(p[j] for p in u)[-(-len(u) // 4) - 1] for j in range(len(u[0]))]


LOOPS: dict[str, Callable[[list[list[float]]], list[float]]] = {
    "approval": loop_approval,
    "quantile": loop_quantile,
    "veto_core": loop_veto_core,
    "schulze": loop_schulze,
    "ranked_pairs": loop_ranked_pairs,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profiles", type=int, default=100_000)
    parser.add_argument("--loop", type=int, default=200)
    args = parser.parse_args()
    u = np.random.default_rng(0).uniform(1, 7, (args.profiles, 5, 16))
    for name in RULES:
        welfare = resolve_rule(name).function
        # The lottery solves a linear program where there is no Condorcet winner: on fewer, scaled.
        n = min(args.profiles, 1000) if name == "maximal_lotteries" else args.profiles
        start = time.process_time()
        ours = welfare(u[:n])
        seconds = (time.process_time() - start) * args.profiles / n
        said = f"{name:18} {seconds:7.2f} s of processor time"
        if name in LOOPS:
            start = time.process_time()
            theirs = [LOOPS[name](one.tolist()) for one in u[: args.loop]]
            loop_seconds = (time.process_time() - start) * args.profiles / args.loop
            same = (best(ours[: args.loop]) == best(np.array(theirs, float))).mean()
            said += f"; plain loop {loop_seconds:8.1f} s, {loop_seconds / seconds:5.0f} times"
            said += f"; same pick in {same:.0%} of {args.loop}"
        print(said)
    compare(u[:300].round(0))


def compare(u: np.ndarray) -> None:
    """Winners beside those of pref_voting, on whole ratings, which tie often, and on rankings."""
    try:
        from pref_voting import margin_based_methods as theirs
        from pref_voting.c1_methods import top_cycle as smith_set
        from pref_voting.margin_based_methods import beat_path
        from pref_voting.probabilistic_methods import maximal_lottery
        from pref_voting.profiles_with_ties import ProfileWithTies
    except ImportError:
        print("pref_voting is not installed: winners are not compared")
        return
    from commonweal.rules.pairwise import maximal_lotteries, top_cycle
    from commonweal.rules.pairwise import ranked_pairs as our_ranked_pairs
    from commonweal.rules.pairwise import schulze as our_schulze

    def as_theirs(u: np.ndarray) -> ProfileWithTies:
        places = [{j: int(8 - r) for j, r in enumerate(person)} for person in u]
        return ProfileWithTies(places, candidates=range(u.shape[1]))

    same = {"schulze": 0, "top cycle": 0, "ranked pairs (ours among theirs)": 0, "lottery": 0}
    for one in u[:, :, :6]:
        profile = as_theirs(one)
        same["schulze"] += list(rank(our_schulze(one)).tied_best) == sorted(beat_path(profile))
        same["top cycle"] += list(top_cycle(one)) == sorted(smith_set(profile))
        # It tries every order of equal margins, of which five people have many: four candidates.
        same["ranked pairs (ours among theirs)"] += rank(our_ranked_pairs(one[:, :4])).best in (
            theirs.ranked_pairs(as_theirs(one[:, :4]))
        )
        # Any maximal lottery will do where several are.
        lottery = maximal_lottery(profile)
        p = np.array([lottery.get(j, 0) for j in range(6)])
        own = maximal_lotteries(one)
        is_same = np.abs(p - own).max() < 1e-4
        same["lottery"] += is_same or bool(
            (p @ margins(one) >= -1e-4).all() and (p[own < 1e-6] < 1e-4).all()
        )
    for name, n in same.items():
        print(f"pref_voting: {name} the same in {n} of {len(u)}")


if __name__ == "__main__":
    main()
