"""Graded groups become rounds, grade for grade; what does not fit together is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from commonweal.datasets.agreements import matrices
from commonweal.datasets.importers.graded import import_graded
from commonweal.datasets.validation import problems
from commonweal.errors import InputError

GROUP = {
    "id": "g-1",
    "topic": "buses",
    "question": "Free buses?",
    "opinions": ["yes", "no, who pays"],
    "statements": ["We want free buses.", "Buses should cost a little.", "Bus bus."],
    "kinds": ["verdict", "conditional", "salad"],
    "agreement": [[7, 3, 4], [1, 6, 2]],
    "quality": [5, 6, 1],
}


def put(path: Path, *groups: dict) -> Path:
    path.write_text("".join(json.dumps(group) + "\n" for group in groups), encoding="utf-8")
    return path


def test_every_grade_is_a_rating(tmp_path):
    plain = {k: v for k, v in GROUP.items() if k not in ("id", "topic", "kinds")}
    dataset = import_graded(put(tmp_path / "g.jsonl", GROUP, plain), licence="Apache-2.0")
    assert list(problems(dataset, tmp_path)) == []
    assert dataset.about.people == "simulated"
    assert dataset.rounds["round_id"].to_list() == ["g/g-1", "g/2"]
    for matrix in matrices(dataset):
        assert np.array_equal(matrix.agreement, GROUP["agreement"])
        assert list(matrix.statements) == GROUP["statements"]
    quality = dataset.ratings.filter(round_id="g/2", participant_id="g/2/p2")["quality"]
    assert quality.to_list() == GROUP["quality"]
    assert dataset.candidates["policy"].to_list() == [*GROUP["kinds"], *["written"] * 3]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"quality": [5, 6]}, "quality has 2 entries"),
        ({"agreement": [[7, 3, 4]]}, "agreement has 1 entries"),
        ({"agreement": [[7, 3], [1, 6, 2]]}, r"agreement\.0 has 2 entries"),
        ({"agreement": [[7, 3, 8], [1, 6, 2]]}, r"agreement\.0\.2 is 8"),
        ({"agreement": [[7, 3, 4.5], [1, 6, 2]]}, r"agreement\.0\.2"),
        ({"opinions": ["yes", " "]}, r"opinions\.1 is blank"),
        ({"question": ""}, "question"),
        ({"statements": None}, "statements"),
        ({"kinds": ["verdict"]}, "kinds has 1 entries"),
    ],
)
def test_what_does_not_fit_is_named_with_its_line(tmp_path, changes, named):
    path = put(tmp_path / "g.jsonl", GROUP, {**GROUP, **changes})
    with pytest.raises(InputError, match=rf"g\.jsonl, line 2: .*{named}"):
        import_graded(path)


@pytest.mark.parametrize("text", ["", "\n\n", "{", "[]", '"text"'])
def test_what_is_no_group_is_refused(tmp_path, text):
    path = tmp_path / "g.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match="expected graded groups"):
        import_graded(path)


def test_a_text_may_hold_any_mark_but_a_line_feed(tmp_path):
    marks = "We agree.\u2028Both\u0085of us.\x1c"
    path = tmp_path / "g.jsonl"
    changed = GROUP | {"statements": [marks, *GROUP["statements"][1:]]}
    path.write_text(json.dumps(changed, ensure_ascii=False) + "\n", encoding="utf-8")
    assert import_graded(path).candidates["text"][0] == marks
