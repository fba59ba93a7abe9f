"""Config files of training runs: read whole, refused with the field's name, described once."""

from __future__ import annotations

from pathlib import Path

import pytest

from commonweal.errors import InputError
from commonweal.training.config import RewardConfig, SftConfig, described, published, read_config
from commonweal.training.loop.plan import IteratePlan

GOOD = """
name = "mine"
out = "runs/mine"
[data]
datasets = ["polis", "/abs"]
"""


def read(tmp_path: Path, text: str) -> RewardConfig:
    path = tmp_path / "c.toml"
    path.write_text(text, encoding="utf-8")
    return read_config(path, RewardConfig)


def test_paths_lead_from_the_config(tmp_path):
    config = read(tmp_path, GOOD)
    assert config.out == tmp_path / "runs" / "mine"
    assert config.data.datasets == (tmp_path / "polis", Path("/abs"))


def test_a_policys_prompt_and_start_lead_from_the_config_too(tmp_path):
    path = tmp_path / "c.toml"

    def model(template, start, base="owner/network"):
        path.write_text(
            f'name = "a"\nout = "b"\n[data]\n[model]\nbase = "{base}"\n'
            f'template = "{template}"\nstart = "{start}"\n',
            encoding="utf-8",
        )
        found = read_config(path, SftConfig).model
        return found.template, found.start, found.base

    rooted = (str(tmp_path / "mine.toml"), str(tmp_path / "runs/a/policy"), "owner/network")
    assert model("mine.toml", "runs/a/policy") == rooted
    assert model("./mine.toml", "./runs/a/policy") == rooted
    assert model("sft", "sft") == ("sft", "sft", "owner/network")
    assert model("/abs/mine.toml", "/abs/policy") == (
        "/abs/mine.toml",
        "/abs/policy",
        "owner/network",
    )


def test_the_papers_number_of_steps_is_the_default(tmp_path):
    assert read(tmp_path, GOOD).training.max_steps == 1500  # paper 3.4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "field 'name' is missing"),
        ("name = ", "line 1, column 7: not valid TOML: a value is missing"),
        (GOOD + "dataset = 1", "unknown field 'data.dataset'; did you mean 'data.datasets'"),
        (GOOD.replace("datasets", "dataset"), "unknown field 'data.dataset'; did you mean"),
        (GOOD + "[training]\nlearning_rat = 1.0", "did you mean 'training.learning_rate'"),
        (GOOD + "[training]\nmax_steps = 0", "field 'training.max_steps' is 0: .*greater than or"),
        (GOOD + "[training]\nprecision = 'int4'", "field 'training.precision' is 'int4'"),
        (GOOD.replace('"mine"', '"my run"'), "field 'name' is 'my run'"),
        (GOOD.replace('["polis", "/abs"]', "[]"), r"field 'data.datasets' is \[\]"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, expected):
    with pytest.raises(InputError, match=expected):
        read(tmp_path, text)


def test_what_is_wrong_with_several_fields_together_is_one_sentence(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text('name = "a"\nout = "b"\n[people]\nkind = "study"\n', encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_config(path, IteratePlan)
    assert str(caught.value) == (
        f"{path}: people.exports names 0 folders; expected one for each of the 2 iterations: where "
        "its export will lie"
    )


def test_what_is_shared_says_nothing_of_where_things_lay(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text(
        'name = "a"\nout = "b"\n[data]\ndatasets = ["d"]\nexamples = ["e.toml"]\n'
        'question_split = "q.csv"\n[model]\nbase = "./base"\ntemplate = "mine.toml"\n'
        'start = "runs/policy"\n',
        encoding="utf-8",
    )
    told = published(read_config(path, SftConfig))
    assert str(tmp_path) not in str(told)
    assert told["data"]["question_split"] == "q.csv"
    model = told["model"]
    assert (model["base"], model["template"], model["start"]) == ("base", "mine.toml", "policy")
    assert not {"datasets", "examples"} & told["data"].keys()
    path.write_text(GOOD, encoding="utf-8")
    reward = read_config(path, RewardConfig)
    assert published(reward)["model"] == reward.model.model_dump()


def test_no_file_is_named(tmp_path):
    with pytest.raises(InputError, match="expected a training config as"):
        read_config(tmp_path / "none.toml", RewardConfig)


def test_every_field_is_described():
    rows = described(RewardConfig)
    assert all(description for name, _, description in rows if name not in {"name", "out"})
    assert len({name for name, _, _ in rows}) == len(rows) > 20
