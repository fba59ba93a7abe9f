"""Other programs' formats: read as they write them, and what we write is read back the same."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rounds_making import small_dataset
from typer.testing import CliRunner

from commonweal.cli.app import app
from commonweal.datasets.dataset import read_dataset, write_dataset
from commonweal.datasets.hub import card, croissant
from commonweal.datasets.importers.deliberate_lab import deliberate_lab_json, import_deliberate_lab
from commonweal.datasets.importers.otree import import_otree, otree_csv
from commonweal.datasets.importers.simulated_jury import (
    import_simulated_jury,
    jury_files,
    jury_tables,
)
from commonweal.errors import InputError

ROOT = Path(__file__).parents[2]
KEY = ("question", "participant_id", "text", "policy", "pass_index", "agreement")


@pytest.fixture(scope="module")
def study():
    return read_dataset(ROOT / "examples" / "study")


def said(dataset, *key: str) -> list[tuple]:
    """Each rating with its question and statement, whatever rounds and statements are called."""
    found = dataset.to_frame().with_columns(pl.col("question", "text").str.replace_all(r"\s+", " "))
    return sorted(found.select(key or KEY).rows())


def csv_rows(table: Path | str) -> list[dict[str, str]]:
    text = table if isinstance(table, str) else table.read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text)))


def groups(dataset) -> set[tuple[str, frozenset[str]]]:
    """The question and the members of each round, whatever rounds are called."""
    found = dataset.to_frame().group_by("round_id", "question").agg("participant_id")
    return {(row["question"], frozenset(row["participant_id"])) for row in found.to_dicts()}


# ------------------------------------------------------------------------------------------ oTree


APP = """\
participant.id_in_session,participant.code,participant._is_bot,participant.payoff,\
player.id_in_group,player.role,player.payoff,player.topic,player.shown,player.arm,player.rating,\
group.id_in_subsession,subsession.round_number,session.code
1,aaaa1111,0,0.0,1,,0.0,Free buses?,Buses should be free.,model,6,1,1,s3ss10n
2,bbbb2222,0,0.0,2,,0.0,Free buses?,Buses should be free.,model,2,1,1,s3ss10n
3,cccc3333,1,0.0,1,,0.0,Free buses?,Buses should be free.,model,4,2,1,s3ss10n
1,aaaa1111,0,0.0,1,,0.0,Free buses?,Run more of them.,template,5,1,2,s3ss10n
2,bbbb2222,0,0.0,2,,0.0,Free buses?,Run more of them.,template,,1,2,s3ss10n
1,aaaa1111,0,0.0,1,,0.0,Free buses?,Buses should be free.,model,7,1,3,s3ss10n
"""
"""In the order of columns of oTree's export of one app; row 4 is a bot's."""
NAMES = {"question": "topic", "statement": "shown", "policy": "arm", "agreement": "player.rating"}


def wide(table: str) -> str:
    """The same players as oTree's table of all apps has them, behind an app that rates nothing."""
    rows = list(csv.DictReader(io.StringIO(table)))
    by_round: dict[int, dict[str, dict[str, str]]] = {}
    for row in rows:
        by_round.setdefault(int(row["subsession.round_number"]), {})[row["participant.code"]] = row
    people = list(dict.fromkeys(row["participant.code"] for row in rows))
    written = []
    for person in people:
        found = next(row for row in rows if row["participant.code"] == person)
        line = {key: found[key] for key in found if key.startswith(("participant.", "session."))}
        line["consent.1.player.agreed"] = "1"
        line["consent.1.group.id_in_subsession"] = "1"
        for number, players in by_round.items():
            for key in rows[0]:
                if key.startswith(("player.", "group.", "subsession.")):
                    line[f"buses.{number}.{key}"] = players.get(person, {}).get(key, "")
        written.append(line)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(written[0]))
    writer.writeheader()
    writer.writerows(written)
    return text.getvalue()


