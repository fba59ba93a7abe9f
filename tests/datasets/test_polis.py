"""Polis exports: the rules on a small one, every fault named, and the real ones recounted."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from polis_making import (
    COMMENTS,
    REAL,
    VOTES,
    by_loops,
    comment,
    put_csv,
    put_export,
    small_export,
    vote,
)

from commonweal.datasets.agreements import matrix
from commonweal.datasets.importers.polis import import_polis
from commonweal.datasets.validation import problems
from commonweal.errors import InputError

EXAMPLE = Path(__file__).parents[2] / "examples" / "polis" / "bus-fares"


@pytest.fixture
def export(tmp_path):
    return small_export(tmp_path / "buses")


def ratings_of(dataset):
    columns = ("participant_id", "candidate_id", "agreement")
    return set(dataset.ratings.select(columns).iter_rows())


def counts_of(dataset):
    return dataset.about.steps[0].counts


# ------------------------------------------------------------------------------------- the rules


def test_what_a_conversation_becomes(export):
    dataset = import_polis(export)
    assert list(problems(dataset, Path("d"))) == []
    assert dataset.about.people == "replayed"
    assert dataset.about.scale.name == "vote"
    (row,) = dataset.rounds.iter_rows(named=True)
    assert row["round_id"] == row["group_id"] == row["question_id"] == "buses"
    assert row["question"] == "Buses for everyone"
    assert row["x_description"] == "More about it"
    assert row["split"] is None


def test_an_opinion_is_what_its_author_agreed_with(export):
    opinions = import_polis(export).opinions
    # Comment 4 was moderated out and stays its author's opinion; 2 passed on their own comment.
    assert dict(opinions.select("participant_id", "text").iter_rows()) == {
        "buses/0": "Free buses for all.\nHidden but mine.",
        "buses/1": "Nothing is <b>free</b>, & 'someone' pays; \"always\".",
    }
    assert set(opinions["source"]) == {"written"}


def test_statements_are_comments_that_were_not_moderated_out(export):
    candidates = import_polis(export).candidates
    assert dict(candidates.select("candidate_id", "author_id").iter_rows()) == {
        "0": "buses/0",
        "1": "buses/1",
        "2": "buses/2",
    }
    assert set(candidates["policy"]) == {"human"}
    assert candidates["shown"].all()


def test_the_last_vote_counts(export):
    assert ratings_of(import_polis(export)) == {
        ("buses/0", "0", 1),  # on one's own statement: kept, and dropped by comparisons
        ("buses/0", "1", 1),  # an earlier vote of -1 is lower in the file
        ("buses/0", "2", 0),
        ("buses/1", "0", -1),
        ("buses/1", "1", 1),
        ("buses/1", "2", 1),
        ("buses/2", "2", 0),
        ("buses/3", "0", 1),
        ("buses/3", "1", -1),
    }


def test_of_two_votes_at_one_time_the_lower_in_the_file_counts(tmp_path):
    votes = [vote(0, 1, 1), vote(0, 1, -1), vote(0, 2, -1), vote(0, 2, 1)]
    dataset = import_polis(put_export(tmp_path / "p", [comment(0, 0, "A.")], votes))
    assert ratings_of(dataset) == {("p/1", "0", -1), ("p/2", "0", 1)}


def test_every_vote_and_comment_is_accounted_for(export):
    counts = counts_of(import_polis(export))
    assert counts == {
        "comments read": 6,
        "comments dropped: there twice": 0,
        "comments dropped: moderated out": 2,
        "comments dropped: about the person, not an opinion (is-meta)": 0,
        "comments dropped: without text": 1,
        "comments dropped: over 10,000 characters": 0,
        "comments typed in by moderators (is-seed)": 0,
        "signs of votes: authors who agree with their own comments": 2,
        "signs of votes: authors who disagree with their own comments": 0,
        "votes whose time was rounded: their order is the file's": 0,
        "votes whose sign was turned": 0,
        "votes read": 14,
        "votes dropped: changed by the person later": 2,
        "votes dropped: no such comment": 1,
        "votes dropped: on a comment dropped": 2,
        "people": 4,
        "people with an opinion": 2,
        "statements": 3,
        "ratings": 9,
    }


def test_votes_that_nobody_cast_are_called_simulated(export):
    assert import_polis(export, simulated=True).about.people == "simulated"


def test_the_example_is_a_good_export():
    dataset = import_polis(EXAMPLE, simulated=True)
    assert list(problems(dataset, Path("d"))) == []
    theirs = by_loops(EXAMPLE)
    ours = matrix(dataset, "bus-fares")
    assert (ours.opinions, ours.statements) == (theirs.opinions, theirs.statements)
    np.testing.assert_array_equal(ours.agreement, theirs.votes)


def test_names_of_two_conversations_never_meet(tmp_path):
    export = small_export(tmp_path / "x")
    one, other = (import_polis(export, name=name) for name in ("one", "other"))
    assert not set(one.ratings["participant_id"]) & set(other.ratings["participant_id"])
    assert other.rounds["round_id"].to_list() == ["other"]


# ------------------------------------------------------------------------- opinions out of votes


def test_opinions_from_votes_hold_back_what_they_tell(tmp_path):
    comments = [comment(n, 0, f"Statement {n}.") for n in range(8)]
    votes = [vote(n, voter, 1 if n < 4 else -1) for voter in range(1, 20) for n in range(8)]
    votes += [vote(n, 20, 0) for n in range(8)]  # passes tell nothing
    votes += [vote(n, 0, 1) for n in range(8)]  # on one's own: neither told nor asked
    export = put_export(tmp_path / "p", comments, votes)
    written, dataset = import_polis(export), import_polis(export, opinions="votes", n_votes=3)
    assert list(problems(dataset, Path("d"))) == []
    assert set(dataset.opinions["source"]) == {"votes"}
    assert set(dataset.opinions["participant_id"]) == {f"p/{n}" for n in range(1, 20)}
    told = set()
    for person, text in dataset.opinions.select("participant_id", "text").iter_rows():
        lines = text.split("\n")
        assert len(lines) == 3
        for line in lines:
            says, _, statement = line.partition(": ")
            number = int(statement.removeprefix('"Statement ').removesuffix('."'))
            assert says == ("I agree" if number < 4 else "I disagree")
            told.add((person, str(number), 1 if number < 4 else -1))
    assert len(told) == 19 * 3
    assert ratings_of(dataset) == ratings_of(written) - told
    assert counts_of(dataset)["votes dropped: told in the person's opinion"] == len(told)


def test_the_seed_chooses_the_votes(tmp_path):
    comments = [comment(n, 0, f"Statement {n}.") for n in range(20)]
    votes = [vote(n, voter, 1) for voter in range(1, 9) for n in range(20)]
    export = put_export(tmp_path / "p", comments, votes)
    first, again, other = (
        import_polis(export, opinions="votes", seed=seed).opinions["text"].to_list()
        for seed in (1, 1, 2)
    )
    assert first == again != other
    assert len(set(first)) > 1


def test_who_voted_too_little_has_no_opinion_from_votes(export):
    dataset = import_polis(export, opinions="votes", n_votes=2)
    assert set(dataset.opinions["participant_id"]) == {"buses/1", "buses/3"}
    assert ("buses/0", "1", 1) in ratings_of(dataset)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"opinions": "both"}, "opinions is 'both', expected 'written' or 'votes'"),
        ({"opinions": "votes", "n_votes": 0}, "n_votes is 0, expected at least 1"),
    ],
)
def test_wrong_options_are_named(export, options, expected):
    with pytest.raises(InputError, match=expected):
        import_polis(export, **options)


# ------------------------------------------------------------------------------------- wide votes


def test_wide_votes_are_the_same_votes(export):
    long = import_polis(export)
    header = ["participant", "group-id", "n-votes", "0", "1", "2", "3", "99"]
    rows = [
        [0, 1, 3, 1, 1, 0, "", ""],
        [1, "", 3, "-1", 1.0, 1, "", ""],
        [2, 0, 1, "", "", 0, "", ""],
        [3, 0, 4, 1, -1, "", 1, 1],
    ]
    (export / "votes.csv").unlink()
    put_csv(export / "participants-votes.csv", header, rows)
    wide = import_polis(export)
    assert ratings_of(wide) == ratings_of(long)
    assert counts_of(wide)["votes read"] == 12 - 1  # comment 4 is no column here


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        (["person", "0"], [1, 1], "there is no column 'participant'; it has person, 0; expected"),
        (["participant", "n-votes"], [1, 1], "no column is a comment's number"),
        (["participant", "votes", "0"], [1, 1, 1], "unknown column 'votes'; expected a Polis"),
        (["participant", "0", "2.0"], [1, 1, 1], "unknown column '2.0'"),
        (["participant", "0", "comment-2"], [1, 1, 1], "unknown column 'comment-2'"),
        (["participant", "0", "01"], [1, 1, 1], "unknown column '01'"),
        (["participant", "0", "9" * 5000], [1, 1, 1], "unknown column '9999"),
        (["participant", "0", "1", "1"], [1, 1, 1, 1], "the column '1' is there 2 times, expected"),
        (["participant", "0", "xid", "xid"], [1, 1, 1, 1], "the column 'xid' is there 2 times"),
        (["participant", "0"], [1, 2], "row 2: comment 0 has the vote 2, expected 1, 0, -1"),
        (["participant", "0"], [1, "yes"], "row 2: 0 is 'yes', expected a number"),
        (["participant", "0"], ["", 1], "row 2: participant is missing, expected a whole number"),
    ],
)
def test_broken_wide_votes_are_named(export, header, row, expected):
    (export / "votes.csv").unlink()
    put_csv(export / "participants-votes.csv", header, [row])
    with pytest.raises(InputError, match=expected):
        import_polis(export)


def test_columns_of_polis_own_are_left_out(export):
    """Those that the public exports and the server's exporter have."""
    long = import_polis(export)
    for file, name in (
        ("comments.csv", "is-seed"),
        ("comments.csv", "importance"),
        ("comments.csv", "group-informed-consensus"),
        ("votes.csv", "important"),
    ):
        with (export / file).open(newline="") as opened:
            header, *rows = csv.reader(opened)
        put_csv(export / file, [*header, name], [[*row, 0] for row in rows])
    again = import_polis(export)
    assert counts_of(again) == counts_of(long)
    assert ratings_of(again) == ratings_of(long)


