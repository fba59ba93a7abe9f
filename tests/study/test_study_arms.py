"""Arms are the policies under evaluation: the contrasts of the paper, by people of known truth.

Each study goes from its pages to its win rates: latent people write and rate, the export names the
arms, and the evaluation's figures stand beside what those people hold without noise.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from pydantic import ValidationError

pytest.importorskip("starlette", reason="the extra `study` is not installed")

from contrast_making import (
    ONE,
    STUDIES,
    Writers,
    differences,
    run,
    share_won,
)
from sqlalchemy import select
from study_making import Place, small_study
from test_machine import play
from web_making import Served

from commonweal.datasets.arms import arms_of
from commonweal.evaluation.evaluate import evaluate
from commonweal.study.config import ArmConfig, StudyConfig
from commonweal.study.domain import privacy
from commonweal.study.domain.shared import authors_of
from commonweal.study.export.dataset import export_study
from commonweal.study.simulation.truth import true_win_rates
from commonweal.study.storage.tables import ParticipantRow, PresentationRow, StatementRow


@pytest.mark.heavy
@pytest.mark.parametrize("study", STUDIES)
def test_the_papers_contrasts_from_the_pages_to_the_win_rates(tmp_path, study):
    (first, second), arms = STUDIES[study]
    report, dataset = run(tmp_path, arms)
    assert set(dataset.candidates["policy"]) == {first, second}
    assert dataset.ratings.height == report.n_ratings - report.n_position_ratings
    assert (dataset.opinions.height, dataset.rounds.height) == (report.n_opinions, report.n_rounds)
    assert report.n_written == {arm["name"]: report.n_rounds for arm in arms}
    found = evaluate(dataset, n_resamples=1000)
    assert [arm.name for arm in found.arms] == [arm["name"] for arm in arms]
    (rate,) = true_win_rates(dataset)
    assert (rate.first, rate.second, rate.n_rounds) == (first, second, report.n_rounds)
    figure = found.figures[f"win_rate/mean/all/{first}/{second}"]
    assert figure.value == (None if np.isnan(rate.measured) else rate.measured)
    assert (figure.low is None) == (rate.low is None)
    assert any(
        key.startswith("effect/agreement/") and one.value is not None
        for key, one in found.figures.items()
    )
    ratings = {
        (row["round_id"], row["participant_id"], row["candidate_id"]): row["agreement"]
        for row in dataset.ratings.iter_rows(named=True)
    }
    truly = differences(dataset, report.truths, first, second)
    measured = differences(dataset, ratings, first, second)
    assert rate.true == pytest.approx(share_won(truly), nan_ok=True)
    assert rate.measured == pytest.approx(share_won(measured), nan_ok=True)
    # Noise and whole numbers turn round only what is nearly even.
    assert all(truly[r] * measured[r] > 0 for r in truly if abs(truly[r]) > 1.2)


@pytest.mark.heavy
def test_what_an_arm_is_stands_in_the_export(tmp_path):
    _, dataset = run(tmp_path, STUDIES["alpha against alpha"][1], n_people=4)
    arms = arms_of(dataset.about)
    assert arms["everybody"].described == (
        "sft on embedded:small, 16 candidates, utilitarian, by the reward model understanding"
    )
    assert arms["worst_off"].rule == "α = 7.389"
    text = (tmp_path / "data" / "data_dictionary.md").read_text(encoding="utf-8")
    assert f"- `everybody`: {arms['everybody'].described}" in text
    assert "| x_true_agreement | number |" in text


@pytest.mark.parametrize(
    ("arm", "says"),
    [
        ({"name": "human"}, "the name for what people wrote"),
        ({"name": "few_shot", "policy": "sft"}, "writes with sft in another way"),
        ({"name": "sft_base", "policy": "sft", "candidates": 16}, "expected what its name says"),
        ({"name": "sft_rawlsian", "policy": "sft", "welfare": "utilitarian"}, "in another way"),
        ({"name": "sft_utilitarian", "policy": "sft", "alpha": {}}, "in another way"),
        ({"name": "sft_alpha_2-5", "policy": "sft"}, None),
        ({"name": "sft", "policy": "sft", "alpha": {}}, None),
        ({"name": "sft_utilitarian", "policy": "sft"}, None),
        ({"name": "few_shot_nash", "policy": "few_shot_bernoulli_nash"}, None),
        ({"name": "sft_base", "policy": "sft_base"}, None),
    ],
)
def test_an_arm_that_is_named_as_a_policy_is_that_policy(arm, says):
    if says is None:
        ArmConfig.model_validate(arm)
        return
    with pytest.raises(ValidationError, match=says):
        ArmConfig.model_validate(arm)


# --------------------------------------------------------------- people's own opinions (4.4)

WITH_OPINIONS = [
    {"name": "sft_utilitarian", "policy": "sft_utilitarian", **ONE},
    {"name": "people", "plan": "opinions"},
]


@pytest.mark.heavy
def test_people_rate_each_others_opinions_beside_statements(tmp_path):
    """From the screen to the figure of the paper's 4.4."""
    _, dataset = run(tmp_path, WITH_OPINIONS, n_people=8)
    own = dataset.candidates.filter(dataset.candidates["policy"] == "human")
    assert set(own["text"]) == set(dataset.opinions["text"])
    wrote = {
        (row["round_id"], row["text"]): row["participant_id"]
        for row in dataset.opinions.iter_rows(named=True)
    }
    authors = dict(zip(own["candidate_id"] + own["round_id"], own["author_id"], strict=True))
    assert all(
        authors[row["candidate_id"] + row["round_id"]] in wrote.values()
        for row in own.iter_rows(named=True)
    )
    # Nobody was shown what they wrote, and everybody all the rest.
    for row in dataset.ratings.iter_rows(named=True):
        assert authors.get(row["candidate_id"] + row["round_id"]) != row["participant_id"]
    n_shown = dataset.candidates.filter("shown").group_by("round_id").len()
    n_opinions = dataset.opinions.group_by("round_id").len()
    expected = sum(
        people * statements
        for (_, people), (_, statements) in zip(
            n_opinions.sort("round_id").iter_rows(), n_shown.sort("round_id").iter_rows(),
            strict=True,
        )
    )  # fmt: skip
    assert dataset.ratings.height == expected - own["shown"].sum()
    found = evaluate(dataset, n_resamples=1000)
    figure = found.figures["against_human/mean/all/sft_utilitarian"]
    assert figure.value == pytest.approx(above_opinions(dataset))
    assert found.facts["baseline"] == "sft_utilitarian"  # people are no policy
    assert [arm.described for arm in found.arms][1] == "what people wrote"