def test_an_apps_table_becomes_rounds(tmp_path):
    path = tmp_path / "buses.csv"
    path.write_text(APP)
    dataset = import_otree(path, columns=NAMES)
    assert said(dataset) == [
        ("Free buses?", "aaaa1111", "Buses should be free.", "model", 0, 6),
        ("Free buses?", "aaaa1111", "Buses should be free.", "model", 1, 7),
        ("Free buses?", "aaaa1111", "Run more of them.", "template", 0, 5),
        ("Free buses?", "bbbb2222", "Buses should be free.", "model", 0, 2),
        ("Free buses?", "bbbb2222", "Run more of them.", "template", 0, None),
    ]
    assert dataset.rounds["group_id"].to_list() == ["s3ss10n/1"]
    assert "rows left out because a column says that they do not count" in str(dataset.about.steps)
    # Where everybody is a program, bots are what there is.
    assert import_otree(path, columns=NAMES, people="simulated").ratings.height == 6


def test_cells_that_excel_left_out_at_the_end_of_a_row_are_blank(tmp_path):
    path = tmp_path / "buses.csv"
    head, *rows = APP.splitlines()
    path.write_text("\n".join([f"{head},player.note", f"{rows[0]},none", *rows[1:]]))
    assert said(import_otree(path, columns=NAMES))[0][-1] == 6


def test_the_table_of_all_apps_is_the_same_but_for_unrated_rounds(tmp_path):
    one, all_ = tmp_path / "buses.csv", tmp_path / "all_apps_wide.csv"
    one.write_text(APP)
    all_.write_text("\ufeff" + wide(APP))  # what oTree's button for Excel writes
    expected = [row for row in said(import_otree(one, columns=NAMES)) if row[-1] is not None]
    dataset = import_otree(all_, columns=NAMES)
    assert said(dataset) == expected
    assert dataset.about.steps[0].counts["apps and rounds"] == 4


def shuffled(columns: str, *players: tuple) -> str:
    """A table of an app whose participants are in other groups in round 2."""
    head = "participant.code,group.id_in_subsession,subsession.round_number,session.code,"
    return head + columns + "\n" + "".join(f"{','.join(map(str, each))}\n" for each in players)


def test_groups_that_are_shuffled_between_rounds_are_not_merged(tmp_path):
    path = tmp_path / "buses.csv"
    columns = "player.question,player.statement,player.policy,player.agreement"
    seats = [("a", 1, 1), ("b", 1, 1), ("c", 2, 1), ("d", 2, 1)]
    seats += [("a", 1, 2), ("c", 1, 2), ("b", 2, 2), ("d", 2, 2)]
    path.write_text(shuffled(columns, *((*each, "s", "Free?", "Yes", "m", 5) for each in seats)))
    expected = {("Free?", frozenset(pair)) for pair in ("ab", "cd", "ac", "bd")}
    assert groups(import_otree(path)) == expected
    # On another question in round 2 they are other rounds without it, and keep their names.
    rows = ((*each, "s", f"Free {each[2]}?", "Yes", "m", 5) for each in seats)
    path.write_text(shuffled(columns, *rows))
    assert set(import_otree(path).rounds["group_id"]) == {"s/1", "s/2"}


def test_who_is_in_two_groups_on_a_question_goes_to_otree_and_back(study, tmp_path):
    asked = pl.lit("Should it be?")
    one = replace(study, rounds=study.rounds.with_columns(group_id="round_id", question=asked))
    path = tmp_path / "study.csv"
    path.write_text(otree_csv(one))
    assert groups(import_otree(path, people="simulated")) == groups(one)


ALL_APPS = {
    "op.1.player.opinion": ("I ride daily.", "Too dear.", "Mine."),
    "op.1.group.id_in_subsession": (1, 1, 1),
    "rate.1.player.question": ("Free buses?", "Free buses?", ""),
    "rate.1.player.statement": ("Make them free.", "Make them free.", ""),
    "rate.1.player.policy": ("model", "model", ""),
    "rate.1.player.agreement": (6, 2, ""),
    "rate.1.group.id_in_subsession": (1, 2, 3),
}


