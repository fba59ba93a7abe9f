"""Config files to start from: they can be read as they are, and every field stands in them."""

from __future__ import annotations

import re

import pytest

from commonweal.errors import InputError
from commonweal.training.config import RewardConfig, SftConfig, described, read_config
from commonweal.training.loop.plan import IteratePlan
from commonweal.training.starters import write_starter

KINDS = {
    "sft": SftConfig,
    "reward": RewardConfig,
    "iterate latent": IteratePlan,
    "iterate study": IteratePlan,
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_starter_is_read_and_uncommented_changes_nothing(tmp_path, kind):
    file = tmp_path / "mine.toml"
    write_starter(file, kind)
    made = read_config(file, KINDS[kind])
    assert made.name == "mine"
    text = file.read_text(encoding="utf-8")
    every = [name for name, _, _ in described(KINDS[kind])]
    assert len(re.findall(r"(?m)^#?[a-z_]+ =", text)) == len(every)
    uncommented = re.sub(r"(?m)^#([a-z_]+ = .+)$", r"\1", text)
    (tmp_path / "whole.toml").write_text(uncommented, encoding="utf-8")
    assert read_config(tmp_path / "whole.toml", KINDS[kind]) == made


def test_a_starter_overwrites_nothing(tmp_path):
    (tmp_path / "mine.toml").write_text("years of work")
    with pytest.raises(InputError, match="already exists"):
        write_starter(tmp_path / "mine.toml", "sft")
    with pytest.raises(InputError, match=r"ends in \.toml"):
        write_starter(tmp_path / "mine", "sft")


def test_set_stands_in_the_place_of_the_files_value(tmp_path):
    file = tmp_path / "mine.toml"
    write_starter(file, "sft")
    made = read_config(file, SftConfig, ["training.max_steps=20", "out=there"])
    assert (made.training.max_steps, made.out) == (20, tmp_path / "there")
    with pytest.raises(InputError, match=r"training.max_step.*did you mean 'training.max_steps'"):
        read_config(file, SftConfig, ["training.max_step=20"])
