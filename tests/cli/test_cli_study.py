"""``commonweal study`` as its users meet it."""

from __future__ import annotations

import re
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing

import httpx
import pytest
from command_line import COMMAND, WORDS, commonweal, environment, serving
from typer.testing import CliRunner

from commonweal.cli.app import app
from commonweal.datasets.dataset import read_dataset
from commonweal.study.config import read_study

pytest.importorskip("starlette", reason="the extra `study` is not installed")


@pytest.fixture
def study(tmp_path):
    ran = commonweal("study", "new", str(tmp_path / "buses"))
    assert ran.returncode == 0, ran.stderr
    return tmp_path / "buses"


def test_a_new_study_can_be_read_and_is_not_overwritten(study):
    config = read_study(study / "study.toml")
    assert config.name == "buses"
    again = commonweal("study", "new", str(study))
    assert again.returncode == 2
    assert "already exists" in again.stderr


def test_a_kept_quick_session_is_exported_without_a_study_file(tmp_path):
    from commonweal.study.domain.quick import open_session, quick_study
    from commonweal.study.storage.store import Store

    kept = tmp_path / "session.db"
    store = Store(f"sqlite:///{kept}")
    open_session(store, quick_study(["Should buses be free?"]))
    store.close()
    ran = commonweal("study", "export", str(kept), "--out", str(tmp_path / "data"))
    assert ran.returncode == 0, ran.stderr
    assert "0 rounds" in ran.stdout
    assert (tmp_path / "data" / "data_dictionary.md").is_file()


def test_another_database_is_refused_and_left_as_it_is(tmp_path):
    other, text = tmp_path / "other.db", tmp_path / "notes.db"
    with closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE things (id INTEGER)")
    text.write_text("only words")
    before = other.read_bytes()
    for path in (other, text):
        ran = commonweal("study", "export", str(path), "--out", str(tmp_path / "data"))
        assert ran.returncode == 2
        assert "quick --keep" in ran.stderr
    assert other.read_bytes() == before


def test_a_key_without_its_certificate_is_refused(tmp_path):
    ran = commonweal("study", "quick", "Should buses be free?", "--tls-key", str(tmp_path / "key"))
    assert ran.returncode == 2
    assert "--tls-certificate and --tls-key go together" in ran.stderr


def test_a_name_that_cannot_be_one(tmp_path):
    ran = commonweal("study", "new", str(tmp_path / "My Study"))
    assert ran.returncode == 2
    assert "small letters" in ran.stderr


def test_what_is_wrong_in_the_file_is_said_with_its_line(study):
    path = study / "study.toml"
    text = path.read_text(encoding="utf-8").replace("size = 5", "sise = 5")
    path.write_text(text, encoding="utf-8")
    line = text[: text.index("sise")].count("\n") + 1
    ran = commonweal("study", "export", str(study), "--out", str(study / "data"))
    assert ran.returncode == 2
    assert f"line {line}: group.sise: unknown field; did you mean 'size'?" in ran.stderr


@pytest.mark.parametrize("command", ["validate", "serve", "work"])
def test_a_text_that_there_is_not_is_said_before_a_model_is_asked(study, command):
    path = study / "study.toml"
    text = path.read_text(encoding="utf-8") + '\n[texts.en]\n"consent.informaton" = "Hello"\n'
    path.write_text(text, encoding="utf-8")
    ran = commonweal("study", command, str(study))
    assert ran.returncode == 2
    assert f"{path}: texts.en: there is no text 'consent.informaton'" in ran.stderr
    assert "Asking" not in ran.stdout
    assert "Traceback" not in ran.stderr


def with_lines(study, **lines):
    """The study's file with other values of these fields, wherever they stand."""
    path = study / "study.toml"
    text = path.read_text(encoding="utf-8")
    for name, value in lines.items():
        text = re.sub(rf"(?m)^{name} = .*?(\s+#.*)?$", f"{name} = {value}", text)
    path.write_text(text, encoding="utf-8")


def test_simulate_then_the_records_are_marked(study):
    out = study / "data"
    with_lines(study, count=1)
    ran = commonweal(
        *("study", "simulate", str(study), "--people", "5", "--profile", "steady"),
        *("--writer", "stock", "--out", str(out)),
    )
    assert ran.returncode == 0, ran.stderr
    assert "5 complete" in ran.stdout
    assert "Stuck: 0. Lost: 0. Rounds in which an arm wrote nothing: 0." in ran.stdout
    assert '"people": "simulated"' in (out / "dataset.json").read_text(encoding="utf-8")
    assert not (study / "study.db").exists()
    # What no model wrote is called so wherever it stands.
    assert "Stock sentences stood in for every model" in ran.stdout
    dataset = read_dataset(out)
    assert set(dataset.candidates["policy"]) == {
        "few_shot (stock sentences)",
        "few_shot_utilitarian (stock sentences)",
    }
    evaluated = commonweal("evaluate", str(out), "--resamples", "1000")
    assert "baseline few_shot (stock sentences)" in evaluated.stdout


