"""From many opinions to the statement, groups and slate, in a town where the truth is known."""

from __future__ import annotations

import json
import math
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from town import KINDS, QUESTION, Reader, Writer, embed, kind_of, people

from commonweal.datasets.schema import VOTE
from commonweal.errors import InputError, MissingExtraError
from commonweal.large import groups as grouping
from commonweal.large.finding import find_among_many
from commonweal.large.groups import groups_from_opinions, groups_from_votes
from commonweal.large.options import ManyOptions
from commonweal.large.picture import map_svg
from commonweal.large.votes import expected_votes
from commonweal.large.writing import N_IN_PROMPT, WRITERS
from commonweal.policies import load_policy
from commonweal.report import render_report
from commonweal.result import Agreement
from commonweal.rewards import utility_profile
from commonweal.rules import RAWLSIAN, UTILITARIAN
from commonweal.types import Generation, Opinion

SHARES = {"fares": 400, "taxes": 170, "villages": 30}


def find(everybody, *, policy=None, rule=UTILITARIAN, **more):
    """The result, the writer and the reader."""
    writer, reader = Writer(), Reader()
    found = find_among_many(
        QUESTION,
        everybody,
        policy=policy or load_policy("zero_shot", writer),
        reward=reader,
        rule=rule,
        **{"n_candidates": 6, "seed": 3, "embed": embed, "on_progress": lambda *_: None} | more,
    )
    return found, writer, reader


@cache
def town(writing="sampled"):
    everybody = people(SHARES)
    options = ManyOptions(writing=writing, n_panel=120)
    return everybody, *find(everybody, options=options)


def test_the_groups_are_those_that_there_are():
    _, found, _, _ = town()
    groups = found.population.groups
    assert [each.n_people for each in groups] == list(SHARES.values())
    for group, kind in zip(groups, KINDS, strict=True):
        assert all(KINDS[kind] in quote for quote in group.quotes)
        # What is best for a group speaks for it: written from its opinions, or by its prompts.
        text = next(each.text for each in found.candidates if each.id == group.statement)
        assert kind in text
    assert sum(each.n_judged for each in groups) == 120


@pytest.mark.parametrize("writing", WRITERS)
def test_every_prompt_holds_few_opinions_and_minorities_have_their_places(writing):
    everybody, found, writer, _ = town(writing)
    texts = {each.id: each.text for each in everybody}
    of_the_people = [each for each in found.candidates if len(each.included_opinion_ids)]
    assert len(of_the_people) == len(found.candidates)
    for each in found.candidates:
        assert set(each.included_opinion_ids) <= set(texts)
        if writing == "sampled":
            assert len(each.included_opinion_ids) == N_IN_PROMPT
    n_prompts = len(writer.prompts)
    # 6 candidates and one or two of each of three groups; what is rejected is drawn again.
    assert n_prompts <= 7 * (6 + 3 * WRITERS[writing].n_per_group)
    if writing == "sampled":
        mixed = [each for each in found.candidates if len(_kinds(each.included_opinion_ids)) > 1]
        for each in mixed:
            kinds = _kinds(each.included_opinion_ids)
            assert kinds.count("villages") >= 1  # 5 % of the people: 0.8 places in proportion


def _kinds(ids):
    found = [name.rstrip("0123456789") for name in ids]
    return found if len(set(found)) > 1 else found[:1]


def test_welfare_is_that_of_all_to_within_its_interval_and_the_pick_is_nearly_the_best():
    everybody, found, _, _ = town()
    texts = [each.text for each in everybody]
    whole = utility_profile(
        Reader(), QUESTION.text, texts, [each.text for each in found.candidates]
    )
    truth = whole.mean(axis=0)
    judged = found.population.judged
    inside = [each.low <= t <= each.high for each, t in zip(judged, truth, strict=True)]
    assert np.mean(inside) >= 0.7  # 9 candidates judged by one draw
    assert truth.max() - truth[found.closest_index] < 0.1
    share = found.population.agreeing
    assert share.low <= (whole[:, found.closest_index] > 4).mean() <= share.high
    assert found.population.n_agreeing_of >= 120


