# ---
# jupyter:
#   jupytext: {formats: "py:percent"}
#   kernelspec: {name: python3, display_name: Python 3}
# ---

# %% [markdown]
# # From public choices to a reward model, and how good it is
#
# People wrote an opinion and chose between two statements. A small network learns from their
# choices, and is then asked about people and questions that it has not seen. It needs
# `pip install "commonweal[train]"` and `commonweal models pull all-minilm-l6-v2`.
#
# Set `CHOICES` to a folder with `pairs.jsonl` and `statements.jsonl`, as the public deliberation
# pairs (arXiv 2510.05154) have them. **Without it, `examples/graded_groups` is used, which a
# language model wrote and graded: the figures then say nothing about people.**

# %%
import os
from pathlib import Path

import polars as pl

from commonweal.datasets.dataset import write_dataset
from commonweal.datasets.importers.deliberation_pairs import import_deliberation_pairs
from commonweal.datasets.importers.graded import import_graded
from commonweal.datasets.splits import split_by_share
from commonweal.models import store
from commonweal.rewards import REWARD_WEIGHTS, load_reward_model
from commonweal.rewards.baselines import CosineRewardModel
from commonweal.rewards.measurement_plot import plot_measurement
from commonweal.rewards.measuring import measure
from commonweal.showing import Plot
from commonweal.training.config import RewardConfig
from commonweal.training.reward.run import run_reward

folder = os.environ.get("CHOICES", "")
if folder:
    choices = import_deliberation_pairs(Path(folder), name="choices", balanced=True)
else:
    choices = import_graded(Path("examples/graded_groups/development.jsonl"), name="graded")
choices

# %% [markdown]
# Whole questions are kept for the test. `balanced` keeps as many people who chose the first
# statement as chose the second, because its place alone makes the first one popular.

# %%
split = split_by_share(choices, iid_test=0.3, seed=0)
write_dataset(split, Path("choices"), overwrite=True)
split.rounds.select("question", "split")

# %% [markdown]
# Training. More steps take longer and learn more: 60 are for trying it out.

# %%
n_steps = 200 if folder else 60
config = RewardConfig.model_validate(
    {
        "name": "mine",
        "out": "reward",
        "data": {"datasets": ["choices"], "max_development_comparisons": 400 if folder else 50},
        "model": {"backbone": "all-minilm-l6-v2", "max_tokens": 512 if folder else 64},
        "training": {"max_steps": n_steps, "eval_steps": n_steps // 2, "learning_rate": 1e-4},
    }
)
for line in run_reward(config, overwrite=True):
    print(line)

# %% [markdown]
# What it has to beat: the cosine of opinion and statement, and the reward model that ships.
# `chosen` is how often what a person preferred gets the higher reward; a guess gets 0.5. With
# another person's opinion, a model can know no more than which statements are popular. So `gain`
# is what reading the opinion adds.

# %%
test = split.of_split("iid_test")
models = [
    CosineRewardModel(store.require(REWARD_WEIGHTS)),
    load_reward_model("first"),
    load_reward_model("reward/runtime"),
]
measured = [measure(model, test, max_people=200) for model in models]
rows = []
for one in measured:
    own, gain = one.own.comparisons, one.swapped_drop.comparisons
    rows.append(
        {"model": one.model, "n": own.n_comparisons, "chosen": own.value}
        | {"low": own.low, "high": own.high, "another's opinion": one.swapped.comparisons.value}
        | {"gain": gain.value, "gain low": gain.low, "gain high": gain.high}
    )
table = pl.DataFrame(rows)
table

# %% [markdown]
# The same model as a picture, with its calibration beside it.

# %%
plot = Plot(plot_measurement(measured[-1]), f"{measured[-1].model}: {measured[-1].whose}")
plot.save("choices.svg")
plot