@pytest.mark.parametrize("question", [None, "Free buses?"])
def test_an_opinion_from_another_app_belongs_to_its_writers_ratings(question, tmp_path):
    path = tmp_path / "all_apps_wide.csv"
    columns = {"participant.code": "abc", "session.code": "sss"} | ALL_APPS
    if question:
        columns["op.1.player.question"] = (question,) * 3
    text = io.StringIO()
    csv.writer(text).writerows([columns, *zip(*columns.values(), strict=True)])
    path.write_text(text.getvalue())
    dataset = import_otree(path)
    assert said(dataset, "group_id", "participant_id", "agreement") == [
        ("s/1", "a", 6),
        ("s/2", "b", 2),
    ]
    by_round = dict(dataset.rounds.select("round_id", "group_id").iter_rows())
    wrote = {
        (by_round[row["round_id"]], row["participant_id"], row["text"])
        for row in dataset.opinions.to_dicts()
    }
    expected = {("s/1", "a", "I ride daily."), ("s/2", "b", "Too dear.")}
    # Who rated nothing stays where they wrote, if that is known.
    assert wrote == expected | ({("s/1", "c", "Mine.")} if question else set())
    left_out = "opinions left out: no column says on which question"
    assert dataset.about.steps[0].counts.get(left_out, 0) == (0 if question else 1)


def test_bots_alone_are_no_people(study, tmp_path):
    path = tmp_path / "study.csv"
    path.write_text(otree_csv(study))
    with pytest.raises(
        InputError, match=r"participant\._is_bot marks every row as rated by a bot, .*--simulated"
    ):
        import_otree(path)
    path.write_text(APP.replace("player.topic", "player.spam").replace("Free buses?", "yes"))
    with pytest.raises(InputError, match=r"\(row 2: spam is yes\)"):
        import_otree(path, columns=NAMES | {"question": "player.role"})


def test_what_is_no_otree_export_is_said(tmp_path):
    path = tmp_path / "buses.csv"
    path.write_text("person,agreement\nana,7\n")
    with pytest.raises(InputError, match=r"no column participant\.code, session\.code"):
        import_otree(path)
    path.write_text(APP)
    with pytest.raises(InputError, match="--column agreement=NAME"):
        import_otree(path, columns={key: NAMES[key] for key in ("question", "statement", "policy")})


def test_a_study_goes_to_otree_and_back(study, tmp_path):
    path = tmp_path / "study.csv"
    path.write_text(otree_csv(study))
    back = import_otree(path, people="simulated")
    assert said(back) == said(study)
    assert groups(back) == groups(study)
    assert sorted(back.opinions["text"]) == sorted(study.opinions["text"])
    assert back.position_ratings.height == study.position_ratings.height


# --------------------------------------------------------------------------------- Deliberate Lab


def download() -> dict:
    """An experiment as Deliberate Lab downloads it: two people in two cohorts, and an agent."""

    def scale(name: str, title: str, high: int = 7) -> dict:
        return {"id": name, "kind": "scale", "questionTitle": title, "lowerValue": 1} | {
            "upperValue": high,
            "upperText": "",
            "lowerText": "",
        }

    def person(name: str, cohort: str, answers: dict, agent: dict | None = None) -> dict:
        profile = {"publicId": name, "privateId": "secret", "prolificId": "secret"}
        return {
            "profile": profile
            | {"currentCohortId": cohort, "currentStatus": "SUCCESS", "agentConfig": agent},
            "answerMap": {
                stage: {"id": stage, "kind": "survey", "answerMap": given}
                for stage, given in answers.items()
            },
        }

    def rated(name: str, value: float) -> dict:
        return {name: {"id": name, "kind": "scale", "value": value}}

    wrote = {"why": {"id": "why", "kind": "text", "answer": "They are dear, and I need them."}}
    return {
        "experiment": {"metadata": {"name": "Buses"}, "stageIds": ["tos", "first", "talk", "last"]},
        "stageMap": {
            "last": {
                "id": "last",
                "kind": "survey",
                "questions": [
                    scale("model:a", "Buses should be free."),
                    scale("b", "Run more of them."),
                    scale("mood", "How do you feel?", high=5),
                    {"id": "sure", "kind": "check", "questionTitle": "Sure?"},
                ],
            },
            "tos": {"id": "tos", "kind": "tos"},
            "talk": {"id": "talk", "kind": "chat"},
            "first": {
                "id": "first",
                "kind": "survey",
                "questions": [{"id": "why", "kind": "text", "questionTitle": "Free buses?"}],
            },
        },
        "participantMap": {
            "cat-1": person("cat-1", "c1", {"first": wrote, "last": rated("model:a", 6)}),
            "dog-2": person("dog-2", "c2", {"last": rated("model:a", 2) | rated("b", 7)}),
            "bot-3": person("bot-3", "c2", {"last": rated("b", 1)}, agent={"agentId": "x"}),
        },
        "cohortMap": {},
    }