def test_a_vote_of_somebody_who_took_no_part_is_named(export):
    listed = [[person, 1] for person in (0, 1, 3)]
    put_csv(export / "participants-votes.csv", ["participant", "xid"], [*listed, [2, 1]])
    assert counts_of(import_polis(export))["votes read"] == 14
    put_csv(export / "participants-votes.csv", ["participant", "xid"], listed)
    expected = "votes.csv, row 5: voter-id is 2, expected a participant that participants-votes"
    with pytest.raises(InputError, match=expected):
        import_polis(export)


@pytest.mark.parametrize(("file", "name"), [("votes.csv", "weight"), ("comments.csv", "agree")])
def test_an_unknown_column_is_named(export, file, name):
    path = export / file
    header, *rows = path.read_text().split("\n", 1)
    path.write_text("\n".join([f"{header.rstrip()},{name}", *rows]))
    with pytest.raises(InputError, match=f"{file}: unknown column '{name}'; expected a Polis"):
        import_polis(export)


def test_blank_lines_count_as_rows(export):
    path = export / "votes.csv"
    header, first, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, first, "", ",,,,", *rows]) + "\n")
    assert counts_of(import_polis(export))["votes read"] == 14
    path.write_text("\n".join([header, first, "", ",,,,", "1,Wed,0,1,2", *rows]) + "\n")
    with pytest.raises(InputError, match="row 5: vote is 2"):
        import_polis(export)
    path.unlink()
    put_csv(export / "participants-votes.csv", ["participant", "0"], [[1, 1], [], [2, -1], [3, 2]])
    with pytest.raises(InputError, match="row 5: comment 0 has the vote 2"):
        import_polis(export)


