"""The model card, written from measured figures so that it cannot say anything else."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import votes
from measure import Measured

from commonweal.rewards import FirstRewardModel
from commonweal.rewards.accuracy import Accuracy

MEAN_OF_POLIS = "Polis: mean of the {n} conversations"


def table(rows: Sequence[Measured]) -> str:
    """The figures as a Markdown table, a line a data set and scorer."""
    lines = [
        "| held-out data | scorer | crossed accuracy | within-person accuracy | n |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        n = (
            f"{row.crossed.n_clusters} / {row.within.n_clusters} clusters, "
            f"{row.crossed.n_comparisons:,} / {row.within.n_comparisons:,} comparisons"
        )
        lines.append(
            f"| {row.data} | {row.scorer} | {_figure(row.crossed)} | {_figure(row.within)} | {n} |"
        )
    polis = [row for row in rows if row.data.startswith("Polis: ")]
    for scorer in dict.fromkeys(row.scorer for row in polis):
        own = [row for row in polis if row.scorer == scorer]
        crossed, within = (
            float(np.mean([getattr(row, kind).value for row in own]))
            for kind in ("crossed", "within")
        )
        name = MEAN_OF_POLIS.format(n=len(own))
        lines.append(f"| {name} | {scorer} | {crossed:.3f} | {within:.3f} | |")
    return "\n".join(lines)


def _figure(accuracy: Accuracy) -> str:
    return f"{accuracy.value:.3f} ({accuracy.low:.3f} to {accuracy.high:.3f})"


def verdict(rows: Sequence[Measured]) -> str:
    """In words, where the opinion demonstrably helped, and where the plain cosine does as well."""
    own = [row for row in rows if row.scorer == "first"]
    polis = [row for row in own if row.data.startswith("Polis: ")]
    above = sum(row.crossed.low > 0.5 for row in polis)
    below = sum(row.crossed.high < 0.5 for row in polis)
    mean = np.mean([row.crossed.value for row in polis])
    words = [
        "**How good it is.** On real votes the opinion helps little: mean crossed accuracy "
        f"{mean:.3f}, where a guess gets 0.500. In {above} of {len(polis)} held-out conversations "
        f"the whole 95% interval lies above 0.5, in {below} below it, and in "
        f"{len(polis) - above - below} it includes 0.5. **Do not trust a prediction about one "
        "person.**"
    ]
    for row in own:
        if row in polis:
            continue
        cosine = next(r for r in rows if r.data == row.data and r.scorer.startswith("cosine"))
        better = row.crossed.low > cosine.crossed.high
        words.append(
            f"{row.data}: {_figure(row.crossed)} crossed, and the cosine of the frozen encoder "
            f"{_figure(cosine.crossed)}"
            + ("." if better else ", so fine-tuning has not been shown to help there.")
        )
    return " ".join(words)


def _wrapped(line: str) -> str:
    """The line in at most 100 columns; tables stay whole."""
    if line.startswith("|"):
        return line
    indent = "  " if line.startswith(("- ", "  ")) else ""
    return textwrap.fill(line, 100, subsequent_indent=indent, break_on_hyphens=False)


def write(path: Path, rows: Sequence[Measured], model: FirstRewardModel) -> None:
    """Writes the card to ``path``."""
    calibration = model.calibration
    text = TEMPLATE.format(
        verdict=verdict(rows),
        table=table(rows),
        train=", ".join(votes.TRAIN),
        tune=", ".join(votes.TUNE),
        test=", ".join(votes.TEST),
        settings=json.dumps(model.metadata["settings"]),
        seed=model.metadata["settings"]["seed"],
        slope=calibration.slope,
        intercept=calibration.intercept,
        fitted_to=calibration.fitted_to,
        weights_hash=model.weights_hash,
    )
    lines = [_wrapped(line) for line in text.splitlines()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


TEMPLATE = """\
# The reward model `first`

Written by `recipes/first_reward/train.py` from what it measured. Do not edit: run it again.