def test_a_download_becomes_rounds(tmp_path):
    path = tmp_path / "Buses_data.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("Buses.json", json.dumps(download()))
        packed.writestr("Buses_Logs.json", "[]")
        packed.writestr("Buses_ParticipantData.csv", "")
    dataset = import_deliberate_lab(path)
    assert said(dataset, "group_id", *KEY) == [
        ("c1", "Free buses?", "cat-1", "Buses should be free.", "model", 0, 6),
        ("c2", "Free buses?", "dog-2", "Buses should be free.", "model", 0, 2),
        ("c2", "Free buses?", "dog-2", "Run more of them.", "unknown", 0, 7),
    ]
    assert dataset.opinions["text"].to_list() == ["They are dear, and I need them."]
    counts = dataset.about.steps[0].counts
    assert counts["participants dropped: agents, not people"] == 1
    assert counts["questions left out: another scale"] == 1
    assert counts["stages left out: chat"] == 1
    write_dataset(dataset, tmp_path / "kept")
    assert b"secret" not in b"".join(each.read_bytes() for each in (tmp_path / "kept").iterdir())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda told: told.pop("stageMap"), "stageMap: Field required"),
        (lambda told: told["stageMap"].pop("first"), "no text question stands before"),
        (
            lambda told: told["participantMap"]["cat-1"]["answerMap"]["last"]["answerMap"][
                "model:a"
            ].update(value=9),
            "cat-1: the answer to 'model:a' of stage 'last' is 9, expected a whole number from 1",
        ),
        *(
            (
                lambda told, value=value: told["participantMap"]["cat-1"]["answerMap"]["last"][
                    "answerMap"
                ]["model:a"].update(value=value),
                f"cat-1: the answer to 'model:a' of stage 'last' is {value}, expected a whole",
            )
            for value in (float("nan"), float("inf"), 2.5)
        ),
        (lambda told: told["participantMap"].clear(), "no participant rated a statement"),
    ],
)
def test_what_is_wrong_in_a_download_is_said(change, expected, tmp_path):
    told = download()
    change(told)
    path = tmp_path / "Buses.json"
    path.write_text(json.dumps(told))
    with pytest.raises(InputError, match=expected):
        import_deliberate_lab(path)
    with pytest.raises(InputError, match=r"title 'Age\?'|Field required"):
        import_deliberate_lab(path, opinion="Age?")


def test_who_wrote_and_rated_nothing_keeps_the_opinion(tmp_path):
    told = download()
    for person in ("cat-1", "dog-2"):  # cat-1 wrote, and is the only one in c1
        answers = told["participantMap"][person]["answerMap"]
        answers["last"]["answerMap"].pop("model:a")
    path = tmp_path / "Buses.json"
    path.write_text(json.dumps(told))
    dataset = import_deliberate_lab(path)
    assert dataset.opinions["participant_id"].to_list() == ["cat-1"]
    assert dataset.ratings["participant_id"].to_list() == ["dog-2"]
    assert dataset.about.steps[0].counts["opinions"] == 1
    write_dataset(dataset, tmp_path / "kept")  # its round is there, too


def test_a_study_goes_to_deliberate_lab_and_back(study, tmp_path):
    path = tmp_path / "study.json"
    path.write_text(deliberate_lab_json(study))
    back = import_deliberate_lab(path)
    expected = [row for row in said(study) if row[4] == 0 and row[5] is not None]
    assert said(back) == expected
    assert groups(back) == groups(study)
    assert sorted(back.opinions["text"]) == sorted(study.opinions["text"])


