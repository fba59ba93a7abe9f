"""Arms as policies under evaluation: in exports of now, in older ones, of two studies at once."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
from rounds_making import small_dataset

from commonweal.datasets.arms import EXPORTED, STOCK, Arm, arms_of, with_arms
from commonweal.datasets.dataset import Step, read_dataset, write_dataset
from commonweal.datasets.merging import merge
from commonweal.errors import InputError
from commonweal.evaluation.rounds.rated import rated
from commonweal.evaluation.sections.win_rates import default_baseline, pairs_of

BASE = Arm("sft_base", "sft", "small", "", "", 1)
BEST = Arm("sft_utilitarian", "sft", "small", "reader", "utilitarian", 16)


def exported(arms=(), name="study", prefix="", **policies):
    """A study's export whose candidates are of these arms: ``policies`` is of c1 and c2."""
    made = small_dataset()
    step = Step(what=EXPORTED, options=with_arms({}, arms) if arms else {})
    made = replace(made, about=replace(made.about, name=name)).with_step(step)
    if policies:
        named = pl.col("candidate_id").replace_strict(policies)
        made = replace(made, candidates=made.candidates.with_columns(policy=named))
    if prefix:
        tables = {
            table: rows.with_columns(round_id=prefix + pl.col("round_id"))
            for table, rows in made.tables().items()
        }
        made = replace(made, **tables)
    return made


@pytest.mark.parametrize(
    ("arm", "says"),
    [
        (BASE, "sft on small, one sample"),
        (BEST, "sft on small, 16 candidates, utilitarian, by the reward model reader"),
        (Arm("a", "few_shot", STOCK), "few_shot on stock sentences"),
        (Arm("people", "human"), "what people wrote"),
    ],
)
def test_an_arm_in_words(arm, says):
    assert arm.described == says


def test_arms_are_kept_with_the_dataset(tmp_path):
    write_dataset(exported([BASE, BEST], c1="sft_base", c2="sft_utilitarian"), tmp_path / "data")
    found = arms_of(read_dataset(tmp_path / "data").about)
    assert found == {"sft_base": BASE, "sft_utilitarian": BEST}


def test_an_older_export_is_read_with_the_arm_as_the_policy(tmp_path):
    """There the writer was the policy, so that two arms of one writer were one policy."""
    made = exported(c1="sft", c2="sft")
    arm = pl.col("candidate_id").replace_strict({"c1": "sft_base", "c2": "sft_utilitarian"})
    made = replace(made, candidates=made.candidates.with_columns(x_arm=arm))
    write_dataset(made, tmp_path / "old")
    read = read_dataset(tmp_path / "old")
    assert set(read.candidates["policy"]) == {"sft_base", "sft_utilitarian"}
    assert set(read.candidates["x_writer"]) == {"sft"}
    assert "x_arm" not in read.candidates.columns
    assert pairs_of(rated(read), default_baseline(rated(read))) == [("sft_utilitarian", "sft_base")]
    # Written again it is as it was read.
    write_dataset(read, tmp_path / "new")
    assert read_dataset(tmp_path / "new").candidates.equals(read.candidates)


def test_somebody_elses_x_arm_is_left_alone(tmp_path):
    made = small_dataset()
    made = replace(made, candidates=made.candidates.with_columns(x_arm=pl.lit("left")))
    write_dataset(made, tmp_path / "data")
    assert read_dataset(tmp_path / "data").candidates.equals(made.candidates)


@pytest.mark.parametrize(
    ("one", "other", "baseline"),
    [
        (Arm("a", "sft", n_candidates=16), Arm("b", "zero_shot", n_candidates=16), "b"),
        (Arm("a", "few_shot", n_candidates=16), Arm("b", "few_shot", n_candidates=1), "b"),
        (Arm("a", "sft", n_candidates=16), Arm("b", "sft", n_candidates=1), "b"),
        (Arm("a", "sft", n_candidates=1), Arm("b", "few_shot", n_candidates=16), "b"),
        (Arm("a", "sft", n_candidates=16), Arm("b", "sft", n_candidates=16), "a"),
        # Whatever it is called: it writes with sft.
        (Arm("few_shot", "sft", n_candidates=16), Arm("x", "zero_shot", n_candidates=1), "x"),
    ],
)
def test_the_baseline_is_the_simplest_by_what_it_is(one, other, baseline):
    found = rated(exported([one, other], c1=one.name, c2=other.name))
    assert default_baseline(found) == baseline
    (pair,) = pairs_of(found, baseline)
    assert pair.second == baseline


def test_arms_of_two_studies_are_one_policy_only_where_they_are_the_same():
    larger = replace(BEST, model="large")
    first = exported([BASE, BEST], "first", c1="sft_base", c2="sft_utilitarian")
    second = exported([BASE, larger], "second", "x", c1="sft_base", c2="sft_utilitarian")
    merged = merge([first, second], name="both")
    assert set(merged.candidates["policy"]) == {
        "sft_base",
        "sft_utilitarian of first",
        "sft_utilitarian of second",
    }
    assert arms_of(merged.about)["sft_utilitarian of second"].model == "large"
    with pytest.raises(InputError, match="is not the same in two studies"):
        merge([first, replace(second, about=replace(second.about, name="first"))], name="both")