@pytest.mark.heavy
def test_a_rehearsal_has_the_studys_own_arms_write_and_counts_what_it_exports(study):
    out = study / "data"
    with serving() as server:
        server.words = WORDS * 20
        with_lines(study, count=1, passes=1, candidates=2, shown=1, model=f'"{server.model}"')
        text = (study / "study.toml").read_text(encoding="utf-8")
        text = text.replace("[[arms]]", '[[arms]]\nreward = "first"')
        (study / "study.toml").write_text(text, encoding="utf-8")
        ran = commonweal(
            *("study", "simulate", str(study), "--profile", "steady", "--out", str(out)),
        )
    assert ran.returncode == 0, ran.stderr
    dataset = read_dataset(out)
    assert set(dataset.candidates["policy"]) == {"few_shot", "few_shot_utilitarian"}
    assert set(dataset.candidates["text"]) <= set(WORDS)
    assert "stock" not in ran.stdout.lower()
    given, positions = dataset.ratings.height, dataset.position_ratings.height
    said = (
        f"{dataset.rounds.height} round, {dataset.opinions.height} opinions, "
        f"{given} ratings of statements, {positions} of position statements"
    )
    assert said in ran.stdout
    assert "People" in ran.stderr
    assert "Writing" in ran.stderr
    assert "few_shot on" in ran.stdout


def test_a_dead_model_is_found_before_a_rehearsal(study):
    with_lines(study, model='"openai:http://127.0.0.1:9/v1#gone"')
    ran = commonweal("study", "simulate", str(study), "--people", "5")
    assert ran.returncode == 1
    assert "cannot write now" in ran.stderr


def test_an_export_of_what_was_never_served_says_what_was_meant(study, tmp_path):
    ran = commonweal("study", "export", str(study), "--out", str(tmp_path / "data"))
    assert ran.returncode == 2
    for said in ("never been served", "study serve", "study simulate", "--out FOLDER"):
        assert said in " ".join(ran.stderr.split())
    assert not (study / "study.db").exists()
    assert not (tmp_path / "data").exists()


def test_an_export_makes_no_database_by_a_name_that_was_mistyped(study, tmp_path):
    missing = tmp_path / "missing.db"
    options = ("--database", f"sqlite:///{missing}", "--out", str(tmp_path / "data"))
    ran = commonweal("study", "export", str(study), *options)
    assert ran.returncode == 2
    assert f"there is no {missing}" in "".join(ran.stderr.splitlines())
    assert not missing.exists()


def test_invitations_and_an_export_without_rounds(study):
    ran = commonweal("study", "invite", str(study), "--n", "2", "--base-url", "https://a.example/")
    links = ran.stdout.split()
    assert len(set(links)) == 2
    assert all(link.startswith("https://a.example/i/") and len(link) > 60 for link in links)
    out = commonweal("study", "export", str(study), "--out", str(study / "data"))
    assert "0 rounds" in out.stdout


def test_serving_where_the_port_is_taken(study):
    # A model that is not there: the port is said before it is asked for.
    with_lines(study, model='"openai:http://127.0.0.1:9/v1#gone"')
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ran = commonweal("study", "serve", str(study), "--port", port)
    assert ran.returncode == 2
    assert "give another --port" in ran.stderr


def test_a_server_that_does_not_write_says_what_does(study, monkeypatch):
    from commonweal.study.web import server

    def ready(app, listening, *, on_ready, **_):
        listening.close()
        app.store.close()
        on_ready()

    monkeypatch.setattr(server, "serve", ready)
    monkeypatch.delenv("COMMONWEAL_DATABASE", raising=False)
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    ran = CliRunner().invoke(app, ["study", "serve", str(study), "--port", port, "--no-writing"])
    assert ran.exit_code == 0, ran.output
    said = f"Nothing is written here. Groups wait for: commonweal study work {study}\n"
    assert ran.output.endswith(said)


