"""Datasets as one, and the datasheet that says where each came from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from polis_making import small_export
from rounds_making import about, small_dataset

from commonweal.datasets.comparisons import count_comparisons, within_person_pairs
from commonweal.datasets.dataset import frame
from commonweal.datasets.datasheet import as_markdown, describe
from commonweal.datasets.importers.polis import import_polis
from commonweal.datasets.merging import merge
from commonweal.datasets.reliability import drop_unreliable
from commonweal.datasets.schema import VOTE
from commonweal.datasets.splits import split_by_mapping
from commonweal.datasets.validation import problems
from commonweal.errors import InputError


@pytest.fixture
def parts(tmp_path):
    return [
        import_polis(
            small_export(tmp_path / name, topic=f"About {name}"),
            licence="CC BY 4.0",
            attribution=f"by {name}",
        )
        for name in ("one", "two")
    ]


def test_all_rounds_are_in_it(parts):
    both = merge(parts, name="both")
    assert list(problems(both, Path("d"))) == []
    for name, table in both.tables().items():
        assert table.height == sum(getattr(part, name).height for part in parts)
    assert both.about.licence == "CC BY 4.0"
    assert both.about.attribution == "by one; by two"
    assert [step.options.get("dataset") for step in both.about.steps] == ["one", "two", None]
    assert both.rounds["x_description"].to_list() == ["More about it"] * 2


def test_comparisons_of_both_are_those_of_each(parts):
    counts = [count_comparisons(each) for each in (merge(parts, name="both"), *parts)]
    for what, n in counts[0].items():
        assert n == counts[1][what] + counts[2][what]


def test_what_does_not_go_together_is_refused(parts):
    with pytest.raises(InputError, match="round_id 'one' is in two of the datasets"):
        merge([parts[0], parts[0]], name="both")
    with pytest.raises(InputError, match="one is rated on the scale vote and made likert-7"):
        merge([parts[0], small_dataset()], name="both")
    votes = replace(small_dataset(), about=about(VOTE))
    with pytest.raises(InputError, match="one is of people who are replayed and made simulated"):
        merge([parts[0], votes], name="both")
    with pytest.raises(InputError, match="no datasets to merge"):
        merge([], name="both")


def test_the_datasheet_counts_every_step(parts):
    both = split_by_mapping(merge(parts, name="both"), {"one": "train", "two": "ood_test"})
    sheet = describe(both)
    assert json.loads(json.dumps(sheet)) == sheet
    assert [step["what"] for step in sheet["steps"]] == [
        "imported from Polis",
        "imported from Polis",
        "merged",
        "split by question",
    ]
    assert sheet["counts"]["all"]["within-person pairs"] == (
        sheet["counts"]["train"]["within-person pairs"]
        + sheet["counts"]["ood_test"]["within-person pairs"]
    )
    assert sum(sheet["agreement"].values()) == both.ratings.height
    text = as_markdown(sheet)
    assert "- **Ratings:** replayed: real people's votes" in text
    assert "- **Licence:** CC BY 4.0." in text
    assert "   - votes dropped: on a comment dropped: 2" in text
    assert "| ratings | 18 | 9 | 9 |" in text


def test_the_datasheet_says_what_filters_would_leave():
    """Against the filter and the pairs themselves, in each split."""
    values = {"steady": [1, 7, 4, 2], "random": [1, 7, 1, 7], "short": [2, 6]}
    agains = {"steady": [1, 6, 4, 2], "random": [7, 1, 7, 1], "short": [6, 2]}
    dataset = rated_twice(values, agains)
    sheet = describe(dataset, min_kappa=0.3, max_pairs_per_person=2)
    assert json.loads(json.dumps(sheet)) == sheet
    left = drop_unreliable(dataset, threshold=0.3)
    assert set(left.ratings["participant_id"]) == {"steady", "short"}
    for name, counts, of in (
        ("all", sheet["counts"], dataset),
        ("all", sheet["counts_of_reliable"], left),
        ("train", sheet["counts_of_reliable"], left),
        ("ood_test", sheet["counts_of_reliable"], left.of_split("ood_test")),
    ):
        pairs = list(within_person_pairs(of))
        assert counts[name]["within-person pairs"] == sum(map(len, pairs))
        capped = sum(map(len, within_person_pairs(of, cap=2)))
        assert counts[name]["of them at most 2 a person"] == capped
    found = sheet["counts_of_reliable"]["all"]
    assert (found["people: unreliable"], found["people: too few repeated"]) == (1, 1)
    assert found["ratings dropped: of unreliable people"] == 8
    assert found["ratings"] == 12
    text = as_markdown(sheet)
    assert "## Without people whose kappa is below 0.3" in text
    assert "| ratings dropped: of unreliable people | 8 | 0 | 8 |" in text
    # Everybody of a split may be unreliable: the sheet says so, and training refuses it.
    only = replace(dataset, ratings=dataset.ratings.filter(pl.col("participant_id") == "random"))
    assert describe(only, min_kappa=0.3)["counts_of_reliable"]["train"]["ratings"] == 0


def test_a_second_pass_without_a_kappa_is_said():
    sheet = describe(rated_twice({"flat": [5, 5, 5, 5]}, {"flat": [5, 5, 5, 5]}))
    assert (sheet["kappa"]["people"], sheet["kappa"]["quartiles"]) == (0, None)
    assert "nobody has a kappa between the two" in as_markdown(sheet)


def test_the_datasheets_kappa_is_of_people_with_enough_repeated_statements():
    """One repeats four statements perfectly; another two, the other way round."""
    first = {"sure": [1, 3, 5, 7], "brief": [1, 7]}
    again = {"sure": [1, 3, 5, 7], "brief": [7, 1]}
    sheet = describe(rated_twice(first, again))
    assert sheet["kappa"]["people"] == sheet["kappa"]["people_with_too_few_repeated"] == 1
    assert sheet["kappa"]["quartiles"] == [1.0, 1.0, 1.0]
    assert "of 1 people (1 more rated fewer than 4 statements twice)" in as_markdown(sheet)


@pytest.mark.parametrize("options", [{"min_kappa": 2}, {"max_pairs_per_person": 0}])
def test_filters_that_cannot_be_are_named(options):
    with pytest.raises(InputError, match=r"is [02], expected"):
        describe(small_dataset(), **options)


def rated_twice(first: dict[str, list[int]], second: dict[str, list[int]]):
    """The small dataset with these ratings of statements c0, c1, ... of its training round."""
    rows = [
        {
            "round_id": "r1",
            "participant_id": person,
            "candidate_id": f"c{n}",
            "pass_index": again,
            "agreement": value,
        }
        for again, people in enumerate((first, second))
        for person, values in people.items()
        for n, value in enumerate(values)
    ]
    opinions = [
        {
            "round_id": "r1",
            "opinion_id": person,
            "participant_id": person,
            "text": "Why not?",
            "source": "written",
        }
        for person in first
    ]
    dataset = small_dataset()
    return replace(dataset, ratings=frame("ratings", rows), opinions=frame("opinions", opinions))


def test_the_datasheet_says_what_is_not_known():
    text = as_markdown(describe(small_dataset()))
    assert "simulated: nobody gave these ratings" in text
    assert "not given; find out before you share it" in text
    # Two statements rated twice, or none.
    assert "nobody has a kappa between the two (6 more rated fewer than 4 statements" in text
