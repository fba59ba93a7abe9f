"""Replayed people against the raw votes of the export, read without any of our importers."""

import csv
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from commonweal.datasets.dataset import About, Dataset, frame
from commonweal.datasets.importers.polis import import_polis
from commonweal.datasets.schema import VOTE
from commonweal.datasets.validation import check
from commonweal.errors import InputError
from commonweal.participants.rating import rate_rounds
from commonweal.participants.replay import ReplayCrowd
from commonweal.participants.rounds import new_rounds
from commonweal.types import Question

SHARED = Path(
    os.environ.get("COMMONWEAL_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data")
)
UBI = SHARED / "polis" / "scoop-hivemind.ubi"


def conversation(**about):
    """Six people, six statements; person n wrote statement n and voted on all but the next one."""
    people, statements = [f"p{n}" for n in range(6)], [f"s{n}" for n in range(6)]
    ratings = [
        {
            "round_id": "r",
            "participant_id": person,
            "candidate_id": statement,
            "pass_index": 0,
            "agreement": (n * k) % 3 - 1,
        }
        for n, person in enumerate(people)
        for k, statement in enumerate(statements)
        if k != (n + 1) % 6
    ]
    return Dataset(
        About(
            **{
                "name": "talk",
                "people": "replayed",
                "scale": VOTE,
                "source": "made for the tests",
                "licence": "CC BY 4.0",
                "attribution": "them",
                **about,
            }
        ),
        frame(
            "rounds",
            [{"round_id": "r", "group_id": "r", "question_id": "q", "question": "What now?"}],
        ),
        frame(
            "opinions",
            [
                {
                    "round_id": "r",
                    "opinion_id": person,
                    "participant_id": person,
                    "text": f"Opinion of {person}",
                    "source": "written",
                }
                for person in people
            ],
        ),
        frame(
            "candidates",
            [
                {
                    "round_id": "r",
                    "candidate_id": statement,
                    "text": f"Statement {statement}",
                    "policy": "human",
                    "shown": True,
                    "author_id": f"p{k}",
                }
                for k, statement in enumerate(statements)
            ],
        ),
        frame("ratings", ratings),
    )


def test_answers_are_the_sources_and_what_was_not_rated_is_missing():
    source = conversation()
    crowd = ReplayCrowd(source, min_statements=1)
    question = Question("What now?", "q")
    given = {
        (row["participant_id"], row["candidate_id"]): row["agreement"]
        for row in source.ratings.iter_rows(named=True)
    }
    for n in range(6):
        person = crowd.participant(f"p{n}")
        assert person.opinion(question) == f"Opinion of p{n}"
        for k in range(6):
            rating = person.rate(question, f"Statement s{k}", 0)
            assert rating.agreement == given.get((f"p{n}", f"s{k}"))
            assert rating.quality is None
            assert person.rate(question, f"Statement s{k}", 1) == (None, None)
        assert person.rate(question, "Something new", 0) == (None, None)
        assert person.rate(Question("And then?"), "Statement s0", 0) == (None, None)
        assert person.rate_position(question, "Now.") is None
        with pytest.raises(InputError, match="cannot be asked anything new"):
            person.opinion(Question("And then?"))
    with pytest.raises(InputError, match=r"nobody named 'ada'.*6 people"):
        crowd.participant("ada")


def test_groups_share_statements_that_none_of_them_wrote():
    source = conversation()
    crowd = ReplayCrowd(source, min_statements=2)
    rng = np.random.default_rng(0)
    rounds = new_rounds(crowd, n_groups=20, group_size=2, rng=rng, name="again")
    rated = rate_rounds(crowd, rounds, rng=rng)
    check(rated, Path("again"))
    assert rated.about.people == "replayed"
    assert rated.about.source.startswith("replayed: ")
    assert (rated.about.licence, rated.about.attribution) == ("CC BY 4.0", "them")
    assert rated.candidates["included_opinion_ids"].null_count() == rated.candidates.height
    counts = rated.about.steps[-1].counts
    assert counts["ratings missing: agreement"] == 0
    assert counts["ratings missing: quality"] == counts["ratings asked for"] == rated.ratings.height
    for round_id in rated.rounds["round_id"]:
        here = rated.of_rounds([round_id])
        numbers = {name[1:] for name in here.opinions["participant_id"]}
        shown = {name[1:] for name in here.candidates["candidate_id"]}
        assert len(numbers) == 2
        unrated = {str((int(n) + 1) % 6) for n in numbers}
        assert shown == set("012345") - numbers - unrated


def test_what_a_policy_writes_cannot_be_rated():
    crowd = ReplayCrowd(conversation(), min_statements=1)
    rng = np.random.default_rng(1)
    rounds = new_rounds(crowd, n_groups=2, group_size=2, rng=rng)
    new = rounds.candidates.with_columns(text=pl.lit("We agree on something new."))
    rated = rate_rounds(crowd, Dataset(rounds.about, rounds.rounds, rounds.opinions, new), rng=rng)
    assert rated.ratings["agreement"].null_count() == rated.ratings.height > 0
    counts = rated.about.steps[-1].counts
    assert counts["ratings missing: agreement"] == counts["ratings asked for"]


def test_what_cannot_be_replayed_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="its people are simulated"):
        ReplayCrowd(conversation(people="simulated"))
    source = conversation()
    with pytest.raises(InputError, match="nobody has both"):
        ReplayCrowd(Dataset(source.about, source.rounds, candidates=source.candidates))
    crowd = ReplayCrowd(source, min_statements=4)

    def sit(**more):
        wanted = {"n_groups": 1, "group_size": 2, "rounds_per_group": 1, "split": None, **more}
        return crowd.sit(rng=rng, **wanted)

    with pytest.raises(InputError, match="no 5 people were found who rated 4 statements"):
        sit(group_size=5)
    with pytest.raises(InputError, match="no conversation has 7 people"):
        sit(group_size=7)
    with pytest.raises(InputError, match="in the split 'train'"):
        sit(split="train")
    with pytest.raises(InputError, match="expected 1"):
        sit(rounds_per_group=2)
    with pytest.raises(InputError, match="max_statements is 3"):
        ReplayCrowd(source, max_statements=3)


@pytest.mark.skipif(not UBI.is_dir(), reason=f"no Polis export at {UBI}")
def test_a_real_conversation_is_played_back_vote_by_vote():
    crowd = ReplayCrowd(import_polis(UBI, name="ubi"), min_statements=6)
    rng = np.random.default_rng(3)
    rated = rate_rounds(crowd, new_rounds(crowd, n_groups=10, group_size=4, rng=rng), rng=rng)
    check(rated, Path("ubi"))
    with (UBI / "votes.csv").open(encoding="utf-8", newline="") as file:
        raw = {}
        for row in sorted(csv.DictReader(file), key=lambda row: int(row["timestamp"])):
            raw[row["voter-id"], row["comment-id"]] = int(row["vote"])
    with (UBI / "comments.csv").open(encoding="utf-8", newline="") as file:
        bodies = {row["comment-id"]: row["comment-body"] for row in csv.DictReader(file)}
        by_text = {}
        for comment, body in bodies.items():
            by_text.setdefault(" ".join(body.split()), set()).add(comment)
    assert rated.rounds.height == 10
    assert rated.ratings.height >= 10 * 4 * 6
    for row in rated.ratings.iter_rows(named=True):
        voter = row["participant_id"].split("/")[1]
        same = by_text[" ".join(bodies[row["candidate_id"]].split())]
        assert row["agreement"] in {raw.get((voter, comment)) for comment in same}