def test_asking_for_help_loads_no_web_framework():
    code = (
        "import sys\n"
        "from commonweal.cli.app import app\n"
        "print([m for m in ('starlette', 'sqlalchemy', 'uvicorn') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.slow
def test_a_dead_model_is_found_before_anybody_joins(study, tmp_path):
    dead = "openai:http://127.0.0.1:9/v1#nobody"
    data = {"COMMONWEAL_DATA": str(tmp_path / "data")}
    ran = commonweal("study", "quick", "Should buses be free?", "--model", dead, env=data)
    assert not list((tmp_path / "data").glob("sessions/*.db*"))
    assert ran.returncode == 1
    assert f"the model {dead} (arm 'quick') cannot write now" in ran.stderr
    assert "127.0.0.1:9" in ran.stderr
    assert "People join" not in ran.stdout
    path = study / "study.toml"
    path.write_text(path.read_text().replace('model = "embedded"', f'model = "{dead}"'))
    ran = commonweal("study", "validate", str(study))
    assert ran.returncode == 1
    assert "cannot write now" in ran.stderr


def quick(port, *more, env):
    """A quick session's process and its private link, once it is served."""
    process = subprocess.Popen(
        [COMMAND, "study", "quick", "Should buses be free?", "--port", str(port), *more],
        env=environment(**env),
        stdout=subprocess.PIPE,
        text=True,
    )
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("Ctrl-C"):
            break
    link = next(line for line in said if line.startswith("You")).split()[-1]
    return process, link, "".join(said)


@pytest.mark.slow
def test_a_killed_session_goes_on_with_the_same_command(tmp_path):
    from commonweal.study.simulation.bots import Browser

    env = {"COMMONWEAL_DATA": str(tmp_path / "data")}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ("--host", "127.0.0.1", "--model", "embedded:small")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        process, link, said = quick(port, *options, env=env)
        try:
            assert "kept for 7 days" in said
            person = Browser(client)
            join = next(line for line in said.splitlines() if line.startswith("People join:"))
            person.get(f"/join?{join.partition('?')[2]}")
            assert "kept on your facilitator" in person.html
            person.send("/join", button="agree")
            process.kill()
            process.wait()
            process, again, said = quick(port, *options, env=env)
            assert "Continuing the session of" in said
            assert "(one person)" in said
            assert link == again
            person.get("/here")
            assert person.key.startswith("lobby")
        finally:
            process.kill()
            process.wait()
    listed = commonweal("study", "sessions", env=env)
    name = re.search(r"quick-[0-9a-f]{8}", listed.stdout).group()
    assert "one person, not over: Should buses be free?" in listed.stdout
    deleted = commonweal("study", "sessions", "--delete", name, env=env)
    assert f"Deleted {name}" in deleted.stdout
    assert not list((tmp_path / "data" / "sessions").glob("*.db*"))


def test_a_session_that_cannot_be_read_is_listed(tmp_path):
    folder = tmp_path / "data" / "sessions"
    folder.mkdir(parents=True)
    (folder / "quick-0badc0de.db").write_bytes(b"no database")
    env = {"COMMONWEAL_DATA": str(tmp_path / "data")}
    listed = commonweal("study", "sessions", env=env)
    assert "quick-0badc0de  of another version of commonweal, or damaged" in listed.stdout
    assert "Each is deleted 7 days after" in listed.stdout
    assert "--reopen" not in listed.stdout
    mistyped = commonweal("study", "sessions", "--delete", "quick-0badc0d", env=env)
    assert "expected one that is kept: quick-0badc0de" in mistyped.stderr
    deleted = commonweal("study", "sessions", "--delete", "quick-0badc0de", env=env)
    assert "Deleted quick-0badc0de\nNo session is kept" in deleted.stdout


def test_what_does_not_go_together_is_refused(tmp_path):
    env = {"COMMONWEAL_DATA": str(tmp_path / "data")}
    for options, says in (
        ((), "expected a question, or --reopen NAME"),
        (("Should it?", "--reopen", "quick-1"), "expected a question, or --reopen NAME"),
        (("--reopen", "quick-1"), "there is no session 'quick-1'"),
        (
            ("Should it?", "--keep", "a.db", "--keep-nothing"),
            "--keep FILE does not go with --keep-nothing",
        ),
    ):
        ran = commonweal("study", "quick", *options, env=env)
        assert ran.returncode == 2
        assert says in ran.stderr
    ran = commonweal("study", "sessions", "--delete", "quick-1", env=env)
    assert ran.returncode == 2
    assert "there is no session 'quick-1'; expected one that is kept: none" in ran.stderr