def test_a_slate_reaches_more_people_than_the_best_liked_do():
    _, found, _, _ = town()
    (slate,) = found.population.slates
    assert len({kind_of(text) for text in slate.texts}) == 3
    assert slate.covered.value > 0.9
    assert slate.covered.value >= slate.top_covered
    assert slate.unrepresented == 0
    assert found.population.without.value == pytest.approx(1 - slate.covered.value)
    other, _, _ = find(people(SHARES), options=ManyOptions(n_panel=120, slate_rule="pav"))
    assert other.population.slates[0].rule == "pav"


def test_work_does_not_grow_with_people():
    pairs, prompts = [], []
    for n in (300, 3000):
        shares = {"fares": n * 6 // 10, "taxes": n * 3 // 10, "villages": n // 10}
        _, writer, reader = find(people(shares), options=ManyOptions(n_panel=60))
        pairs.append(reader.n_pairs)
        prompts.append(len(writer.prompts))
    assert pairs[1] <= 1.5 * pairs[0]
    assert prompts[1] <= 1.5 * prompts[0]


def test_what_is_done_differently_is_said_in_one_line_and_in_the_result():
    _, found, _, _ = town()
    said = found.population.difference
    assert said in found.notes
    assert said == found.provenance["done_differently"]
    assert "600 opinions" in said
    assert "a sample of 120" in said
    low, high = found.provenance["chance_to_be_in_a_sampled_prompt"]
    assert 0 < low < N_IN_PROMPT / 600 < high < 1


def test_it_is_stored_and_read_again():
    _, found, _, _ = town()
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    again = Agreement.from_dict(told)
    assert again == found
    assert again.population == found.population
    assert again.outcome == found.outcome
    assert "rawlsian" not in told["other_welfare_functions"]


def test_the_minimum_of_all_is_never_claimed():
    found, _, _ = find(people(SHARES), rule=RAWLSIAN, options=ManyOptions(n_panel=60))
    assert "quantile" in found.welfare_name
    assert "which no sample can bound" in found.population.difference
    assert found.alpha is None
    few = people({"fares": 60, "taxes": 50, "villages": 20})
    found, _, _ = find(few, rule=RAWLSIAN)
    assert found.alpha == math.inf
    assert not found.is_sample
    assert "everybody" in found.population.difference
    np.testing.assert_allclose(found.welfare, found.utilities.min(axis=0))


def test_the_same_seed_gives_the_same_result_and_another_does_not():
    one, _, _ = find(people(SHARES), options=ManyOptions(n_panel=40))
    two, _, _ = find(people(SHARES), options=ManyOptions(n_panel=40))
    other, _, _ = find(people(SHARES), options=ManyOptions(n_panel=40), seed=4)
    for each in (one, two):
        object.__setattr__(each, "timings_seconds", {})
    assert one == two
    assert [each.id for each in one.opinions] != [each.id for each in other.opinions]


def test_who_is_omitted_is_in_no_prompt():
    everybody = people({"fares": 60, "taxes": 50, "villages": 2})
    omitted = ["villages0", "villages1", "fares3"]
    found, _, _ = find(everybody, omit=omitted)
    for each in found.candidates:
        assert not set(omitted) & set(each.included_opinion_ids)
    with pytest.raises(InputError, match="nobody1"):
        find(everybody, omit=["nobody1"])
    with pytest.raises(InputError, match="every opinion is omitted"):
        find(everybody, omit=[each.id for each in everybody])


def test_a_hundred_thousand_copies_of_one_text():
    same = [Opinion(f"p{i}", KINDS["fares"]) for i in range(100_000)]
    found, _, _ = find(same, options=ManyOptions(n_panel=40))
    (group,) = found.population.groups
    assert group.n_people == 100_000
    assert len(group.quotes) == 1
    assert not found.population.divides
    assert "one group" in found.population.undivided
    assert found.population.undivided in render_report(found)
    assert map_svg(found).startswith("<svg")


def test_one_opinion_of_a_megabyte_among_others():
    everybody = [
        *people({"fares": 100, "taxes": 60}),
        Opinion("x", KINDS["fares"] + " no" * 350_000),
    ]
    found, writer, _ = find(everybody, options=ManyOptions(n_panel=200))
    assert found.closest is not None
    assert max(map(len, writer.prompts)) < 60_000


def test_a_policy_that_cannot_write_from_samples_is_called_for_each():
    class Own:
        name = "own"
        model = Writer()
        calls = 0

        def __init__(self):
            self.inner = load_policy("zero_shot", self.model)

        def generate(self, question, opinions, *, n_candidates, rng, on_done=None) -> Generation:
            self.calls += 1
            assert len(opinions) <= N_IN_PROMPT
            return self.inner.generate(
                question, opinions, n_candidates=n_candidates, rng=rng, on_done=on_done
            )

    policy = Own()
    found, _, _ = find(people(SHARES), policy=policy, options=ManyOptions(n_panel=40))
    assert policy.calls == 6 + 3
    assert len(found.candidates) >= 6


def test_options_are_refused_where_they_cannot_be_used():
    for wrong in ({"writing": "all"}, {"n_panel": 3}, {"n_slate": 0}, {"slate_rule": "best"}):
        with pytest.raises(InputError, match="expected"):
            ManyOptions(**wrong)


def test_more_than_can_be_read_are_sampled_first(monkeypatch):
    monkeypatch.setattr(grouping, "MOST_READ", 200)
    found, _, _ = find(people(SHARES), options=ManyOptions(n_panel=60))
    assert found.population.n_read == 200
    assert sum(each.n_people for each in found.population.groups) == pytest.approx(600, abs=2)
    low, _ = found.provenance["chance_to_be_in_a_sampled_prompt"]
    assert low < N_IN_PROMPT / 600
    assert "a random 200" in found.population.difference


def test_groups_from_votes_are_those_who_vote_alike():
    rng = np.random.default_rng(0)
    sides = rng.integers(0, 2, 300)
    leaning = np.where(rng.random(20) < 0.5, 1, -1)
    votes = np.where(sides[:, None] == 1, leaning, -leaning).astype(float)
    votes *= np.where(rng.random(votes.shape) < 0.85, 1, -1)
    votes[rng.random(votes.shape) < 0.5] = np.nan
    found = groups_from_votes(votes, rng)
    assert found.source == "votes"
    assert len(found.sizes) == 2
    same = (found.labels == sides).mean()
    assert max(same, 1 - same) > 0.95


def test_groups_do_not_depend_on_the_block_in_which_opinions_were_read(monkeypatch):
    everybody = people(SHARES)
    whole = groups_from_opinions(everybody, embed, np.random.default_rng(0))
    monkeypatch.setattr(grouping, "_BLOCK", 7)
    blocks = groups_from_opinions(everybody, embed, np.random.default_rng(0))
    np.testing.assert_array_equal(whole.labels, blocks.labels)


def test_the_page_names_shares_and_groups_and_no_list_of_people():
    _, found, _, _ = town()
    page = render_report(found)
    assert "A group of 600 was asked" in page
    assert str(found.population.agreeing) in page
    assert page.count("<svg") == 1
    assert "statements for as many people as possible" in page
    for group in found.population.groups:
        assert f"{group.name}: {group.n_people}" in page


def test_the_screen_says_how_many_and_what_divides(capsys):
    from rich.console import Console

    from commonweal.cli.agree_screen import print_result

    _, found, _, _ = town()
    print_result(Console(width=100), found, details=True)
    screen = " ".join(capsys.readouterr().out.split())
    assert "of 600 people, estimated from" in screen
    assert "Opinion groups, by what people wrote" in screen
    assert "3 statements for as many people as possible" in screen
    assert "95 % interval" in screen
    assert "rawlsian" not in screen


def test_without_scikit_learn_a_missing_vote_is_the_statements_mean(monkeypatch):
    def missing(*_, **__):
        raise MissingExtraError("scikit-learn is not installed")

    monkeypatch.setattr("commonweal.large.votes.warm_ratings", missing)
    given = np.array([[1.0, np.nan], [1.0, -1.0], [np.nan, -1.0]])
    votes = SimpleNamespace(matrix=SimpleNamespace(agreement=given), scale=VOTE)
    expected, known, how = expected_votes(votes)
    assert how == "mean"
    assert known.tolist() == np.isfinite(given).tolist()
    # By hand: the sum of two votes over three, drawn to "pass" by one vote that nobody cast.
    np.testing.assert_allclose(expected, [[1, -2 / 3], [1, -1], [2 / 3, -1]])
