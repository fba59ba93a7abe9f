"""The main job in one function: from a group's opinions to the statement it can agree on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Literal

from commonweal.calling import check, limited
from commonweal.datasets.near_copies import near_copies
from commonweal.errors import InputError, PluginError
from commonweal.explaining import explain
from commonweal.groups import check_group
from commonweal.large.finding import find_among_many
from commonweal.large.options import MANY, ManyOptions
from commonweal.large.store import OpinionStore
from commonweal.large.votes import Votes
from commonweal.log import LOG
from commonweal.models import DEFAULT_MODEL
from commonweal.outcomes import MIN_AGREEING
from commonweal.policies import NamedPolicy, default_policy, load_policy, read_policy_name
from commonweal.policies.prompts import WorkedExample
from commonweal.policies.ruled import RuledPolicy
from commonweal.result import Agreement
from commonweal.rewards import check_reward_model, load_reward_model
from commonweal.rewards.choosing import chosen_for
from commonweal.rewards.prompted_cost import Cost
from commonweal.rules import Welfare, resolve_rule
from commonweal.selection import (
    MIN_QUALITY,
    N_CANDIDATES,
    Wanted,
    check_min_quality,
    check_seed,
    included,
    select,
)
from commonweal.selection.making import floor_for
from commonweal.selection.own import check_members, check_policy, try_reward_model, try_rule
from commonweal.selection.own_words import tells
from commonweal.selection.sense import is_read
from commonweal.types import (
    LanguageModel,
    Opinion,
    Policy,
    Progress,
    Question,
    RewardModel,
    no_progress,
)
from commonweal.welfare import WelfareRule


@limited
def find_agreement(
    question: str | Question,
    opinions: Sequence[str | Opinion],
    *,
    policy: str | Policy | None = None,
    model: str | LanguageModel = DEFAULT_MODEL,
    examples: Sequence[WorkedExample] = (),
    reward: str | RewardModel | None = None,
    welfare: Welfare | None = None,
    alpha: float | None = None,
    n_candidates: int | None = None,
    seed: int = 0,
    omit: Sequence[str] = (),
    min_quality: float | Literal["auto"] | None = "auto",
    min_agreeing: float | None = MIN_AGREEING,
    shortlist: int | Literal["auto"] | None = "auto",
    own_words: bool | None = None,
    many: ManyOptions | None = None,
    votes: Votes | None = None,
    on_progress: Progress | None = None,
    on_cost: Callable[[Cost], None] | None = None,
    on_draft: Callable[[str], None] | None = None,  # noqa: ARG001 - heard by ``limited``
    timeout_seconds: float | None = None,  # noqa: ARG001 - likewise
) -> Agreement:
    """The statement that this group is predicted to agree on best, with all that led to it.

    Finding no statement is a result and not an error: ``Agreement.outcome`` says whether a
    statement was found, nobody may agree, or no candidate is worth showing.

    Args:
        question: what the group was asked.
        opinions: one a participant, at least two; plain texts get the ids p1, p2, ...
        policy: what writes the candidates, by name ("sft", "few_shot", "sft_rawlsian": see
            ``policies.names``), as the path of a policy folder or a prompt template (.toml), or as
            an object; by default "few_shot" with embedded models, "sft" with "embedded:small" and
            "zero_shot" with others.
        model: the language model of a policy given by name: "embedded", "openai:URL#MODEL", ...,
            or as an object.
        examples: for "few_shot", which is then the default: worked examples instead of its own
            (``policies.collected_examples.worked_examples`` takes them from rated rounds).
        reward: what predicts agreement, by name or as an object; "prompted" is the language model
            that writes, "prompted:ENGINE" another. By default "probe" where the default model
            writes for at most 12 people, else "reader".
        welfare: "utilitarian" (the default), "bernoulli_nash", "rawlsian", the
            name of an installed rule, or a function from utilities [n_participants, n_candidates]
            to welfare [n_candidates], higher is better. `commonweal plugins` lists the names.
        alpha: inequality aversion, instead of ``welfare``: any number from 0 to infinity.
        n_candidates: how many candidates to write: 16, as in the paper, or 1 for a "..._base"
            policy.
        seed: the same seed gives the same result on the same machine, if the engine can promise
            it (docs/decisions/007-randomness.md).
        omit: ids of participants whose opinions the policy must not see. Their agreement is still
            predicted (paper 4.3).
        min_quality: the lowest quality, from 1 to 7, that a chosen candidate may have, if the
            reward model judges quality; None for no floor. By default 3.5, and 2 where the default
            model writes and its own layers order the shortlist (docs/decisions/046-probes.md).
        min_agreeing: the smallest share of the group, from 0 to 1, that must be predicted to agree.
            In any case the range of somebody's prediction must reach it, and at most half may be
            likely to disagree; None for no such condition.
        shortlist: how many of the most sensible candidates the rule chooses between, if the model
            that writes orders them itself or the reward model judges quality; None for all. By
            default 1 with the default model, whose own states order them, and 2 where a rule is
            named here or in the policy's name; 2 with other embedded models of 1 to 2 GB, and all
            with others (docs/decisions/042, 047 and 048). Not used with many people.
        own_words: whether what people proposed themselves, a sentence of their opinion or a short
            opinion, competes with what is written, as its author's candidate. By default where the
            default model writes and no policy is named: other models do not tell which sentence
            stands alone (docs/decisions/050-own-words.md). Of those in ``omit`` nothing is taken.
        many: for more than 100 people: how candidates are written, how many people are judged,
            the slate. What is done differently then: docs/large.md.
        votes: people's own votes on statements, from a Polis export or a study; with votes, even a
            few people are treated as many.
        on_progress: called with (stage, n_done, n_total); the stages are "load", "generate" and
            "predict", and with many people also "group" and "refine".
        on_cost: called with the cost of predictions before they begin, if an engine is asked for
            them and they are not stored already.
        on_draft: called once, with the text of the first candidate, as soon as it is written: long
            before any agreement is predicted. Usually another one is chosen.
        timeout_seconds: the longest that the whole call may take. Work at a server or in the
            embedded engine then stops; models that are loading, and your own objects that call no
            ``on_done``, finish what they are doing first.

    Raises:
        InputError: the question, opinions or options cannot be used; the message says which.
        PluginError: a plugin, or an object of yours, failed or does not keep to its protocol; the
            message names it. Objects are tried before anything is written: a reward model with two
            texts, a rule with made-up utilities.
        WeightsError: model weights are missing.
        EngineError: the language model failed.
        TimeLimitError: it took longer than ``timeout_seconds``.

    Source: paper 3.4 step 3, figure 1.
    """
    # A store was checked when it was filled, and is too large to be held in memory.
    asked, everybody, notes = (
        (question if isinstance(question, Question) else Question(question), opinions, ())
        if isinstance(opinions, OpinionStore)
        else check_group(question, opinions)
    )
    _check_objects(policy, model, reward)
    named = _named(policy, model, examples)
    uses_own_words = own_words if own_words is not None else policy is None
    rule, n_candidates = _rule(named, welfare, alpha, n_candidates)
    is_many = len(everybody) > MANY or votes is not None
    if own_words and is_many:
        raise InputError(
            "own_words is True, and of many people, or with votes, their own sentences are not "
            "read; leave it out"
        )
    if not is_many:
        notes = (*notes, *_copies(everybody))
        included(everybody, omit)  # refused before anything is loaded
    if n_candidates < 1:
        raise InputError(f"n_candidates is {n_candidates}, expected at least 1")
    check_seed(seed)
    if isinstance(reward, str):
        check_reward_model(reward)
    if min_quality != "auto":
        check_min_quality(min_quality)
    _check_min_agreeing(min_agreeing)
    if isinstance(shortlist, int) and shortlist < 1:
        raise InputError(f"shortlist is {shortlist}, expected at least 1, or None for all")
    try_rule(rule, len(everybody), n_candidates)
    progress = _Watched(on_progress or no_progress)

    began = perf_counter()
    progress("load", 0, 2)
    writer = (
        policy if isinstance(policy, Policy) else load_policy(named.name, model, examples=examples)
    )
    progress("load", 1, 2)
    if reward is None:
        reward = chosen_for(writer.model, len(everybody))
    predictor = (
        load_reward_model(reward, writer=writer.model, on_cost=on_cost)
        if isinstance(reward, str)
        else reward
    )
    check_policy(writer)
    if own_words and not tells(writer.model):
        raise InputError(
            "own_words is True, and which sentence stands alone is told by the states of the model "
            f"{DEFAULT_MODEL!r} alone; the model is {writer.model.model_id}. Leave it out"
        )
    if not isinstance(reward, str) and not is_many:
        try_reward_model(predictor, asked, everybody)
    progress("load", 2, 2)
    load_seconds = round(perf_counter() - began, 3)

    if is_many:
        result = find_among_many(
            asked,
            everybody,
            policy=writer,
            reward=predictor,
            rule=rule,
            n_candidates=n_candidates,
            seed=seed,
            omit=omit,
            min_quality=MIN_QUALITY if min_quality == "auto" else min_quality,
            min_agreeing=min_agreeing,
            options=many,
            votes=votes,
            notes=notes,
            on_progress=progress,
        )
        return replace(
            result,
            timings_seconds={"load": load_seconds, **result.timings_seconds},
            provenance=result.provenance | {"policy": named.name or writer.name},
        )
    names_rule = welfare is not None or alpha is not None or named.rule is not None
    listed = (
        shortlist_for(writer.model, names_rule=names_rule) if shortlist == "auto" else shortlist
    )
    if min_quality == "auto":
        min_quality = floor_for(writer.model, is_listed=listed is not None)
    try:
        (selection,) = select(
            asked,
            everybody,
            [Wanted(tuple(omit), n_candidates, (rule,), (seed,), named="from these opinions")],
            policy=writer,
            reward=predictor,
            on_progress=progress,
            min_quality=min_quality,
            shortlist=listed,
            may_be_empty=True,
            with_own_words=uses_own_words,
        )
    except PluginError as error:
        # What the caller's own on_progress raises, to end the call, is no fault of a plug-in.
        if progress.raised is not None and error.__cause__ is progress.raised:
            raise progress.raised from None
        raise
    result = Agreement.of(
        selection,
        notes=(*notes, *selection.notes, *getattr(predictor, "notes", ())),
        timings_seconds={"load": load_seconds, **selection.timings_seconds},
        provenance=selection.provenance
        | {"policy": named.name or writer.name}
        | ({} if selection.shortlist is None else {"shortlist": selection.shortlist}),
        min_agreeing=min_agreeing,
    )
    LOG.info(
        "%s: %d people, %d candidates of %d completions, %.1f s, %s, %s, seed %d",
        result.outcome.value,
        len(everybody),
        len(result.candidates),
        result.n_sampled,
        perf_counter() - began,
        writer.model.model_id,
        predictor.name,
        seed,
    )
    return replace(result, explanation=explain(selection, predictor))


def shortlist_for(model: LanguageModel, *, names_rule: bool = True) -> int | None:
    """Among how many of the most sensible candidates of this model a rule is to choose.

    None, for all, for a model that does not say. One where the model's own states order them and
    nobody named a rule: the order holds what the whole group would welcome, too. Predictions for
    each person say which side of it to take (docs/decisions/051-the-side-of-most.md).
    """
    wanted: int | None = getattr(model, "shortlist", None)
    return 1 if wanted is not None and not names_rule and is_read(model) else wanted


def _copies(opinions: Sequence[Opinion]) -> tuple[str, ...]:
    """A note for each set of opinions that are nearly the same: perhaps one person's."""
    notes = []
    for places in near_copies([each.text for each in opinions]):
        texts = {" ".join(opinions[place].text.casefold().split()) for place in places}
        if len(texts) > 1:  # the same words are noted where the group is checked
            names = ", ".join(opinions[place].id for place in places)
            notes.append(
                f"participants {names} gave nearly the same opinion; each counts. Is it one "
                "person under several names? Then give that opinion once"
            )
    return tuple(notes)


