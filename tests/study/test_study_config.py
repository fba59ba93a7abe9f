"""A study's file: what is wrong in it is named with its line."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from study_making import small_study

from commonweal.cli.study_asking import say_where_nobody_repeats
from commonweal.errors import InputError
from commonweal.questions.records import content_id
from commonweal.rules import resolve_rule
from commonweal.study.config import STORED, ArmConfig, StudyConfig, read_study
from commonweal.study.storage.migrating import migrate
from commonweal.study.storage.store import Store

GOOD = """
name = "buses"
title = "Local buses"

[group]
size = 5

[rounds]
count = 1

[[questions]]
text = "Should buses be free?"

[[questions]]
text = "Should trains be free?"

[[arms]]
name = "few"
policy = "few_shot"

[[arms]]
name = "zero"
policy = "zero_shot"
alpha = { mu = 0.0, sigma = 1.0 }

[[checks]]
question = "How often?"
choices = ["Once", "Twice"]
answer = 2
"""


def read(tmp_path, text):
    path = tmp_path / "study.toml"
    path.write_text(text, encoding="utf-8")
    return read_study(path)


def test_a_good_file(tmp_path):
    study = read(tmp_path, GOOD)
    assert study.group.minimum == 3
    assert [arm.name for arm in study.arms] == ["few", "zero"]
    assert study.questions[0].key == content_id("Should buses be free?")
    assert study.code("partial") == "BUSES-PARTIAL"


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("size = 5", "sise = 5", 6, "did you mean 'size'"),
        ("size = 5", "size = 500", 6, "less than or equal to 50"),
        ("size = 5", "size = 5\nminimum = 6", None, "more than group.size"),
        ("count = 1", 'count = "1"', 9, "'1'"),
        ('policy = "zero_shot"', 'policy = "zero"', 21, "unknown policy 'zero'"),
        ('policy = "zero_shot"', 'polcy = "zero_shot"', 23, "did you mean 'policy'"),
        ("sigma = 1.0", "sigma = -1.0", 24, "greater than or equal to 0"),
        ("answer = 2", "answer = 3", 26, "there are 2 choices"),
        ("trains", "buses", None, "a question appears twice"),
        ("count = 1", "count = 3", None, "a question for each round"),
        ('name = "zero"', 'name = "few"', None, "two arms have one name"),
        ("[group]", "[grup]", 5, "did you mean 'group'"),
        ("size = 5", 'size = 5\nstart = "facilitator"', 7, "commonweal study quick"),
        (
            'policy = "zero_shot"',
            'model = "embeded"',
            21,
            "did you mean 'embedded'",
        ),
        ("size = 5", "size = ", 6, "not valid TOML"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path, old, new, line, says):
    with pytest.raises(InputError) as caught:
        read(tmp_path, GOOD.replace(old, new, 1))
    message = str(caught.value)
    assert says in message
    assert line is None or f"line {line}" in message, message


@pytest.mark.parametrize(
    ("given", "kept", "alpha"),
    [
        ("isoelastic:2", "isoelastic:2.0", 2.0),
        ("isoelastic:0.125", "isoelastic:0.125", 0.125),
        ("isoelastic:inf", "rawlsian", math.inf),
        ("nash", "bernoulli_nash", 1.0),
        ("quantile:0.25", "quantile:0.25", None),
    ],
)
def test_a_rule_is_kept_under_a_name_by_which_it_is_found_again(given, kept, alpha):
    study = small_study(
        rounds={"count": 1, "welfare": given},
        arms=[{"name": "one", "candidates": 4, "welfare": given}],
    )
    again = StudyConfig.model_validate_json(study.to_json(), context=STORED)
    assert (again.rounds.welfare, again.arms[0].welfare) == (kept, kept)
    assert resolve_rule(again.rounds.welfare).alpha == alpha
    assert again.arms[0].draw_rules(0)[0].alpha == alpha


def test_a_study_is_not_changed_after_people_joined(tmp_path):
    from study_making import Place

    place = Place(f"sqlite:///{tmp_path}/study.db")
    changed = small_study(title="Other buses")
    assert place.store.open_study(changed) == place.study_id  # nobody is there yet
    place.join(1)
    assert place.store.open_study(changed) == place.study_id
    with pytest.raises(InputError, match="after people joined"):
        place.store.open_study(small_study())


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE schema_info (version INTEGER PRIMARY KEY)",
        # One version number stood for these names and today's.
        "CREATE TABLE alembic_version (version_num TEXT); "
        "INSERT INTO alembic_version VALUES ('0001'); "
        "CREATE TABLE sittings (token_hash TEXT PRIMARY KEY)",
    ],
)
def test_a_database_from_before_the_first_release_is_refused(tmp_path, made):
    url = f"sqlite:///{tmp_path}/study.db"
    with closing(sqlite3.connect(tmp_path / "study.db")) as db:
        db.executescript(made)
    for use in (Store, migrate):
        with pytest.raises(InputError, match=r"before the first release.*the commit .* made them"):
            use(url)


@pytest.mark.parametrize("url", ["nonsense", "mysql://a/b", "sqlite:////nowhere/at/all/x.db"])
def test_a_database_that_cannot_be_used_is_the_users_to_mend(url):
    with pytest.raises((InputError, ModuleNotFoundError)) as caught:
        Store(url)
    assert caught.type is InputError


def test_trained_models_are_named_by_folders_that_are_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arm = {"name": "one", "policy": "./policy", "reward": "runtime"}
    with pytest.raises(ValueError, match=r"unknown reward model 'runtime'.*a folder with a reward"):
        ArmConfig.model_validate(arm)
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "reward.json").write_text("{}")
    with pytest.raises(ValueError, match=r"no policy in './policy'.*policy\.json"):
        ArmConfig.model_validate(arm)
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "policy.json").write_text("{}")
    assert ArmConfig.model_validate(arm).policy == "./policy"


@pytest.mark.parametrize(
    ("policy", "welfare", "candidates"),
    [
        ("sft_base", None, 1),
        ("sft_rawlsian", "rawlsian", 16),
        ("few_shot_nash", "bernoulli_nash", 16),
    ],
)
def test_a_policys_name_may_say_how_it_is_picked(policy, welfare, candidates):
    arm = ArmConfig.model_validate({"name": "one", "policy": policy})
    assert (arm.welfare, arm.candidates) == (welfare, candidates)
    (rule,) = ArmConfig.model_validate({"name": "one", "policy": "sft_alpha_2.5"}).draw_rules(3)
    assert rule.alpha == pytest.approx(2.5)
    with pytest.raises(ValueError, match=r"give one of them|expected candidates = 1"):
        ArmConfig.model_validate(
            {"name": "one", "policy": policy, "candidates": 4 if welfare is None else 16}
            | ({"welfare": "utilitarian"} if welfare else {})
        )


# ------------------------------------------------------------------------------ where things lie

TEMPLATE = Path(__file__).parents[2] / "src" / "commonweal" / "policies" / "zero_shot.toml"


def with_own_template(folder, arm=""):
    """A study whose arm writes with a template that lies beside its file."""
    folder.mkdir()
    (folder / "mine.toml").write_text(TEMPLATE.read_text(encoding="utf-8"), encoding="utf-8")
    text = f"""
