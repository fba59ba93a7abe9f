# ---
# jupyter:
#   jupytext: {formats: "py:percent"}
#   kernelspec: {name: python3, display_name: Python 3}
# ---

# %% [markdown]
# # From a study's export to the paper's section 4
#
# `examples/study` is what `commonweal study export` writes; put your own folder in its place.
# **It is simulated: nobody rated anything, and no model wrote.** It needs
# `pip install "commonweal[app]"` and no model.

# %%
from pathlib import Path

import polars as pl

from commonweal.datasets.dataset import read_dataset
from commonweal.evaluation.evaluate import evaluate
from commonweal.evaluation.page import write_page

dataset = read_dataset(Path("examples/study"))
dataset

# %% [markdown]
# How the ratings are spread, by policy (the paper's figure 3 in one picture):

# %%
dataset.plot()

# %% [markdown]
# Every figure of section 4 that the rounds allow. Intervals resample groups.

# %%
evaluation = evaluate(dataset, n_resamples=2000, seed=0)
evaluation

# %%
evaluation.plot("win_rates")

# %% [markdown]
# Figures are rows: pick, sort, export. Where a figure cannot be computed, `unavailable` says why.

# %%
figures = evaluation.to_frame()
won = figures.filter(pl.col("key").str.starts_with("win_rate/mean/all/"))
print(won.select("title", "value", "low", "high", "n"))
why = figures.filter(pl.col("value").is_null()).select("title", "unavailable")
print(f"{len(figures) - len(why)} figures; {len(why)} could not be computed, for example:")
print(why.head(3))

# %% [markdown]
# The whole section as a page, with a sentence, an interval and a plot for each figure:

# %%
page = Path("evaluation.html")
write_page(evaluation, page)
print(f"open {page}")