def test_a_participant_in_two_rows_is_named(export):
    (export / "votes.csv").unlink()
    put_csv(export / "participants-votes.csv", ["participant", "0"], [[1, 1], [2, 1], [1, -1]])
    with pytest.raises(InputError, match="row 4: participant is 1, expected each participant in"):
        import_polis(export)


# -------------------------------------------------------------------------------------- bad files


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("votes.csv", None, "holds no votes.csv and no participants-votes.csv"),
        ("comments.csv", None, "no file .*comments.csv; expected a Polis export's comments.csv"),
        ("summary.csv", None, "no file .*summary.csv"),
        ("summary.csv", f"topic,{'x' * 200_000}\n", "cannot read .*summary.csv: field larger"),
        ("summary.csv", "url,x\n", "there is no topic; expected a line 'topic,...'"),
        ("votes.csv", "", "votes.csv is empty"),
        ("votes.csv", "\n\n", "votes.csv is empty"),
        ("votes.csv", "timestamp,comment-id,voter-id,vote\n", "has a header and no rows"),
        ("comments.csv", ",".join(COMMENTS) + "\n", "has a header and no rows"),
        ("votes.csv", "timestamp,comment-id,voter,vote\n1,0,0,1\n", "no column 'voter-id'; it has"),
        ("votes.csv", "timestamp,comment-id,voter-id,vote\n1,0,0,1\n1,0,1,2\n", "row 3: vote is 2"),
        ("votes.csv", "timestamp,comment-id,voter-id,vote\n1,0,,1\n", "row 2: voter-id is missing"),
        ("votes.csv", "timestamp,comment-id,voter-id,vote\n1,0,a,1\n", "row 2: voter-id is 'a'"),
        ("votes.csv", "timestamp,comment-id,voter-id,vote\n1,-1,1,1\n", "row 2: comment-id is -1"),
        ("votes.csv", "timestamp,comment-id,voter-id,vote\n1,0,9999999999,1\n", "voter-id is 999"),
        ("votes.csv", "timestamp,comment-id,voter-id,vote\n1,0,1,0.5\n", "row 2: vote is '0.5'"),
    ],
)
def test_broken_files_are_named(export, file, content, expected):
    (export / file).unlink()
    if content is not None:
        (export / file).write_text(content)
    with pytest.raises(InputError, match=expected):
        import_polis(export)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no folder .*nowhere; expected a Polis export"):
        import_polis(tmp_path / "nowhere")


