"""TRL's RewardTrainer, with crossed comparisons beside those within a person.

Within a person (paper 3.3): the cross-entropy of what a person preferred against what they did not.
A model can do well there by knowing which statements are popular. Crossed: A preferred 1 to 2 and B
preferred 2 to 1, so score(A,1) - score(A,2) - score(B,1) + score(B,2) should be above 0. That is
the sum of the two people's differences, and popularity cancels: only the opinion can help.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional
from trl import RewardTrainer
from trl.trainer.reward_trainer import DataCollatorForPreference

from commonweal.errors import TrainingError
from commonweal.measures.accuracy import is_right

COLUMNS = (
    *("chosen_ids", "rejected_ids", "other_chosen_ids", "other_rejected_ids"),
    *("margin", "other_margin", "row"),
)
"""A row is one person's comparison, and, where there is one, another person's opposite comparison
of the same two statements; a margin is how far apart the two were rated, as a share of the scale;
``row`` is the row's number in the training data."""


class CrossedCollator:
    """Puts rows into one padded batch: all chosen texts, then all rejected ones.

    The opposite comparisons follow the first ones in each half, so that TRL's own halves stay
    right.
    """

    def __init__(self, pad_token_id: int) -> None:
        self._pad = DataCollatorForPreference(pad_token_id=pad_token_id)

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Returns input_ids, attention_mask, ``margin`` (of each pair), ``other`` (for each row
        the place of its opposite comparison, or -1) and ``row``.
        """
        pairs = [
            {
                "chosen_ids": row["chosen_ids"],
                "rejected_ids": row["rejected_ids"],
                "margin": row["margin"],
            }
            for row in rows
        ]
        other: list[int] = []
        for row in rows:
            if row["other_chosen_ids"]:
                other.append(len(pairs))
                pairs.append(
                    {
                        "chosen_ids": row["other_chosen_ids"],
                        "rejected_ids": row["other_rejected_ids"],
                        "margin": row["other_margin"],
                    }
                )
            else:
                other.append(-1)
        batch: dict[str, Any] = self._pad(pairs)
        return {
            **batch,
            "other": torch.tensor(other),
            "row": torch.tensor([row["row"] for row in rows]),
        }


class CrossedRewardTrainer(RewardTrainer):  # type: ignore[misc]
    """Trains on the cross-entropy within people plus ``crossed_weight`` times the crossed one.

    Within people, what was rated higher should be ahead by ``margin`` times how far the ratings lie
    apart, as a share of the scale (TRL's margin: ordinal targets).

    ``centre`` times the mean square of the sum of a pair's rewards keeps them near zero, as TRL's
    ``center_rewards_coefficient`` does. TRL's own loss is not called: it gathers rewards of all
    processes, which here have batches of different sizes.
    """

    def __init__(
        self, *args: Any, crossed_weight: float, margin: float, centre: float, **kwargs: Any
    ) -> None:
        self._crossed_weight, self._margin, self._centre = crossed_weight, margin, centre
        super().__init__(*args, **kwargs)

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = list(COLUMNS)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,  # noqa: ARG002 (the trainer hands it over by name)
    ) -> Any:
        """The loss of one batch, checked to be a number.

        Raises:
            TrainingError: it is not finite; the message names the rows.
        """
        other, row, margin = (inputs.pop(name) for name in ("other", "row", "margin"))
        outputs = model(**inputs)
        chosen, rejected = torch.chunk(outputs.logits.squeeze(-1), 2)
        differences = chosen - rejected
        has_other = other >= 0
        crossed = differences[: len(other)][has_other] + differences[other[has_other]]
        squares = (chosen + rejected) ** 2
        n, n_crossed = self._counted(differences.detach(), crossed.detach())
        ahead = differences - self._margin * margin
        loss = (self._centre * squares - functional.logsigmoid(ahead)).sum() / n
        if n_crossed:
            loss = loss - self._crossed_weight * functional.logsigmoid(crossed).sum() / n_crossed
        if not math.isfinite(loss.item()):
            training = self.model.training
            where = "comparisons.parquet in the run's folder" if training else "what is kept back"
            raise TrainingError(
                f"the loss is {loss.item()} at step {self.state.global_step}, on rows "
                f"{', '.join(map(str, row.tolist()))} of {where}; "
                "try a lower learning_rate, float32, or take these rows out"
            )
        return (loss, outputs) if return_outputs else loss

    def _counted(self, differences: Any, crossed: Any) -> tuple[float, float]:
        """Comparisons and crossed ones for each process, on average; keeps what is logged.

        The logged accuracies are of this batch's comparisons, each counted once: a curve to watch.
        ``commonweal reward measure`` weighs people alike.

        Processes average their losses and have batches of different sizes: each divides by the
        mean size, so that the average is that of one process with all the rows.
        """
        counts = torch.stack(
            [
                _n_right(differences),
                differences.sum(),
                differences.new_tensor(len(differences)),
                _n_right(crossed),
                differences.new_tensor(len(crossed)),
            ]
        )
        right, margin, n, crossed_right, n_crossed = self.accelerator.reduce(counts, "sum").tolist()
        metrics = self._metrics["train" if self.model.training else "eval"]
        metrics["accuracy"].append(right / n)
        metrics["margin"].append(margin / n)
        if n_crossed:
            metrics["crossed_accuracy"].append(crossed_right / n_crossed)
        n_processes = self.accelerator.num_processes
        return n / n_processes, n_crossed / n_processes


def _n_right(differences: Any) -> Any:
    """How many of these comparisons are right, as ``measures.accuracy`` has it; a tensor."""
    return differences.new_tensor(is_right(differences.double().cpu().numpy()).sum())
