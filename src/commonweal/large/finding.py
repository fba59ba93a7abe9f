"""From thousands of opinions to the statement, and what it says of whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from commonweal.errors import InputError
from commonweal.explaining import explain
from commonweal.large.groups import Embed, OpinionGroups, groups_from_opinions, groups_from_votes
from commonweal.large.judging import LOWEST_SHARE, Panel, for_samples, judge
from commonweal.large.options import ManyOptions
from commonweal.large.sampling import stratified
from commonweal.large.telling import population_of
from commonweal.large.votes import Votes
from commonweal.large.writing import N_IN_PROMPT, ManyPolicy, writer_named
from commonweal.models import store
from commonweal.population import WelfareEstimate
from commonweal.result import Agreement
from commonweal.rewards import REWARD_WEIGHTS, predictions
from commonweal.selection import MIN_QUALITY, Selection, Wanted, pick, select
from commonweal.selection.record import Ranked
from commonweal.types import Opinion, Policy, Progress, Question, RewardModel
from commonweal.welfare import WelfareRule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.types import FloatArray

    IntArray = NDArray[np.int64]


def find_among_many(
    question: Question,
    people: Sequence[Opinion],
    *,
    policy: Policy,
    reward: RewardModel,
    rule: WelfareRule,
    n_candidates: int,
    seed: int,
    omit: Sequence[str] = (),
    min_quality: float | None = MIN_QUALITY,
    min_agreeing: float | None = None,
    options: ManyOptions | None = None,
    votes: Votes | None = None,
    embed: Embed | None = None,
    notes: tuple[str, ...] = (),
    on_progress: Progress,
) -> Agreement:
    """The statement that many people are predicted to agree on best; see ``find_agreement``.

    Args:
        question: what was asked.
        people: everybody; read one by one where they are on disk (``OpinionStore``).
        policy: what writes from a prompt's opinions.
        reward: what predicts agreement.
        rule: what welfare is; the rawlsian minimum is estimated as a quantile (``for_samples``).
        n_candidates: how many to write besides the opinion groups' own statements.
        seed: of all chance.
        omit: ids of people whose opinions the policy must not see.
        min_quality: as in ``find_agreement``.
        min_agreeing: likewise, as a share of all, estimated.
        options: how it is done.
        votes: people's own votes on statements, where there are some.
        embed: texts to vectors; by default all-MiniLM-L6-v2.
        notes: what was done to the input.
        on_progress: called with (stage, n_done, n_total).

    Raises:
        InputError: options cannot be used, or nobody has the id of somebody omitted.
        CommonwealError: as ``find_agreement``.
    """
    options = options or ManyOptions()
    rng = np.random.default_rng([seed, 21])
    omitted = _omitted_rows(people, omit)
    groups = _groups(people, votes, embed, rng, on_progress)
    order = stratified(groups.labels, len(groups.rows), rng, with_floor=False)
    n_panel = min(options.n_panel, len(groups.rows))
    first = stratified(groups.labels, n_panel, rng, with_floor=False)
    rest = order[~np.isin(order, first)]
    own: dict[str, int] = {}
    writer = ManyPolicy(policy, writer_named(options.writing), people, groups.without(omitted), own)
    if not len(writer.groups.rows):
        raise InputError("every opinion is omitted; expected at least one to write from")
    panel = [people[int(groups.rows[place])] for place in first]
    (selection,) = select(
        question,
        panel,
        [
            Wanted(
                tuple(each.id for each in panel if each.id in set(omit)),
                n_candidates,
                (rule,),
                (seed,),
                named="from these opinions",
            )
        ],
        policy=writer,
        reward=reward,
        on_progress=on_progress,
        min_quality=min_quality,
        may_be_empty=True,
    )
    # The writer's groups are numbered without those of whom everybody is omitted.
    numbers = np.unique(groups.labels[~np.isin(groups.rows, omitted)])
    own = {text: int(numbers[group]) for text, group in own.items()}
    is_sample = len(first) < len(people)
    used = for_samples(rule) if is_sample else rule

    def more(n: int, columns: Sequence[int]) -> tuple[FloatArray, IntArray]:
        nonlocal rest
        asked, rest = rest[:n], rest[n:]
        texts = [people[int(groups.rows[place])].text for place in asked]
        statements = [selection.candidates[column].text for column in columns]
        n_pairs = len(texts) * len(statements)
        _, utilities = predictions(
            reward,
            question.text,
            texts,
            statements,
            on_done=lambda n_done: on_progress("refine", n_done, n_pairs),
        )
        return utilities, groups.labels[asked]

    judged: list[WelfareEstimate] = []
    of_all = np.empty(0)
    if selection.candidates:
        assert selection.utilities is not None  # noqa: S101 - for the type checker: it was scored
        judged, of_all, _ = judge(
            Panel(selection.utilities, groups.labels[first], len(people)),
            used,
            allowed=[j for j in range(len(selection.candidates)) if j not in selection.weak],
            more=more,
            n_more=len(rest),
            rng=rng,
        )
        ranked = Ranked.of(used, np.array([each.welfare for each in judged]))
        texts = [each.text for each in selection.candidates]
        picks = pick(texts, [ranked], rng=rng, passed_over=selection.weak)
        selection = replace(selection, ranked=(ranked,), picks=picks)
    difference = _difference(
        len(people), groups, selection, judged, options, is_lowest=used != rule
    )
    population = population_of(
        people, groups, first, selection, judged, of_all, used, options, votes, own, difference, rng
    )
    result = Agreement.of(
        selection,
        notes=(*notes, difference, *selection.notes, *getattr(reward, "notes", ())),
        population=population,
        min_agreeing=min_agreeing,
        provenance=selection.provenance
        | {
            "n_people": len(people),
            "n_opinions_embedded": len(groups.rows),
            "n_people_judged": len(first),
            "writing": options.writing,
            "opinions_in_a_prompt": N_IN_PROMPT,
            "chance_to_be_in_a_sampled_prompt": [
                each * len(groups.rows) / len(people) for each in writer.chance()
            ],
            "done_differently": difference,
        },
    )
    return replace(result, explanation=explain(selection, reward))


def _groups(
    people: Sequence[Opinion],
    votes: Votes | None,
    embed: Embed | None,
    rng: np.random.Generator,
    on_progress: Progress,
) -> OpinionGroups:
    if votes is not None:
        return groups_from_votes(votes.of([each.id for each in people]), rng)
    if embed is None:
        from commonweal.models.encoder import SentenceEncoder

        embed = SentenceEncoder(store.require(REWARD_WEIGHTS)).encode
    return groups_from_opinions(
        people, embed, rng, on_done=lambda n_done, n: on_progress("group", n_done, n)
    )


def _omitted_rows(people: Sequence[Opinion], omit: Sequence[str]) -> list[int]:
    if isinstance(omit, str):
        raise InputError(f"omitted is the text {omit!r}; expected a list of participant ids")
    if not omit:
        return []
    wanted = set(omit)
    rows = {each.id: row for row, each in enumerate(people) if each.id in wanted}
    for name in omit:
        if name not in rows:
            raise InputError(
                f"cannot omit {name!r}: no such participant among {len(people):,}; expected an id "
                "as the file has it"
            )
    return list(rows.values())


def _difference(
    n_people: int,
    groups: OpinionGroups,
    selection: Selection,
    judged: Sequence[WelfareEstimate],
    options: ManyOptions,
    *,
    is_lowest: bool,
) -> str:
    """The line that says what is done differently than with few."""
    parts = {
        "sampled": f"each candidate was written from {N_IN_PROMPT} of {n_people:,} opinions, drawn "
        "so that small opinion groups have more than their share",
        "recursive": f"the candidates were written from statements of {len(groups.sizes)} opinion "
        f"groups, each from {N_IN_PROMPT} of its opinions",
    }[options.writing]
    n_most = max((each.n_people for each in judged), default=len(selection.opinions))
    if len(selection.opinions) >= n_people:
        return f"{parts}; agreement was predicted of everybody"
    to = f" to {n_most:,}" if n_most > len(selection.opinions) else ""
    read = (
        f"; opinion groups are those of a random {len(groups.rows):,}"
        if len(groups.rows) < n_people
        else ""
    )
    instead = (
        "; in the place of the rawlsian minimum, which no sample can bound, stands the rating that "
        f"{LOWEST_SHARE:.0%} of people stay below"
        if is_lowest
        else ""
    )
    return (
        f"{parts}; agreement was predicted of a sample of {len(selection.opinions):,}{to} people, "
        f"and what is said of all is estimated from them{read}{instead}"
    )