def above_opinions(dataset):
    """How often a person rates the candidates above the others' opinions, mean against mean."""
    policy = {
        (row["round_id"], row["candidate_id"]): row["policy"]
        for row in dataset.candidates.iter_rows(named=True)
    }
    given = defaultdict(lambda: defaultdict(list))
    for row in dataset.ratings.iter_rows(named=True):
        of = policy[row["round_id"], row["candidate_id"]]
        given[row["round_id"], row["participant_id"]][of].append(row["agreement"])
    both = [m for m in given.values() if len(m) == 2]
    signs = [np.sign(np.mean(m["sft_utilitarian"]) - np.mean(m["human"])) for m in both]
    return sum(s > 0 for s in signs) / sum(s != 0 for s in signs)


def test_who_reads_an_opinion_is_said_before_anybody_agrees(tmp_path):
    shared = Served(tmp_path, small_study(arms=WITH_OPINIONS))
    (tmp_path / "other").mkdir()
    other = Served(tmp_path / "other", small_study())
    for served, says, does_not in (
        (shared, "read it too, without your name", "do not see it"),
        (other, "do not see it", "read it too"),
    ):
        browser = served.browser()
        browser.get("/join")
        assert says in browser.html
        assert does_not not in browser.html
        served.place.store.close()


def test_deleting_an_opinion_takes_what_others_gave_to_it(tmp_path):
    place = Place(f"sqlite:///{tmp_path}/study.db", small_study(arms=WITH_OPINIONS))
    ids = place.join(4)
    play(place, ids, Writers(), until="rate")
    for person in ids:
        while place.page(person).kind == "rate":
            place.act(person)
    with place.transaction() as tx:
        before = tx.db.scalars(select(StatementRow).where(StatementRow.policy == "human")).all()
        assert before
        author = next(iter(authors_of(tx.db, before[0].round_id).values()))
        privacy.delete_data(tx, tx.db.get(ParticipantRow, author))
    with place.store.read() as db:
        left = db.scalars(select(StatementRow).where(StatementRow.policy == "human")).all()
        assert len(left) == len(before) - 1
        shown = set(db.scalars(select(PresentationRow.statement_id)))
        assert shown <= {None, *db.scalars(select(StatementRow.id))}
    export_study(place.store, place.study_id, tmp_path / "data")
    place.store.close()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"arms": [WITH_OPINIONS[1]]}, "no arm writes statements"),
        ({"arms": WITH_OPINIONS, "group": {"size": 11}}, "expected 10 at most"),
        ({"arms": WITH_OPINIONS, "generation": {"fallback": "people"}}, "expected one of sft_util"),
        ({"arms": [WITH_OPINIONS[0], WITH_OPINIONS[1] | {"policy": "sft"}]}, "policy is given"),
        ({"arms": [WITH_OPINIONS[0], WITH_OPINIONS[1] | {"shown": 2}]}, "shown is given"),
    ],
)
def test_what_an_arm_of_opinions_cannot_have(changes, says):
    with pytest.raises(ValidationError, match=says):
        small_study(**changes)


def test_an_arm_of_opinions_is_kept_as_it_is():
    study = small_study(arms=WITH_OPINIONS)
    assert StudyConfig.model_validate_json(study.to_json()) == study


@pytest.mark.heavy
def test_without_a_reward_model_what_is_written_is_shown(tmp_path):
    arms = [{"name": "few_shot", "policy": "few_shot_base", "reward": "none"}]
    _, dataset = run(tmp_path, arms, n_people=4)
    assert dataset.candidates["shown"].all()
    assert dataset.predictions.is_empty()
    with pytest.raises(ValidationError, match=r"1 of 16 candidates are to be picked, which needs"):
        ArmConfig(name="a", reward="none")