def test_the_question_can_be_given(export):
    (export / "summary.csv").unlink()
    dataset = import_polis(export, question="Should buses be free?")
    assert dataset.rounds["question"].item() == "Should buses be free?"


def test_a_byte_that_is_not_utf8_is_named_by_line(export):
    (export / "votes.csv").write_bytes("timestamp,café".encode("latin-1"))
    with pytest.raises(InputError, match=r"votes\.csv, line 1: not UTF-8"):
        import_polis(export)
    raw = (export / "comments.csv").read_bytes()
    (export / "comments.csv").write_bytes(raw.replace(b"council", b"counc\xefl"))
    line = raw[: raw.index(b"council")].count(b"\n") + 1
    with pytest.raises(InputError, match=f"comments.csv, line {line}: not UTF-8"):
        import_polis(export)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (comment(1, 5, "Another."), "row 8: comment-id is 1, expected each comment once"),
        (comment(7, 5, "X.", moderated=3), "row 8: moderated is 3, expected -1"),
        ([1, "Tue", "", 5, 0, 0, 1, "X."], "row 8: comment-id is missing, expected a whole"),
        ([1, "Tue", "x", 5, 0, 0, 1, "X."], "row 8: comment-id is 'x', expected a whole number"),
        ([*comment(7, 5, "Not quoted"), " so cut"], "cannot read .*comments.csv"),
    ],
)
def test_a_broken_comment_is_named(export, row, expected):
    with (export / "comments.csv").open("a", newline="") as file:
        csv.writer(file).writerow(row)
    with pytest.raises(InputError, match=expected):
        import_polis(export)


