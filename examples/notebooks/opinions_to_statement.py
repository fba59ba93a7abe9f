# ---
# jupyter:
#   jupytext: {formats: "py:percent"}
#   kernelspec: {name: python3, display_name: Python 3}
# ---

# %% [markdown]
# # From opinions to a statement
#
# Open this file in Jupyter with jupytext, or in an editor that knows `# %%`. It needs
# `pip install "commonweal[app]"` and
# `commonweal models pull smollm2-135m-instruct all-minilm-l6-v2`.
# The small model is quick and writes badly. Leave `model=` out for the better one.

# %%
from pathlib import Path

from commonweal import find_agreement, read_group, write_report

group = read_group("examples/groups/bus-fares.toml")
result = find_agreement(
    group.question, group.opinions, model="embedded:small", n_candidates=4, seed=1
)
result

# %% [markdown]
# The plot has a mark for each person and candidate: what the reward model expects of that person.
# The diamond is the group's welfare. Nobody has voted.

# %%
plot = result.plot()
plot

# %% [markdown]
# The same as a table. `to_frame("pandas")` gives a pandas frame.

# %%
frame = result.to_frame()
frame.sort("expected_rating").head(8)

# %% [markdown]
# Another rule picks from the same candidates; nothing is written anew.

# %%
for rule in ("utilitarian", "bernoulli_nash", "rawlsian"):
    other = result.under(rule)
    print(f"{rule:15} {other.closest.id if other.closest else 'none'}")

# %% [markdown]
# A page to show:

# %%
page = Path("bus-fares.html")
write_report(result, page)
print(f"open {page}")