def test_a_person_in_two_groups_is_refused_where_a_participant_has_one_cohort(study, tmp_path):
    """With a group for each round: who answered several questions is in several groups."""
    regrouped = replace(study, rounds=study.rounds.with_columns(group_id="round_id"))
    with pytest.raises(
        InputError, match=r"p-\w+ is in the groups 'r-\w+' and 'r-\w+', .*--to otree"
    ):
        deliberate_lab_json(regrouped)
    path = tmp_path / "study.csv"
    path.write_text(otree_csv(regrouped))
    assert groups(import_otree(path, people="simulated")) == groups(regrouped)


def test_a_rating_of_a_statement_that_was_not_shown_goes_there_too(study, tmp_path):
    path = tmp_path / "study.json"
    path.write_text(deliberate_lab_json(study))
    hidden = replace(study, candidates=study.candidates.with_columns(shown=pl.lit(value=False)))
    assert deliberate_lab_json(hidden) == path.read_text()


# --------------------------------------------------------------------------------- simulated jury


def jury(folder: Path, people: str, statements: str) -> Path:
    folder.mkdir()
    (folder / "participants.csv").write_text(people)
    (folder / "statements.csv").write_text(statements)
    return folder


PEOPLE = "participant_id,survey_text,question_1,answer_1\n1,Long,Free buses?,Yes\n2,Only this,,\n"


def test_a_jurys_tables_and_its_output_become_a_round(tmp_path):
    output = "proposition,topic,agree_rate,schulze_rank\nMake them free,Fares,50.0%,1.0\n"
    dataset = import_simulated_jury(jury(tmp_path / "buses", PEOPLE, output))
    assert dataset.rounds["question"].to_list() == ["Free buses?"]
    assert dataset.opinions["text"].to_list() == ["Yes", "Only this"]
    assert dataset.candidates["text"].to_list() == ["Make them free"]
    assert dataset.candidates["x_agree_rate"].to_list() == ["50.0%"]
    write_dataset(dataset, tmp_path / "kept")


@pytest.mark.parametrize(
    ("people", "statements", "expected"),
    [
        ("name,age\nx,1\n", "statement\nA\n", "the columns are name, age"),
        (PEOPLE + "1,,Free buses?,No\n", "statement\nA\n", r"row 4, column A .*'1', as in a row"),
        (PEOPLE, "text\nA\n", "the columns are text"),
        (PEOPLE, "statement\nA\nA\n", "row 3, column A .*there above"),
        ("participant_id,survey_text\n1,Yes\n", "statement\nA\n", "--question TEXT"),
        (PEOPLE, "statement,topic\n", r"statements\.csv has a header and no statements"),
    ],
)
def test_what_is_wrong_in_a_jurys_tables_is_said(people, statements, expected, tmp_path):
    with pytest.raises(InputError, match=expected):
        import_simulated_jury(jury(tmp_path / "buses", people, statements))


def test_a_jurys_short_rows_have_blank_cells(tmp_path):
    people = "participant_id,survey_text,question_1,answer_1\n1,Long,Free buses?,Yes\n2,Only this\n"
    found = import_simulated_jury(jury(tmp_path / "j", people, "topic,statement\nFares,A\n"))
    assert found.opinions["text"].to_list() == ["Yes", "Only this"]
    with pytest.raises(InputError, match=r"row 3, column B .*blank"):
        import_simulated_jury(jury(tmp_path / "k", people, "topic,statement\nFares,A\nFares\n"))


@pytest.mark.parametrize("blank", ["", " "])
def test_a_blank_question_is_none(blank, tmp_path):
    asked = jury(tmp_path / "j", PEOPLE, "statement\nA\n")
    assert import_simulated_jury(asked, question=blank).rounds["question"].item() == "Free buses?"
    unasked = jury(tmp_path / "k", "participant_id,survey_text\n1,Yes\n", "statement\nA\n")
    with pytest.raises(InputError, match="--question TEXT"):
        import_simulated_jury(unasked, question=blank)