name = "buses"
title = "Buses"
rounds = {{ count = 1 }}
[[questions]]
text = "Should buses be free?"
[[arms]]
name = "mine"
policy = "./mine.toml"
{arm}
"""
    (folder / "study.toml").write_text(text, encoding="utf-8")
    return folder


def test_paths_lead_from_the_studys_own_folder(tmp_path, monkeypatch):
    folder = with_own_template(tmp_path / "buses", 'model = "embedded:models/x.gguf"')
    (folder / "models").mkdir()
    (folder / "models" / "x.gguf").touch()
    for place in (tmp_path, folder, folder / "models"):
        monkeypatch.chdir(place)
        (arm,) = read_study(folder / "study.toml").arms
        assert arm.policy == str(folder / "mine.toml")
        assert arm.model == f"embedded:{folder / 'models' / 'x.gguf'}"


def test_a_study_is_the_same_wherever_it_lies_and_is_started_from(tmp_path, monkeypatch):
    pytest.importorskip("sqlalchemy", reason="the extra `study` is not installed")
    from commonweal.study.domain import people
    from commonweal.study.storage.folder import open_folder

    folder = with_own_template(tmp_path / "buses")
    opened = open_folder(folder)
    assert str(tmp_path) not in opened.config.to_json()
    with opened.store.transaction(opened.study_id) as tx:
        people.join(tx)
        assert tx.config.arms[0].policy == str(folder / "mine.toml")
    opened.store.close()
    moved = folder.rename(tmp_path / "elsewhere")
    monkeypatch.chdir(moved)
    again = open_folder(moved)
    with again.store.transaction(again.study_id) as tx:
        assert tx.config.arms[0].policy == str(moved / "mine.toml")
    again.store.close()


def test_a_study_with_paths_opens_after_another_model_was_taken_for_an_arm(tmp_path):
    pytest.importorskip("sqlalchemy", reason="the extra `study` is not installed")
    from commonweal.study.domain import people
    from commonweal.study.domain.quick import models_before, use_model
    from commonweal.study.storage.folder import open_folder

    folder = with_own_template(tmp_path / "buses", 'model = "embedded"')
    opened = open_folder(folder)
    with opened.store.transaction(opened.study_id) as tx:
        people.join(tx)
        use_model(tx, "embedded:small", actor="ada", arm="mine")
    opened.store.close()
    again = open_folder(folder)
    with again.store.transaction(again.study_id) as tx:
        (arm,) = tx.config.arms
        assert (arm.model, arm.policy) == ("embedded:small", str(folder / "mine.toml"))
        assert models_before(tx) == ["embedded"]
    again.store.close()
    file = folder / "study.toml"
    file.write_text(file.read_text().replace("Should buses", "Should trains"), encoding="utf-8")
    with pytest.raises(InputError, match="was changed after people joined"):
        open_folder(folder)


def test_what_is_not_there_is_said_with_where_it_was_looked_for(tmp_path):
    folder = with_own_template(tmp_path / "buses", 'reward = "./nowhere"')
    with pytest.raises(InputError, match="nowhere"):
        read_study(folder / "study.toml")


def test_a_set_of_questions_beside_the_files_own_is_said_so(tmp_path):
    from commonweal.study.storage.folder import new_study

    path = new_study(tmp_path / "town")
    text = path.read_text(encoding="utf-8")
    for line in ("[questions]  ", "file = ", "split = "):
        text = text.replace(f"# {line}", line)
    path.write_text(text, encoding="utf-8")
    line = text[: text.index("[questions]")].count("\n") + 1
    with pytest.raises(InputError, match=rf"line {line}: .*take out every \[\[questions\]\]"):
        read_study(path)


def test_a_rehearsal_may_set_a_field_otherwise(tmp_path):
    from commonweal.study.storage.folder import new_study

    path = new_study(tmp_path / "town")
    assert read_study(path, ["rounds.count=1", "group.size=4"]).rounds.count == 1
    with pytest.raises(InputError, match=r"rounds\.cout: unknown field; did you mean 'count'"):
        read_study(path, ["rounds.cout=1"])


@pytest.mark.parametrize(
    ("rounds", "arms", "n", "said"),
    [
        ({"count": 1}, [{"name": "a"}, {"name": "b", "shown": 2}], 3, "In 1 round a person rates"),
        ({"count": 2}, [{"name": "a"}, {"name": "b", "shown": 2}], 6, ""),
        ({"count": 1}, [{"name": "a"}, {"name": "o", "plan": "opinions"}], 4, ""),
        ({"count": 1}, [{"name": "c", "plan": "collection", "candidates": 48}], 6, ""),
        ({"count": 4, "passes": 1}, [{"name": "a"}], 0, "rated once"),
    ],
)
def test_a_study_that_cannot_tell_how_steady_people_are_is_said_to_be_one(
    rounds, arms, n, said, capsys
):
    study = small_study(rounds={"passes": 2} | rounds, arms=arms)
    assert study.n_rated_twice == n
    say_where_nobody_repeats(study)
    told = capsys.readouterr().out
    assert said in told
    assert bool(told) == bool(said)
