"""``commonweal questions``: from seeds to a split, on the command line."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from command_line import serving
from typer.testing import CliRunner

from commonweal.cli.questions import app
from commonweal.errors import InputError
from commonweal.models.scripted import ScriptedModel
from commonweal.questions.records import provenance_path, read_questions, read_steps
from commonweal.questions.screen import decisions_path, read_decisions

# Different enough for a real sentence encoder.
THINGS = """
    bread lighthouses trombones vaccines goldfish submarines chess wool volcanoes marathons
    tractors museums satellites onions hospitals windmills beehives opera ferries libraries
""".split()  # noqa: SIM905


def run(*arguments, said=None, **options):
    """What the command printed; the error that it raised is raised, unless its text is given."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], **options)
    if said is not None:
        assert isinstance(result.exception, InputError), result.output
        assert said in str(result.exception)
    elif result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def question_set(tmp_path):
    path = tmp_path / "set.csv"
    lines = [
        f"Should we spend more on {thing}?,We should spend more on {thing}." for thing in THINGS
    ]
    path.write_text("question,position_statement\n" + "\n".join(lines) + "\n")
    return path


def test_the_recipe_signs_nobodys_decisions(tmp_path):
    (tmp_path / "questions.csv").write_text("question\nShould we?\n")
    recipe = Path(__file__).parents[2] / "recipes" / "questions" / "run.sh"
    said = subprocess.run(
        ["/bin/sh", str(recipe), str(tmp_path)],
        env={"PATH": "/usr/bin:/bin", "USER": "ana"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode != 0
    assert "expected BY=NAME" in said.stderr


def test_every_command_has_help_with_an_example():
    for command in ("seeds", "generate", "screen", "split"):
        result = run(command, "--help", terminal_width=200)
        assert result.exit_code == 0
        assert f"Example: commonweal questions {command}" in result.output


def test_seeds_are_listed_shown_and_written(tmp_path):
    assert "uk: 152 questions" in run("seeds").output
    assert len(run("seeds", "india").output.splitlines()) == 60
    out = tmp_path / "mine.csv"
    run("seeds", "uk", "--out", out)
    assert len(read_questions(out)) == 152
    run("seeds", "uk", "--out", out, said="already exists")
    run("seeds", "uk", "--out", out, "--overwrite")
    run("seeds", "france", said="no seed set named 'france'")
    run("seeds", "--out", out, said="--out needs a set")


@pytest.mark.heavy
def test_questions_are_generated_and_rejections_counted(tmp_path, encoder_folder):
    out = tmp_path / "q.csv"
    with serving() as server:
        server.words = [f"Should we spend more on {thing}?" for thing in THINGS[:14]]
        server.words += ["No idea.", "Should we spend more on bread?"]
        arguments = ("generate", out, "--model", server.model, "--target", 14, "--with-seeds")
        result = run(*arguments)
        assert result.exit_code == 0
        # The same again from the journal: nothing is asked of the server, which has no more words.
        run(*arguments, said="already exists")
        again = run(*arguments, "--overwrite")
    assert "16 completions were remembered" in again.output
    records = read_questions(out)
    assert len(records) == 152 + 14
    assert records[-1].position_statement.startswith("We should spend more on")
    (step,) = read_steps(out)
    assert step["n_new"] == 14
    assert step["rejected"].keys() <= {"not a question", "exact duplicate"}
    assert len(step["prompt_hash"]) == 16
    for reason, n in step["rejected"].items():
        assert f"{n:6} {reason}" in result.output


@pytest.mark.heavy
def test_a_model_that_repeats_itself_is_an_exit_code_and_a_sentence(
    tmp_path, encoder_folder, monkeypatch
):
    out = tmp_path / "q.csv"
    model = ScriptedModel(["Should we spend more on bread?"] * 320)
    monkeypatch.setattr("commonweal.models.load_language_model", lambda spec: model)
    result = run("generate", out, "--target", 5)
    assert result.exit_code == 1
    assert "no longer finds new questions" in result.output
    assert len(read_questions(out)) == 1


def test_nothing_is_asked_where_the_output_cannot_be_written(tmp_path):
    run("generate", tmp_path / "no" / "such" / "q.csv", said="there is no folder")
    run("generate", tmp_path / "q.csv", "--near-duplicate", 0, said="near_duplicate is 0")


def test_screening_in_the_terminal_stops_and_goes_on(question_set, tmp_path):
    kept = tmp_path / "kept.csv"
    run("screen", question_set, "--out", kept, said="20 of the 20 questions")
    result = run("screen", question_set, "--by", "Ana", input="k\nd too silly\ns\nwhat\nq\n")
    assert "got 'what'; expected k, d, s or q" in result.output
    assert "1 kept, 1 dropped, 18 without a decision" in result.output
    # The end of the input is the end of the work.
    result = run("screen", question_set, "--by", "Ben", input="k\n" * 3)
    assert "4 kept, 1 dropped, 15 without" in result.output
    decisions = read_decisions(decisions_path(question_set))
    assert [(d.by, d.decision, d.reason) for d in decisions[:2]] == [
        ("Ana", "keep", ""),
        ("Ana", "drop", "too silly"),
    ]
    assert [d.by for d in decisions[2:]] == ["Ben"] * 3
    run("screen", question_set, "--by", "Ben", input="keep\n" * 15)
    run("screen", question_set, "--out", kept)
    assert len(read_questions(kept)) == 19
    (step,) = read_steps(kept)
    assert step["decided_by"] == {"Ana": {"keep": 1, "drop": 1}, "Ben": {"keep": 18, "drop": 0}}
    assert step["n_unreviewed"] == 0
    # The decisions went with the questions.
    assert "19 kept, 0 dropped, 0 without" in run("screen", kept).output


def test_the_queue_shows_words_as_they_stand(tmp_path):
    path = tmp_path / "set.csv"
    path.write_text("question\nShould a :car: [bold]be free?\n")
    result = run("screen", path, "--by", "Ana", input="q\n")
    assert "Should a :car: [bold]be free?" in result.output


def test_options_that_clash_or_do_nothing_are_refused(question_set, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    both = "both name"
    run("screen", question_set, "--export", "z", "--out", tmp_path / "z", "--unreviewed", said=both)
    run("split", question_set, "--out", "x", "--report", "./x", "--unreviewed", said=both)
    run("screen", question_set, "--flagged", said="--flagged is for the queue")
    run("screen", question_set, "--unreviewed", said="--unreviewed needs --out FILE")
    assert not (tmp_path / "z").exists()
    assert not (tmp_path / "x").exists()


def test_a_provenance_that_cannot_be_read_is_said_before_the_work(question_set, tmp_path):
    provenance_path(question_set).write_text('{"steps": 1}')
    out = tmp_path / "out.csv"
    said = "is not the provenance"
    run("screen", question_set, "--by", "Ana", "--out", out, input="k\n", said=said)
    assert not decisions_path(question_set).exists()
    # The encoder is not asked for: it may not even be there.
    run("split", question_set, "--out", out, "--unreviewed", said=said)
    assert not out.exists()


def test_screening_by_spreadsheet(question_set, tmp_path):
    queue = tmp_path / "queue.csv"
    run("screen", question_set, "--export", queue)
    text = queue.read_text().replace(",,,\n", ",,keep,\n")
    queue.write_text(text)
    run("screen", question_set, "--import", queue, said="--import needs --by NAME")
    result = run("screen", question_set, "--import", queue, "--by", "Ana")
    assert "20 decisions by Ana read" in result.output
    assert "20 kept, 0 dropped, 0 without" in result.output


def test_a_split_wants_decisions_and_writes_a_report(question_set, tmp_path, encoder_folder):
    pytest.importorskip("sklearn")
    out, report = tmp_path / "split.csv", tmp_path / "split.html"
    arguments = ("split", question_set, "--out", out, "-k", 4, "--n-ood", 5, "--n-iid", 3)
    run(*arguments, said="have no decision")
    result = run(*arguments, "--unreviewed", "--report", report, "--seed", 2)
    records = read_questions(out)
    assert len(records) == 20
    assert sum(record.split == "iid_test" for record in records) == 3
    assert "nearest (0." in result.output
    assert "<svg" in report.read_text()
    step = json.loads(provenance_path(out).read_text())["steps"][-1]
    assert step["step"] == "split"
    assert step["config"]["n_clusters"] == 4
    run(*arguments, "--unreviewed", said="already exists")
    more = ("split", question_set, "--out", tmp_path / "more.csv", "--unreviewed", "-k", 21)
    run(*more, said="20 different questions and 21 clusters")