def test_a_study_becomes_a_jurys_tables(study):
    tables = jury_tables(study)
    assert set(tables) == set(study.rounds["round_id"])
    ratings = study.to_frame()
    for round_id, (people, statements) in tables.items():
        rows = list(csv.DictReader(io.StringIO(people)))
        wrote = study.opinions.filter(round_id=round_id)
        assert [row["answer_1"] for row in rows] == wrote["text"].to_list()
        for row in csv.DictReader(io.StringIO(statements)):
            given = ratings.filter(round_id=round_id, text=row["statement"])
            given = given.drop_nulls("agreement").select("participant_id", "agreement").rows()
            means = [np.mean([v for n, v in given if n == who]) for who in {n for n, _ in given}]
            share = np.mean([value > 4 for value in means])
            assert float(row["true_agree_rate"]) == pytest.approx(share)


def test_a_text_of_two_policies_has_one_rate_and_a_person_counts_once():
    """Ana agrees with it as the one's, and twice with it as the other's; Ben and Cem do not."""
    dataset = small_dataset()
    names = dataset.candidates.select("round_id", "candidate_id").rows()
    (round_id, first), (_, second) = names[:2]
    text = pl.when(pl.col("round_id") == round_id).then(pl.lit("We agree.")).otherwise("text")
    people = dataset.opinions.filter(round_id=round_id)["participant_id"].to_list()[:3]
    given = [(people[0], first, 7), (people[0], second, 5), (people[1], second, 2)]
    rows = [
        {"round_id": round_id, "participant_id": who, "candidate_id": what, "agreement": value}
        for who, what, value in [*given, (people[2], first, 1)]
    ]
    kind = dataset.ratings.schema["agreement"]
    ratings = pl.DataFrame(rows, schema_overrides={"agreement": kind})
    ratings = pl.concat([dataset.ratings.clear(), ratings], how="diagonal")
    changed = replace(
        dataset, candidates=dataset.candidates.with_columns(text=text, shown=True), ratings=ratings
    )
    (row,) = csv.DictReader(io.StringIO(jury_tables(changed)[round_id][1]))
    assert float(row["true_agree_rate"]) == pytest.approx(1 / 3)


def exported(dataset, out: Path, folder: Path, *more: str):
    write_dataset(dataset, folder, overwrite=True)
    arguments = ["data", "export", str(folder), "--to", "simulated-jury", "--out", str(out), *more]
    return CliRunner().invoke(app, arguments)


