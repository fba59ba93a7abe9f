"""``commonweal agree`` as a user meets it: a process with arguments, files and an exit code."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import (
    COMMAND,
    GROUPS,
    WORDS,
    commonweal,
    environment,
    installed,
    put_group,
    serving,
)

from commonweal.agreement import find_agreement
from commonweal.cli.agree_again import writing_as_before
from commonweal.errors import InputError
from commonweal.models import DEFAULT_MODEL
from commonweal.models.scripted import ScriptedModel
from commonweal.policies import load_policy
from commonweal.policies.prompts import WorkedExample
from commonweal.rewards import ScriptedRewardModel

BUSES = GROUPS / "bus-fares.toml"


@pytest.fixture
def server(encoder_folder):
    del encoder_folder  # the reward model's weights: asked for so that their absence is explained
    with serving() as running:
        yield running


@pytest.fixture
def group(tmp_path):
    return put_group(tmp_path / "group.json", ["The fares are too high.", "Nothing is free."])


def hidden(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


# --------------------------------------------------------------------------------- what it brings


def test_a_statement_on_the_screen_and_the_same_in_the_files(server, tmp_path):
    ran = installed(
        *("agree", BUSES, "--model", server.model, "--candidates", 4, "--policy", "zero_shot"),
        *("--json", tmp_path / "r.json", "--report", tmp_path / "r.html", "--omit", "asha"),
        *("--welfare", "rawlsian", "--seed", 3, "--min-agreeing", 0.2, "--details"),
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert told["statement"] in WORDS
    assert {candidate["text"] for candidate in told["candidates"]} == set(WORDS)
    assert told["welfare"] == {"name": "rawlsian", "alpha": "inf"}
    assert told["provenance"]["seed"] == 3
    for candidate in told["candidates"]:
        assert "asha" not in candidate["included_opinion_ids"]
        assert candidate["policy"] == "zero_shot"
        assert set(candidate["expected_ratings"]) == {"asha", "gordon", "mei", "declan", "tomasz"}
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert told["statement"] in page
    screen = " ".join(ran.stdout.replace("│", " ").split())
    assert told["statement"] in screen
    assert "asha (omitted)" in screen
    assert "These are predictions by a model, not votes." in screen
    assert "chosen by rawlsian welfare" in screen
    assert "Writing candidates" not in ran.stdout
    assert "Writing candidates" in ran.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.html", "r.json"]


def test_json_on_the_screen_is_all_that_is_on_stdout(server, group):
    ran = commonweal(
        "agree", group, "--model", server.model, "--candidates", 2, "--alpha", "inf", "--json", "-"
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["welfare"]["alpha"] == "inf"
    (closest,) = [each for each in told["candidates"] if each["id"] == told["closest"]]
    assert closest["text"] in " ".join(ran.stderr.replace("│", " ").split())


def test_terminal_codes_do_not_reach_the_screen(server, tmp_path):
    hostile = "\x1b]0;title\x07 \x1b[2J \x9b31m \u202eevil [bold red]markup[/] [link=x]y[/link]"
    path = put_group(
        tmp_path / "g.json", [f"Fares {hostile}", f"{hostile} buses"], f"Why? {hostile}"
    )
    server.words = [f"{WORDS[1][:-1]} \x1b[31mred\x1b[0m.", *WORDS]
    ran = commonweal("agree", path, "--model", server.model, "--candidates", 1)
    assert ran.returncode == 0, ran.stderr
    for code in ("\x1b", "\x07", "\x9b", "\u202e"):
        assert code not in ran.stdout + ran.stderr
    assert "[bold red]markup[/]" in " ".join(ran.stdout.split())
    assert "control character(s)" in ran.stdout


def test_the_key_is_sent_and_never_shown(server, group, tmp_path):
    ran = commonweal(
        *("agree", group, "--model", server.model, "--candidates", 1),
        *("--json", tmp_path / "r.json", "--report", tmp_path / "r.html"),
        env={"COMMONWEAL_OPENAI_API_KEY": "sk-do-not-tell"},
    )
    assert ran.returncode == 0, ran.stderr
    assert set(server.keys) == {"Bearer sk-do-not-tell"}
    files = "".join(path.read_text(encoding="utf-8") for path in tmp_path.glob("r.*"))
    assert "do-not-tell" not in ran.stdout + ran.stderr + files


@pytest.mark.heavy
def test_a_long_opinion_is_cut_and_that_is_said(server, tmp_path):
    path = put_group(tmp_path / "g.json", ["Nothing is free. " * 2941, "The fares are high."])
    ran = commonweal("agree", path, "--model", server.model, "--candidates", 1)
    assert ran.returncode == 0, ran.stderr
    assert "the opinion of 'p1' was cut from 49,996 to" in " ".join(ran.stdout.split())


def test_notes_from_reading_the_file_reach_every_output_once(server, tmp_path):
    path = put_group(tmp_path / "g.json", ["Fares\u202e!", "No more buses.", "no more buses."])
    ran = commonweal(
        *("agree", path, "--model", server.model, "--candidates", 1),
        *("--json", tmp_path / "r.json", "--report", tmp_path / "r.html"),
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["notes"]
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    screen = " ".join(ran.stdout.split())
    for note in ("control character(s) in the opinion of", "gave the same opinion; each counts"):
        assert sum(note in one for one in told) == 1
        assert page.count(note) == screen.count(note) == 1


def test_a_note_that_is_a_sentence_gets_no_second_full_stop(capsys):
    from rich.console import Console

    from commonweal.cli.agree_screen import print_result

    result = find_agreement(
        "Why?",
        ["Yes.", "No."],
        policy=load_policy("zero_shot", ScriptedModel([WORDS[0]])),
        reward=ScriptedRewardModel([1.0, 1.0]),
        n_candidates=1,
    )
    print_result(Console(width=100), replace(result, notes=("It is so.", "it was cut")))
    screen = capsys.readouterr().out
    assert "Note: It is so.\n" in screen
    assert "Note: it was cut.\n" in screen


@pytest.mark.heavy
def test_a_screen_without_utf_8_gets_escapes_and_json_that_can_be_read(server, tmp_path):
    path = put_group(tmp_path / "g.json", ["Zu teuer – für uns 💚", "Nothing is free."])
    for more in ((), ("--json", "-")):
        server.words = list(WORDS)
        ran = commonweal(
            *("agree", path, "--model", server.model, "--candidates", 1, *more),
            env={"PYTHONIOENCODING": "ascii"},
        )
        assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["opinions"][0]["text"] == "Zu teuer – für uns 💚"


# ------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        ('{"question": "q", "opinions": []}', [], "there are no opinions"),
        ('{"question": "q", "opinions": [{"text": "a"}]}', [], "expected at least two"),
        ('{"question": "q", "opinoins": []}', [], "did you mean 'opinions'"),
        ('{"question": "q", "\\u001b[31m": 1}', [], "unknown field"),
        (None, ["--alpha", "nan"], "alpha is nan"),
        (None, ["--alpha=-1"], "alpha is -1.0"),
        (None, ["--omit", "nobody"], "cannot omit 'nobody'"),
        (None, ["--candidates", "0"], "--candidates"),
        (None, ["--welfare", "rawls"], "did you mean 'rawlsian'"),
        (None, ["--welfare", "isoelastic"], "needs an alpha"),
        (None, ["--policy", "none.toml"], "none.toml"),
        (None, ["--reward-model", "frist"], "did you mean 'first'"),
        (None, ["--policy", "best"], "few_shot"),
        (None, ["--model", "embeded"], "did you mean 'embedded'"),
        (None, ["--seed", "-1"], "--seed"),
        (None, ["--json", "no/where/r.json"], "there is no folder no/where"),
        (None, ["--report", "no/where/r.html"], "there is no folder no/where"),
        (None, ["--report", "."], "it is a folder"),
        (None, ["--what-if-plot", "a.html"], "ends in '.html', expected .svg, .png, .pdf"),
        (None, ["--json", "r", "--report", "./r"], "--report r is the same file as --json"),
        (None, ["--json", "group.json"], "is the same file as the group's file"),
    ],
)
def test_what_the_user_can_mend_is_2_and_found_before_a_model_loads(
    tmp_path, group, content, options, said
):
    if content is not None:
        group.write_text(content, encoding="utf-8")
    # Where a model was asked for, the missing weights would make this a 1.
    ran = commonweal(
        "agree", group, *options, cwd=tmp_path, env={"COMMONWEAL_CACHE": str(tmp_path / "none")}
    )
    assert ran.returncode == 2, ran.stderr
    assert said in " ".join(ran.stderr.replace("│", " ").split())
    assert "Traceback" not in ran.stderr
    assert "\x1b" not in ran.stderr
    assert ran.stdout == ""
    assert hidden(tmp_path) == []


def test_a_missing_file_is_2():
    ran = commonweal("agree", "nobody.toml")
    assert ran.returncode == 2
    assert ran.stderr.startswith("error: no file nobody.toml")


def test_missing_weights_are_1_with_the_way_to_get_them(group, tmp_path):
    ran = commonweal(
        *("agree", group, "--json", tmp_path / "r.json"),
        env={"COMMONWEAL_CACHE": str(tmp_path / "none")},
    )
    assert ran.returncode == 1
    assert "fetch them once with: commonweal models pull" in " ".join(ran.stderr.split())
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "r.json").exists()


def test_no_usable_completion_is_an_outcome_with_a_report(server, group, tmp_path):
    server.words = ["I'm sorry, but I cannot help with that."] * 20
    ran = commonweal(
        *("agree", group, "--model", server.model, "--candidates", 1),
        *("--json", tmp_path / "r.json", "--report", tmp_path / "r.html"),
    )
    assert ran.returncode == 0, ran.stderr
    screen = " ".join(ran.stdout.split())
    assert "No statement worth showing. None of 7 texts that were written can be shown" in screen
    assert "7 refusal" in screen
    assert "help with that" not in screen + ran.stderr
    told = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert (told["outcome"], told["statement"]) == ("no statement worth showing", None)
    assert len(told["rejections"]) == 7
    assert "No statement worth showing" in (tmp_path / "r.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_another_language_than_the_opinions_reaches_no_screen(server, tmp_path):
    path = put_group(
        tmp_path / "g.json",
        [
            "Der Bus kostet zu viel, ich zahle jeden Monat.",
            "Umsonst ist nichts, einer zahlt immer.",
        ],
        "Sollen Busse gratis sein?",
    )
    german = "Wir wollen günstige Busse und streiten darüber, wer sie bezahlen soll."
    server.words = ["We should follow the holy book and punish all murder hard.", german]
    ran = commonweal(
        *("agree", path, "--model", server.model, "--candidates", 1),
        *("--report", tmp_path / "r.html", "--min-agreeing", 0),
    )
    assert ran.returncode == 0, ran.stderr
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert german in " ".join(ran.stdout.replace("│", " ").split())
    assert german in page
    assert "holy book" not in ran.stdout + ran.stderr + page
    assert "warning" not in ran.stderr  # a server's model may well write German


def test_the_embedded_model_warns_a_german_group_before_it_writes(tmp_path):
    path = put_group(tmp_path / "g.json", ["Der Bus kostet zu viel, ich zahle jeden Monat."] * 2)
    # Without weights nothing is written: the warning came before.
    ran = commonweal("agree", path, env={"COMMONWEAL_CACHE": str(tmp_path / "none")})
    assert ran.returncode == 1
    warned, failed = ran.stderr.index("opinions are in German"), ran.stderr.index("error:")
    assert warned < failed


# ---------------------------------------------------------------------------- cut off in the middle


def interrupted(process) -> tuple[str, str]:
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said[1]
    return said


@pytest.mark.slow
def test_ctrl_c_while_a_server_writes_is_130_and_leaves_nothing(server, group, tmp_path):
    server.hang = True
    (tmp_path / "r.html").write_text("the old report")
    arguments = ["agree", group, "--model", server.model]
    arguments += ["--json", tmp_path / "r.json", "--report", tmp_path / "r.html"]
    process = subprocess.Popen(
        [COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert server.asked.wait(60)
    interrupted(process)
    assert (tmp_path / "r.html").read_text() == "the old report"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["group.json", "r.html"]


@pytest.mark.heavy
def test_ctrl_c_while_the_embedded_model_writes_is_130_and_leaves_nothing(
    smollm2_gguf, encoder_folder, group, tmp_path
):
    # The command itself, but for a line on stderr where each stage begins.
    code = (
        "import sys\n"
        "from commonweal.cli import agree, main\n"
        "update = agree.StageBars.update\n"
        "def told(bars, stage, done, total):\n"
        "    print('stage', stage, file=sys.stderr, flush=True)\n"
        "    update(bars, stage, done, total)\n"
        "agree.StageBars.update = told\n"
        "main()\n"
    )
    arguments = ["agree", group, "--json", tmp_path / "r.json", "--report", tmp_path / "r.html"]
    arguments += ["--model", "embedded:small"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    while (line := process.stderr.readline()) and "stage generate" not in line:
        pass
    assert line, "it ended before it began to write"
    interrupted(process)
    assert [path.name for path in tmp_path.iterdir()] == ["group.json"]


@pytest.mark.heavy
def test_a_full_disk_leaves_the_old_report(server, group, tmp_path):
    """A limit on the size of a file stands in for the disk: writing fails in the middle."""
    report = tmp_path / "r.html"
    report.write_text("the old report")
    ran = installed(
        *("agree", group, "--model", server.model, "--candidates", 2, "--report", report),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )
    assert ran.returncode == 2
    assert f"error: cannot write {report}: " in ran.stderr
    assert "Traceback" not in ran.stderr
    assert report.read_text() == "the old report"
    assert hidden(tmp_path) == []


@pytest.mark.heavy
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_under_stdout_is_no_success(server, group):
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [COMMAND, "agree", str(group), "--model", server.model, "--candidates", "1"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            timeout=60,
            check=False,
        )
    assert ran.returncode == 1
    assert "No space left on device" in ran.stderr
    assert "Traceback" not in ran.stderr


# ------------------------------------------------------------------------- a result taken up again


def test_what_people_voted_is_shown_under_each_rule_beside_the_predictions(tmp_path):
    ballots = tmp_path / "ballots.csv"
    ballots.write_text("Name;C1;C2\nasha;1;2\nben;2;1\ncem;2;1\n", encoding="utf-8")
    stored = Path(__file__).parents[1] / "agreement_1.json"
    ran = commonweal("agree", stored, "--rankings", ballots)
    assert ran.returncode == 0, ran.stderr
    assert "What each rule picks, by 3 people's own rankings" in ran.stdout
    assert "c02 beats every other candidate one to one." in ran.stdout
    ran = commonweal("agree", BUSES, "--rankings", ballots)
    assert ran.returncode == 2
    assert "bus-fares.toml is not a stored result" in ran.stderr


@pytest.mark.slow
def test_a_stored_result_is_criticised_edited_and_compared(server, tmp_path):
    options = ("--model", server.model, "--candidates", 3, "--policy", "zero_shot")
    ran = commonweal("agree", BUSES, *options, "--json", tmp_path / "first.json")
    assert ran.returncode == 0, ran.stderr
    first = json.loads((tmp_path / "first.json").read_text(encoding="utf-8"))
    (tmp_path / "c.csv").write_text(
        "id;critique\nasha;Say that it is for low wages.\nmei;\n", encoding="utf-8"
    )
    ran = commonweal(
        *("agree", tmp_path / "first.json", "--critiques", tmp_path / "c.csv"),
        *("--model", server.model, "--candidates", 2, "--compare-rules", "--what-if"),
        *("--json", tmp_path / "second.json", "--what-if-plot", tmp_path / "alpha.png"),
        *("--what-if-anew", "gordon", "--minority-of", "gordon"),
    )
    assert ran.returncode == 0, ran.stderr
    second = json.loads((tmp_path / "second.json").read_text(encoding="utf-8"))
    assert second["candidates"][0]["text"] == second["before"]["candidates"][0]["text"] or (
        second["candidates"][0]["text"] in {each["text"] for each in first["candidates"]}
    )
    assert second["before"]["closest"] == first["closest"]
    assert second["critiques"] == [
        {"participant_id": "asha", "text": "Say that it is for low wages."}
    ]
    assert "1 of 5 said what they would change" in ran.stdout
    assert "maximal_lotteries" in ran.stdout
    assert "What if one person had not been asked?" in ran.stdout
    assert "What if gordon had never been asked?" in ran.stdout
    assert [each["id"] for each in second["minority"]["opinions"]] == ["gordon"]
    assert second["minority"]["provenance"]["basis"] == "found"
    # Whether it is any good is the server's: if not, a note says so.
    assert "found to disagree" in ran.stdout or "no minority statement worth showing" in ran.stdout
    assert (tmp_path / "alpha.png").stat().st_size > 5000

    (tmp_path / "ours.txt").write_text("We want fair fares in 2 towns first.\n", encoding="utf-8")
    ran = commonweal(
        *("agree", tmp_path / "second.json", "--edited", tmp_path / "ours.txt", "--take"),
        *("--author", "gordon", "--json", tmp_path / "ours.json"),
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads((tmp_path / "ours.json").read_text(encoding="utf-8"))
    assert told["candidates"][-1]["author"] == "gordon"
    assert told["closest"] == told["candidates"][-1]["id"]
    assert "by gordon" in ran.stdout
    assert told["before"]["closest"] == first["closest"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--edited", "{folder}/none.txt"), "no file"),
        (("--edited", "{folder}/empty.txt"), "the edited text or its author is blank"),
        (("--minority-of", "gorden"), "--minority-of: 'gorden' is not in the group"),
        (("--what-if-anew", "gorden"), "--what-if-anew: 'gorden' is not in the group"),
    ],
)
def test_what_is_asked_in_vain_is_said_before_a_model_is_asked(server, tmp_path, options, said):
    (tmp_path / "empty.txt").write_text(" \n", encoding="utf-8")
    given = [each.format(folder=tmp_path) for each in options]
    ran = commonweal("agree", BUSES, "--model", server.model, "--candidates", 1, *given)
    assert ran.returncode == 2, ran.stdout
    assert said in ran.stderr
    assert server.keys == []  # of each request one


def stored_result(path, **provenance):
    """A result of two people, as ``--json`` writes it, made by what the provenance says."""
    result = find_agreement(
        "Free buses?",
        ["The fares are too high.", "Nothing is free."],
        policy=load_policy("zero_shot", ScriptedModel([WORDS[0]])),
        reward=ScriptedRewardModel([1.0, 1.0]),
        n_candidates=1,
    )
    result = replace(result, provenance=result.provenance | provenance)
    path.write_text(json.dumps(result.to_dict()), encoding="utf-8")
    return result


def test_what_is_written_anew_is_written_as_it_was_before(tmp_path):
    stored = stored_result(
        tmp_path / "r.json",
        policy="few_shot_rawlsian",
        model="openai:http://127.0.0.1:9/v1#mine",
        seed=7,
        n_candidates_requested=5,
    )
    example = WorkedExample("Free parks?", ("Yes.",), "We want parks.")

    def found(result=stored, model=DEFAULT_MODEL, n_candidates=None, seed=0):
        policy, *numbers = writing_as_before(
            result, model=model, examples=[example], n_candidates=n_candidates, seed=seed
        )
        return policy.name, policy.model.model_id, policy.writer.template.examples, numbers

    named = "few_shot_rawlsian"
    assert found() == (named, "openai:http://127.0.0.1:9/v1#mine", (example,), [5, 7])
    # A revision is taken as if it were first.
    told = stored.provenance | {"policy": "revise", "seed": 1}
    assert found(replace(stored, before=stored, provenance=told)) == found()
    other = "openai:http://127.0.0.1:9/v1#other"
    assert found(model=other, n_candidates=2, seed=3)[1:] == (other, (example,), [2, 3])
    told = stored.provenance | {"policy": "few_shot_base", "n_candidates_requested": 1}
    one_sample = replace(stored, provenance=told)
    assert found(one_sample)[-1] == [1, 7]
    with pytest.raises(InputError, match="is one sample, and 2 candidates were asked for"):
        found(one_sample, n_candidates=2)


def test_the_result_is_kept_where_it_cannot_be_written_anew(tmp_path):
    stored_result(tmp_path / "r.json", model="nosuch:engine")
    ran = commonweal(
        *("agree", tmp_path / "r.json", "--what-if-anew", "p1"),
        *("--json", tmp_path / "again.json", "--report", tmp_path / "r.html"),
    )
    assert ran.returncode == 2
    assert "nosuch" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert json.loads((tmp_path / "again.json").read_text(encoding="utf-8"))["statement"]
    assert (tmp_path / "r.html").is_file()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--critiques", "{folder}/c.csv"), "a critique is by 'ashna', who gave no opinion; did"),
        (("--take",), "--take is for a text given with --edited"),
        (("--critiques", "{folder}/none.csv"), "no file"),
        (("--edited", "{folder}/empty.txt"), "the edited text or its author is blank"),
    ],
)
def test_what_cannot_be_taken_up_is_said_before_anything_is_written(tmp_path, options, said):
    (tmp_path / "c.csv").write_text("id,critique\nashna,Shorter.\n", encoding="utf-8")
    (tmp_path / "empty.txt").write_text(" \n", encoding="utf-8")
    stored = tmp_path / "stored.json"
    writer = ScriptedModel([WORDS[0]])
    result = find_agreement(
        "Free buses?",
        ["The fares are too high.", "Nothing is free."],
        policy=load_policy("zero_shot", writer),
        reward=ScriptedRewardModel([1.0, 1.0]),
        n_candidates=1,
    )
    told = result.to_dict()
    for each in told["opinions"]:
        each["id"] = {"p1": "asha", "p2": "gus"}[each["id"]]
    for table in ("rewards", "expected_ratings"):
        for each in told["candidates"]:
            each[table] = {"asha": each[table]["p1"], "gus": each[table]["p2"]}
    stored.write_text(json.dumps(told), encoding="utf-8")
    given = [each.format(folder=tmp_path) for each in options]
    ran = commonweal("agree", stored, *given, "--json", tmp_path / "out.json")
    assert ran.returncode == 2, ran.stdout
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "out.json").exists()


def test_the_share_that_must_agree_is_asked_of_a_stored_result(tmp_path):
    told = json.loads((Path(__file__).parents[1] / "agreement_1.json").read_text(encoding="utf-8"))
    for each in told["candidates"]:
        each["expected_ratings"][told["opinions"][0]["id"]] = 3.9
    stored = tmp_path / "stored.json"
    stored.write_text(json.dumps(told), encoding="utf-8")
    asked = commonweal("agree", stored, "--min-agreeing", "1")
    assert asked.returncode == 0, asked.stderr
    assert "No agreement found" in asked.stdout
    assert "No agreement found" not in commonweal("agree", stored).stdout
    for option in (("--shortlist", "1"), ("--min-quality", "7")):
        ran = commonweal("agree", stored, *option)
        assert ran.returncode == 2
        assert f"{option[0]} has no effect" in ran.stderr


def test_options_that_write_anew_are_refused_beside_a_stored_result(tmp_path):
    stored = tmp_path / "stored.json"
    stored.write_text('{"schema": "commonweal/agreement/2"}', encoding="utf-8")
    ran = commonweal("agree", stored, "--policy", "sft")
    assert ran.returncode == 2
    assert f"{stored}: no agreement can be read" in ran.stderr


# ------------------------------------------------------------------------------------ many people


def many_people(path, n=150):
    people = [
        {"question": "Should buses be free?", "id": f"p{i}", "opinion": text}
        for i in range(n)
        for text in [f"{('The fares are too high', 'Nothing is free')[i % 3 == 0]}, street {i}."]
    ]
    path.write_text("\n".join(map(json.dumps, people)), encoding="utf-8")
    return path


@pytest.mark.slow
def test_many_people_are_told_by_group_with_a_slate_and_a_map(server, tmp_path):
    server.words = WORDS * 3
    ran = commonweal(
        *("agree", many_people(tmp_path / "p.jsonl"), "--model", server.model, "--details"),
        *("--candidates", 3, "--panel", 20, "--slate", 2, "--min-quality", 1),
        *("--json", tmp_path / "r.json", "--report", tmp_path / "r.html"),
        *("--map", tmp_path / "m.svg", "--welfare", "rawlsian"),
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    population = told["population"]
    assert population["n_people"] == 150
    assert len(told["opinions"]) == 20
    assert told["welfare"]["name"] == "quantile:0.05"
    assert sum(each["n_people"] for each in population["groups"]) == 150
    screen = " ".join(ran.stdout.replace("│", " ").split())
    assert "of 150 people" in screen
    assert screen.count(population["difference"].split(";")[0]) == 1
    assert "2 statements for as many people as possible" in screen
    assert (tmp_path / "m.svg").read_text(encoding="utf-8").startswith("<svg")


@pytest.mark.parametrize(
    ("rows", "options", "said"),
    [
        ([], (), "empty"),
        ([("a", "Yes.")], (), "expected at least two"),
        ([("a", "Yes."), ("a", "No.")], (), "appears more than once"),
        ([("a", "Yes."), ("b", "No.")], ("--map", "m.svg"), "--map needs more than 100 people"),
        ([("a", "Yes."), ("b", "No.")], ("--writing", "both"), "sampled or recursive"),
    ],
)
def test_what_many_cannot_be_is_said_before_anything_is_loaded(tmp_path, rows, options, said):
    path = tmp_path / "p.csv"
    header = ["question,id,opinion"] if rows else []
    lines = [*header, *(f"Why?,{name},{text}" for name, text in rows)]
    path.write_text("\n".join(lines), encoding="utf-8")
    ran = commonweal("agree", path, *options, cwd=tmp_path)
    assert ran.returncode == 2
    assert said in " ".join(ran.stderr.split())
    assert "Traceback" not in ran.stderr