def test_the_same_comment_twice_is_one(export):
    once = import_polis(export)
    with (export / "comments.csv").open("a", newline="") as file:
        csv.writer(file).writerow(comment(2, 2, "Ask the council."))
    twice = import_polis(export)
    assert twice.candidates.equals(once.candidates)
    assert counts_of(twice)["comments dropped: there twice"] == 1


def test_a_huge_comment_is_left_out_and_counted(export):
    with (export / "comments.csv").open("a", newline="") as file:
        csv.writer(file).writerow(comment(7, 3, "all capitals " * 100_000))
    with (export / "votes.csv").open("a", newline="") as file:
        csv.writer(file).writerow(vote(7, 3, 1))
    dataset = import_polis(export)
    assert "7" not in set(dataset.candidates["candidate_id"])
    assert "buses/3" not in set(dataset.opinions["participant_id"])
    assert counts_of(dataset)["comments dropped: over 10,000 characters"] == 1


def test_votes_that_are_turned_round_are_refused(tmp_path):
    comments = [[1, "Tue", n, 0, 7, 2, 1, f"Statement {n}."] for n in range(5)]
    votes = [vote(n, voter, -1 if voter < 8 else 1) for n in range(5) for voter in range(1, 10)]
    with pytest.raises(InputError, match="votes look turned round"):
        import_polis(put_export(tmp_path / "p", comments, votes))


def test_nothing_left_to_rate_is_said(tmp_path):
    export = put_export(tmp_path / "p", [comment(0, 0, "A.", moderated=-1)], [vote(0, 1, 1)])
    with pytest.raises(InputError, match="nothing to rate"):
        import_polis(export)


# -------------------------------------------------------------------------------------- real data


@pytest.mark.heavy
@pytest.mark.parametrize("folder", REAL, ids=lambda folder: getattr(folder, "name", "none"))
def test_real_exports_recounted_by_the_csv_module(folder):
    with (folder / "comments.csv").open(encoding="utf-8", newline="") as file:
        comments = {row["comment-id"]: row for row in csv.DictReader(file)}
    cast, n_votes = {}, 0
    if (folder / "votes.csv").exists():
        with (folder / "votes.csv").open(encoding="utf-8", newline="") as file:
            for row in sorted(csv.DictReader(file), key=lambda row: int(row["timestamp"])):
                cast[row["voter-id"], row["comment-id"]] = int(row["vote"])
                n_votes += 1
    else:
        with (folder / "participants-votes.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                for number in comments:
                    if row.get(number):
                        cast[row["participant"], number] = int(row[number])
                        n_votes += 1
    rated = {key: value for key, value in cast.items() if comments[key[1]]["moderated"] != "-1"}
    dataset = import_polis(folder)
    assert list(problems(dataset, Path("d"))) == []
    assert ratings_of(dataset) == {
        (f"{folder.name}/{voter}", number, value) for (voter, number), value in rated.items()
    }
    counts = counts_of(dataset)
    assert counts["votes read"] == n_votes
    assert counts["votes read"] == counts["ratings"] + sum(
        n for what, n in counts.items() if what.startswith("votes dropped")
    )
    moderated = Counter(row["moderated"] for row in comments.values())
    assert counts["comments read"] == len(comments)
    assert counts["comments dropped: moderated out"] == moderated["-1"]


@pytest.mark.heavy
@pytest.mark.parametrize("folder", REAL, ids=lambda folder: getattr(folder, "name", "none"))
def test_real_matrices_are_those_of_plain_loops(folder):
    theirs = by_loops(folder)
    ours = matrix(import_polis(folder), folder.name)
    assert ours.question == " ".join(theirs.question.split())
    assert ours.opinions == theirs.opinions
    assert ours.statements == theirs.statements
    np.testing.assert_array_equal(ours.agreement, theirs.votes)


def test_the_exports_columns_are_those_that_are_made():
    (folder,) = [f for f in REAL if getattr(f, "name", "") == "scoop-hivemind.ubi"] or [None]
    if folder is None:
        pytest.skip("no real Polis exports")
    for name, header in (("comments.csv", COMMENTS), ("votes.csv", VOTES)):
        assert (folder / name).read_text().splitlines()[0].split(",") == header