def written(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_an_export_of_fewer_rounds_leaves_none_of_the_one_before(study, tmp_path):
    out, folder = tmp_path / "jury", tmp_path / "rounds"
    ids = study.rounds["round_id"].to_list()
    assert exported(study, out, folder).exit_code == 0
    assert len(written(out)) == 1 + 2 * len(ids)
    two = study.of_rounds(ids[3:5])
    assert "--overwrite" in str(exported(two, out, folder).exception)
    assert exported(two, out, folder, "--overwrite").exit_code == 0
    tables = ("participants.csv", "statements.csv")
    expected = [f"{each}/{name}" for each in ids[3:5] for name in tables]
    assert written(out) == [*expected, "rounds.csv"]
    one = study.of_rounds(ids[:1])
    assert exported(one, out, folder, "--overwrite").exit_code == 0
    assert written(out) == ["participants.csv", "rounds.csv", "statements.csv"]
    (out / "verdict.csv").write_text("kept")
    assert "it holds verdict.csv" in str(exported(one, out, folder, "--overwrite").exception)
    assert "is read" in str(exported(one, folder, folder, "--overwrite").exception)
    own = jury(tmp_path / "own", PEOPLE, "statement\nA\n")
    assert "is not an export" in str(exported(one, own, folder, "--overwrite").exception)
    assert written(own) == ["participants.csv", "statements.csv"]


def test_a_rounds_folder_has_a_name_that_any_disk_takes(study):
    ids = study.rounds["round_id"].to_list()[:6]
    strange = ["../Fares/q1", "fares q1", "FARES/q1", "..", "rounds.csv", "ü" * 300]
    names = dict(zip(ids, strange, strict=True))
    part = study.of_rounds(ids)
    tables = {
        name: table.with_columns(pl.col("round_id").replace(names))
        for name, table in part.tables().items()
    }
    files = jury_files(replace(part, **tables))
    listed = csv_rows(files["rounds.csv"])
    assert [row["round_id"] for row in listed] == strange
    assert [row["folder"] for row in listed] == [
        *("Fares-q1", "fares-q1-2", "FARES-q1-3", "round", "rounds.csv-2", "ü" * 60)
    ]
    assert all(row["question"] in set(part.rounds["question"]) for row in listed)


def test_a_text_is_not_written_into_the_dataset(study, tmp_path):
    folder = tmp_path / "rounds"
    write_dataset(study, folder)
    before = (folder / "ratings.parquet").read_bytes()
    arguments = ["data", "export", str(folder), "--to", "otree", "--overwrite", "--out"]
    found = CliRunner().invoke(app, [*arguments, str(folder / "ratings.parquet")])
    assert "lies in the dataset" in str(found.exception)
    assert (folder / "ratings.parquet").read_bytes() == before


# ------------------------------------------------------------------------------ hub and Croissant


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    out = tmp_path_factory.mktemp("hub") / "buses"
    arguments = ["data", "export", str(ROOT / "examples" / "study"), "--to", "hub", "--out"]
    found = CliRunner().invoke(app, [*arguments, str(out)])
    assert found.exit_code == 0, found.output
    return out


def test_the_card_names_every_table_for_the_hub(hub, study):
    from huggingface_hub import DatasetCard

    told = DatasetCard((hub / "README.md").read_text(encoding="utf-8")).data.to_dict()
    for config in told["configs"]:
        table = pl.read_parquet(hub / config["data_files"])
        assert table.height == study.tables()[config["config_name"]].height > 0
    assert told["license"] == "unknown"
    assert "synthetic" in told["tags"]
    assert card(study) == (hub / "README.md").read_text(encoding="utf-8")


def test_croissant_describes_the_files_as_they_are(hub, study):
    told = json.loads(croissant(study, hub))
    for file in told["distribution"]:
        content = (hub / file["contentUrl"]).read_bytes()
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
        assert file["contentSize"] == f"{len(content)} B"
    for records in told["recordSet"]:
        columns = [field["source"]["extract"]["column"] for field in records["field"]]
        assert columns == pl.read_parquet(hub / f"{records['@id']}.parquet").columns
    assert json.loads((hub / "croissant.json").read_text(encoding="utf-8")) == told


def test_mlcroissant_reads_it(hub, study):
    mlcroissant = pytest.importorskip("mlcroissant", reason="pip install mlcroissant")
    found = list(mlcroissant.Dataset(hub / "croissant.json").records("ratings"))
    assert [row["ratings/agreement"] for row in found] == study.ratings["agreement"].to_list()


@pytest.mark.train
def test_datasets_reads_it(hub, study, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    datasets = pytest.importorskip("datasets", reason="needs the extra `train`: make test-train")
    found = datasets.load_dataset(str(hub), "ratings", split="train", cache_dir=str(tmp_path))
    assert isinstance(found, datasets.Dataset)
    assert found["agreement"] == study.ratings["agreement"].to_list()
    assert datasets.load_dataset(str(hub), "opinions", cache_dir=str(tmp_path))


# ---------------------------------------------------------------------------------- the commands


@pytest.mark.heavy
def test_commands_write_and_read_each_format(tmp_path):
    study = str(ROOT / "examples" / "study")
    for kind, name in (("otree", "o.csv"), ("deliberate-lab", "d.json"), ("simulated-jury", "j")):
        there = tmp_path / name
        arguments = ["data", "export", study, "--to", kind, "--out", str(there)]
        made = CliRunner().invoke(app, arguments)
        assert made.exit_code == 0, made.output
        read = there
        if kind == "simulated-jury":
            read /= csv_rows(there / "rounds.csv")[0]["folder"]
        more = ["--simulated"] if kind != "deliberate-lab" else []
        out = str(tmp_path / f"{kind}-back")
        back = CliRunner().invoke(app, ["data", "import", kind, str(read), *more, "--out", out])
        assert back.exit_code == 0, back.output
        again = CliRunner().invoke(
            app, ["data", "export", study, "--to", kind, "--out", str(there)]
        )
        assert "--overwrite" in str(again.exception)
    wrong = CliRunner().invoke(app, ["data", "export", study, "--to", "word", "--out", "x"])
    assert "expected one of: hub" in str(wrong.exception)
