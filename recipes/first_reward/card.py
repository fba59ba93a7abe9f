"""Writes the card of the shipped model ``first`` and its plot again, without fitting it again.

python recipes/first_reward/card.py --data ../shared/data
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import measure

from commonweal.files import write_whole
from commonweal.rewards import FirstRewardModel
from commonweal.rewards.card import CardText, write_card
from commonweal.rewards.first import HEAD_PATH
from commonweal.rewards.measurement_plot import plot_measurement
from commonweal.rewards.measuring import Measurement


def card_text(model: FirstRewardModel) -> CardText:
    """What the card says besides figures."""
    settings = model.metadata["settings"]
    return CardText(
        written_by="recipes/first_reward/train.py",
        what_it_is=(
            "From what one person wrote, it guesses how far that person would agree with a "
            "statement. An encoder (all-MiniLM-L6-v2, fine-tuned with a LoRA adapter) turns the "
            "two texts into two vectors. A small head compares them and adds how welcome the "
            "statement would be to anybody. It runs without torch. It is a first model, made so "
            "that everything around it can work. A trained one takes its place behind the same "
            "protocol."
        ),
        knowing=(
            "The debate questions' opinions and statements are **made by rule** from affirming and "
            "negating sentences. Topics and frames were held out, but the reasons that fill the "
            "frames were not. The figure says that the model tells *for* from *against* in such "
            "sentences, not that it understands people.",
            "The hand-written pairs are few, and were written for this project by those who made "
            "the model.",
            "A statement in Polis is a comment by another participant, shorter and blunter than a "
            "policy's candidate. How good the model is on real candidates has not been measured.",
        ),
        how_made=(
            f"Fitted on the Polis conversations {', '.join(measure.TRAIN)} and on the `train` "
            "split of the debate questions. In Polis, a person's opinion is the comments that they "
            "wrote and voted for themselves, and the targets are their votes on other people's "
            "comments. The debate questions became opposite opinions and statements, in frames "
            "written for this project.",
            "Objective: cross-entropy of within-person comparisons (paper 3.3) plus that of "
            "crossed ones.",
            "Choices (whether the question is read, learning rates, weights, number of steps) were "
            f"made on {', '.join(measure.TUNE)}, the debate questions' `iid_test` split and "
            "`tuning_pairs.toml`. The test data above were not looked at for any choice: "
            f"{', '.join(measure.TEST)}, `ood_test`, `natural_pairs.toml`. (The frozen cosine had "
            "been computed on all nine conversations before they were divided.)",
            f"Seed {settings['seed']}; settings `{json.dumps(settings)}`. On another machine, a "
            "new run gives figures that differ in the last digits (bfloat16 sums).",
            "Baselines: the same score for everybody; ridge regression of a statement's mean vote "
            "on its frozen vector (no opinion); the cosine of opinion and statement in the frozen "
            "encoder. The last two are calibrated on the conversations that the model was fitted "
            "on.",
        ),
        cannot=(
            'Recognise that somebody takes no side: "I don\'t mind" is not read as neutral.',
            'Follow an argument, a condition ("only if ..."), irony, or numbers: nothing taught it '
            "to.",
            'Read the question: an opinion that makes sense only with it ("Only on Sundays") says '
            "little.",
            "Read languages other than English: it was fitted to English only.",
        ),
        licences=(
            "Polis conversations: The Computational Democracy Project, `compdemocracy/openData`. "
            "Data was gathered using the Polis software (compdemocracy.org/polis) and is "
            "sub-licensed under CC BY 4.0 with Attribution to The Computational Democracy Project.",
            "Debate questions: `google-deepmind/habermas_machine`, CC BY 4.0.",
            "Encoder: sentence-transformers/all-MiniLM-L6-v2 (Reimers & Gurevych 2019), "
            "Apache-2.0.",
            "Frames, reasons and hand-written pairs: written for commonweal, under its licence.",
            "No data is in the package. The participants of the Polis conversations did not "
            "consent to this use in particular; the licence allows it. The head holds numbers "
            "only, no text of theirs.",
        ),
    )


def write(path: Path, measured: Sequence[Measurement], model: FirstRewardModel) -> None:
    """Writes the card to ``path``."""
    write_card(path, model, measured, card_text(model))


def show(measured: Sequence[Measurement]) -> None:
    """Prints crossed and within-person accuracy, a line a data set and model."""
    for one in measured:
        print(
            f"{one.data:60.60} {one.model:32} crossed {one.own.crossed.value:.3f}  "
            f"within person {one.own.within_person.value:.3f}"
        )


def main() -> None:
    """Measures the shipped model and writes its card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of public data")
    parser.add_argument("--encoder", type=Path, help="all-MiniLM-L6-v2; default: the pulled one")
    parser.add_argument("--out", type=Path, default=HEAD_PATH.with_name("first_card.md"))
    plot = Path(__file__).parents[2] / "docs" / "first_reward.svg"
    parser.add_argument("--plot", type=Path, default=plot)
    args = parser.parse_args()
    folder = args.encoder
    if folder is None:
        from commonweal.models import store

        folder = store.require("all-minilm-l6-v2")
    model = FirstRewardModel(folder)
    models = [*measure.baselines(args.data, folder), model]
    measured = measure.measure_all(measure.held_out(args.data), models)
    write(args.out, measured, model)
    of_the_mean = [each for each in measured if each.data.startswith(measure.MEAN)]
    write_whole(args.plot, plot_measurement(of_the_mean[-1]))
    print(f"Wrote {args.out} and {args.plot}")


if __name__ == "__main__":
    main()