## What it is
It guesses from what one person wrote how far that person would agree with a statement. Two texts
become two vectors (all-MiniLM-L6-v2, fine-tuned by low-rank updates); a small head compares them
and adds how welcome the statement would be to anybody. It runs without torch. It is a first model,
there so that everything around it can work. A trained one takes its place behind the same protocol.

{verdict}

## Figures
*Crossed accuracy*: two people, two statements; A agreed with the first and not with the second, B
the reverse. Is score(A,1) - score(A,2) - score(B,1) + score(B,2) above 0? Popular statements and
lenient people cancel: a model that ignores the opinion gets exactly 0.5. *Within-person accuracy*:
does what a person agreed with score above what they disagreed with? (Popularity alone does well
here.) In brackets 95% bootstrap intervals that resample people (Polis), topics (debate questions)
or pairs (hand-written); n is given for crossed / within-person.

{table}

Read these figures knowing:
- The debate questions' opinions and statements are **made by rule** from affirming and negating
  sentences. Topics and frames were held out, but the reasons that fill the frames were not. The
  figure says that the model tells *for* from *against* in such sentences, not that it
  understands people.
- The hand-written pairs were written for this project by those who made the model, and are few.
- A statement in Polis is a comment by another participant, shorter and blunter than a policy's
  candidate. How good the model is on real candidates has not been measured.

## How it was made
- Fitted on the Polis conversations {train} (a person's opinion is the comments that they wrote and
  voted for themselves; the targets are their votes on other people's comments) and on the `train`
  split of the debate questions, as opposite opinions and statements in frames written for this
  project.
- Objective: cross-entropy of within-person comparisons (paper 3.3) plus of crossed ones.
- Choices (whether the question is read, learning rates, weights, number of steps) were made on
  {tune}, the debate questions' `iid_test` split and `tuning_pairs.toml`. The
  test data above were not looked at for any choice: {test}, `ood_test`, `natural_pairs.toml`. \
(The frozen cosine had been computed on
  all nine conversations before they were divided.)
- Seed {seed}; settings `{settings}`. Run it again on another machine and the figures move in the
  last digits (bfloat16 sums).
- Baselines: the same score for everybody; ridge regression of a statement's mean vote on its frozen
  vector (no opinion); the cosine of opinion and statement in the frozen encoder.

## Calibration
Expected rating = 1 + 6 · sigmoid({slope:.4f} · reward {intercept:+.4f}). Fitted to {fitted_to}.
**Votes are not 7-point ratings.** That disagree, pass and agree count as 2, 4 and 6 is a convention
(docs/decisions/001), so "4.8 of 7" is a place on that convention and not a forecast of a form.

## What it cannot do
- Know what a person thinks of anything that they did not write about.
- Recognise that somebody takes no side: "I don't mind" is not read as neutral.
- Follow an argument, a condition ("only if ..."), irony, or numbers: nothing taught it to.
- Read the question: an opinion that makes sense only with it ("Only on Sundays") says little.
- Read other languages than English: all that it was fitted to is English.
- Judge quality, truth or harm. It may prefer a statement because of its words.
- Prove a selection good. It chose the statement, so **its own score never shows that the choice was
  right**; only people's ratings, or an independent measure, can.
- Speak for anybody. A prediction is not a vote, and whether minorities are misread more
  than others has not been measured.

## Data and licences
- Polis conversations: The Computational Democracy Project, `compdemocracy/openData`. Data was
  gathered using the Polis software (compdemocracy.org/polis) and is sub-licensed under CC BY 4.0
  with Attribution to The Computational Democracy Project.
- Debate questions: `google-deepmind/habermas_machine`, CC BY 4.0.
- Encoder: sentence-transformers/all-MiniLM-L6-v2 (Reimers & Gurevych 2019), Apache-2.0.
- Frames, reasons and hand-written pairs: written for commonweal, under its licence.
No data is in the package. The participants of the Polis conversations did not consent to this use
in particular; the licence allows it. The head holds numbers only, no text of theirs.

Weights hash `{weights_hash}`.
"""