class _Watched:
    """A caller's ``on_progress`` that remembers what it raised."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.raised: Exception | None = None

    def __call__(self, stage: str, n_done: int, n_total: int, /) -> None:
        check()
        try:
            self._progress(stage, n_done, n_total)
        except Exception as error:
            self.raised = error
            raise


def _check_objects(policy: object, model: object, reward: object) -> None:
    """Refuses an object that is not what it is given for."""
    if policy is not None and not isinstance(policy, str):
        check_members(policy, Policy, "policy", named_as="a name")
    elif not isinstance(model, str):
        check_members(model, LanguageModel, "model", named_as="a name as embedded:small")
    if reward is not None and not isinstance(reward, str):
        check_members(reward, RewardModel, "reward model", named_as="a name")


def _check_min_agreeing(share: float | None) -> None:
    if share is not None and not 0 <= share <= 1:
        raise InputError(f"min_agreeing is {share}, expected a share from 0 to 1")


def _named(
    policy: str | Policy | None, model: str | LanguageModel, examples: Sequence[WorkedExample]
) -> NamedPolicy:
    """What the policy's name says; an object has none, unless it was loaded by one with a rule."""
    if not isinstance(policy, Policy):
        return read_policy_name(policy or ("few_shot" if examples else default_policy(model)))
    if examples:
        raise InputError(
            f"worked examples were given with the policy object {policy.name!r}, which has its own "
            "prompt; use them with the name few_shot"
        )
    return policy.named if isinstance(policy, RuledPolicy) else NamedPolicy("")


def _rule(
    named: NamedPolicy, welfare: Welfare | None, alpha: float | None, n_candidates: int | None
) -> tuple[WelfareRule, int]:
    """The rule and the number of candidates, where the policy's name may say them, too."""
    named.check_count(n_candidates)
    n_candidates = (
        n_candidates if n_candidates is not None else 1 if named.is_base else N_CANDIDATES
    )
    asked = resolve_rule(welfare, alpha)
    if named.rule is None:
        return asked, n_candidates
    if (welfare is not None or alpha is not None) and asked != named.rule:
        raise InputError(
            f"the policy {named.name} picks by {named.rule.name} welfare, and "
            f"{asked.name if alpha is None else f'alpha {alpha:g}'} was asked for; give one of the "
            "two"
        )
    return named.rule, n_candidates
