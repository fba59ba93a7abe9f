"""What a result says of many people: by opinion group, what divides them, and the slate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from commonweal.large import slate as slates
from commonweal.large.groups import OpinionGroups
from commonweal.large.judging import share_interval
from commonweal.large.options import ManyOptions
from commonweal.large.votes import Votes, people_slate
from commonweal.population import Divider, OpinionGroup, Population, Share, Slate, WelfareEstimate
from commonweal.selection import Selection
from commonweal.types import RATING_NEUTRAL, Opinion
from commonweal.welfare import WelfareRule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.types import FloatArray

    IntArray = NDArray[np.int64]

_N_DIVIDERS = 2
MIN_PARTING = 0.5
"""Points of the scale that the groups' means lie apart at least where a text divides them."""

_QUOTE_CHARACTERS = 200


def population_of(
    people: Sequence[Opinion],
    groups: OpinionGroups,
    first: IntArray,
    selection: Selection,
    judged: Sequence[WelfareEstimate],
    of_all: FloatArray,
    rule: WelfareRule,
    options: ManyOptions,
    votes: Votes | None,
    own: dict[str, int],
    difference: str,
    rng: np.random.Generator,
) -> Population:
    """What the panel, and who was asked besides, say of everybody.

    Args:
        people: everybody.
        groups: whom the groups hold.
        first: the places in ``groups.rows`` of the panel, in the order of the selection's rows.
        selection: the selection, picked.
        judged: one a candidate.
        of_all: expected ratings of the closest candidate of all who were asked for it.
        rule: by which it was picked.
        options: how it was done.
        votes: people's own, where there are some.
        own: text of a statement to the group from whose opinions alone it was written.
        difference: what was done differently.
        rng: of what is predicted from votes.
    """
    labels = groups.labels[first]
    closest = selection.picks[0].index if selection.picks else None
    agreeing = None
    if closest is not None:
        agreeing = Share(*share_interval(of_all > RATING_NEUTRAL, len(people)))
    found_slates = []
    without = None
    shown = [j for j in range(len(selection.candidates)) if j not in selection.weak]
    if shown:
        assert selection.utilities is not None  # noqa: S101 - for the type checker
        slate = _slate_of_candidates(selection, selection.utilities, shown, len(people), options)
        found_slates.append(slate)
        covered = slate.covered
        without = Share(1 - covered.value, 1 - covered.high, 1 - covered.low)
    if votes is not None:
        found_slates.append(people_slate(votes, options.n_slate, options.slate_rule, rng))
    return Population(
        n_people=len(people),
        n_read=len(groups.rows),
        n_judged=len(first),
        difference=difference,
        writing=options.writing,
        rule=rule.name,
        agreeing=agreeing,
        n_agreeing_of=len(of_all),
        # What is not worth showing was never in the running.
        settled=sum(judged[j].dropped != "cannot win" for j in shown) <= 1,
        judged=tuple(judged),
        groups=tuple(
            _group(group, people, groups, labels, selection, shown, closest, rule, own)
            for group in range(len(groups.sizes))
        ),
        groups_from=groups.source,
        divides=_dividers(selection, shown, labels),
        slates=tuple(found_slates),
        without=without,
        places=tuple(
            (round(float(x), 4), round(float(y), 4), int(label))
            for (x, y), label in zip(groups.places[first], labels, strict=True)
        ),
    )


def _slate_of_candidates(
    selection: Selection,
    utilities: FloatArray,
    shown: Sequence[int],
    n_people: int,
    options: ManyOptions,
) -> Slate:
    approves = utilities[:, list(shown)] > RATING_NEUTRAL
    choose = slates.greedy if options.slate_rule == "greedy" else slates.proportional
    chosen = choose(approves, options.n_slate)
    covered = np.asarray(approves[:, list(chosen)].any(axis=1))
    best = approves[:, list(slates.top(approves, options.n_slate))].any(axis=1)
    return Slate(
        of="candidates",
        rule="pav" if options.slate_rule == "pav" else "greedy",
        texts=tuple(selection.candidates[shown[j]].text for j in chosen),
        ids=tuple(selection.candidates[shown[j]].id for j in chosen),
        covered=Share(*share_interval(covered, n_people)),
        unrepresented=slates.unrepresented(approves, chosen, options.n_slate) / len(approves),
        top_covered=float(best.mean()),
        n_people=len(approves),
        n_votes=0,
        n_predicted=int(approves[:, list(chosen)].size),
    )


def _group(
    group: int,
    people: Sequence[Opinion],
    groups: OpinionGroups,
    labels: IntArray,
    selection: Selection,
    shown: Sequence[int],
    closest: int | None,
    rule: WelfareRule,
    own: dict[str, int],
) -> OpinionGroup:
    here = labels == group
    n_people = round(len(people) * int(groups.sizes[group]) / len(groups.rows))
    quotes = dict.fromkeys(
        _quote(people[int(groups.rows[place])].text) for place in groups.central[group]
    )
    expected = agreeing = statement = theirs = None
    is_own = False
    if shown and here.any() and selection.utilities is not None:
        utilities = selection.utilities[here]
        if closest is not None:
            expected = float(utilities[:, closest].mean())
            agreeing = Share(*share_interval(utilities[:, closest] > RATING_NEUTRAL, n_people))
        welfare = rule.welfare(utilities)
        best = max(shown, key=lambda j: (welfare[j], -j))
        statement, theirs = selection.candidates[best].id, float(utilities[:, best].mean())
        is_own = own.get(selection.candidates[best].text) == group
    return OpinionGroup(
        name=group_name(group),
        n_people=n_people,
        n_judged=int(here.sum()),
        quotes=tuple(quotes),
        expected=expected,
        agreeing=agreeing,
        statement=statement,
        statement_expected=theirs,
        is_own=is_own,
    )


def group_name(group: int) -> str:
    """The name of a group: "A" is the largest, "B" the next."""
    return chr(ord("A") + group)


def _quote(text: str) -> str:
    one_line = " ".join(text.split())
    if len(one_line) <= _QUOTE_CHARACTERS:
        return one_line
    return one_line[:_QUOTE_CHARACTERS].rsplit(None, 1)[0] + " …"


def _dividers(selection: Selection, shown: Sequence[int], labels: IntArray) -> tuple[Divider, ...]:
    """The candidates on which the groups' means lie furthest apart, weighed by their sizes."""
    present = np.unique(labels)
    if not shown or len(present) < 2 or selection.utilities is None:
        return ()
    means = np.stack([selection.utilities[labels == group].mean(axis=0) for group in present])
    shares = np.array([(labels == group).mean() for group in present])
    spread = shares @ (means - shares @ means) ** 2
    widest = sorted(shown, key=lambda j: -spread[j])
    # A text that all groups lean the same way on divides nobody.
    parting = [
        j
        for j in widest
        if means[:, j].min() < RATING_NEUTRAL < means[:, j].max()
        and np.ptp(means[:, j]) >= MIN_PARTING
    ]
    return tuple(
        Divider(
            selection.candidates[j].text,
            {group_name(int(group)): float(means[i, j]) for i, group in enumerate(present)},
        )
        for j in parting[:_N_DIVIDERS]
    )
