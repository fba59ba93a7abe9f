"""From a trained network to a folder that runs without torch, compared with the network itself."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from commonweal.errors import InputError, TrainingError
from commonweal.files import replaced_folder, sha256_of
from commonweal.rewards.calibration import LogisticCalibration
from commonweal.rewards.exported import FILES, Description, ExportedRewardModel, check_export_folder
from commonweal.rewards.pair_text import PairText
from commonweal.rewards.scoring import MAX_PEOPLE, SEED, fit_calibration, rated_rounds, rng_of
from commonweal.types import RewardInput

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset
    from commonweal.types import FloatArray

_N_COMPARED = 300
MIN_ORDER_AGREEMENT = 0.99
"""Of pairs of inputs, the share that export and network must put in the same order."""

_TOKENIZERS = ("tokenizer.json", "vocab.*", "*.model")
_LEAST_KNOWN = 0.5
"""Of a network's tokens; most have some to spare, which no text has."""

Weights = Literal["int8", "float16", "float32"]
_BITS: dict[Weights, int] = {"int8": 8, "float16": 16, "float32": 32}
_UNCALIBRATED = LogisticCalibration(1.0, 0.0, "nothing: not calibrated yet")


@dataclass(frozen=True, slots=True)
class Export:
    """What came of an export.

    Attributes:
        model: ready to score.
        order_agreement: share of pairs of inputs in the same order as the network has them.
        largest_difference: between two rewards of the same input.
        n_inputs: that were compared.
        n_bytes: of the folder.
        weights: how they are stored.
    """

    model: ExportedRewardModel
    weights: Weights
    order_agreement: float
    largest_difference: float
    n_inputs: int
    n_bytes: int

    @property
    def in_words(self) -> str:
        """Its size, and how like the network it is."""
        return (
            f"{_BITS[self.weights]} bits a weight, {self.n_bytes / 1e6:.1f} MB, the same order as "
            f"the network for {self.order_agreement:.2%} of pairs of {self.n_inputs} inputs"
        )


def export_smallest(network_folder: Path, folder: Path, **options: Any) -> Export:
    """The smallest export that orders inputs as the network does: int8, else float16, else float32.

    A network that tells inputs apart by little, because it learned little, needs the larger ones.

    Args:
        network_folder: as for ``export_reward_model``; likewise the others.
        folder: where the export goes.
        **options: all others but ``weights``.

    Raises:
        TrainingError: not even float32 orders them the same.
    """
    smaller: tuple[Weights, ...] = ("int8", "float16")
    for weights in smaller:
        try:
            return export_reward_model(network_folder, folder, weights=weights, **options)
        except TrainingError:
            continue
    return export_reward_model(network_folder, folder, weights="float32", **options)


def export_reward_model(
    network_folder: Path,
    folder: Path,
    *,
    name: str,
    pair_text: PairText,
    compare_on: Sequence[RewardInput],
    weights: Weights = "int8",
    eos: bool = False,
    metadata: dict[str, Any] | None = None,
) -> Export:
    """Writes the network as OpenVINO's files and checks that it still orders inputs the same.

    Args:
        network_folder: what ``fit_reward_model`` left, or any sequence classifier with one output.
        folder: where the export goes; an export that is there is replaced.
        name: the model's.
        pair_text: what it reads.
        compare_on: at least two inputs that both score.
        weights: how the network's weights are stored; ``int8`` is a quarter of float32.
        eos: as for ``TorchScorer``.
        metadata: kept in the export.

    Raises:
        InputError: fewer than two different inputs to compare on, a network that is none
            (``TorchScorer``), or a folder that is no export.
        TrainingError: the export orders more than one in a hundred pairs differently; what was in
            the folder is unchanged.
    """
    check_export_folder(folder, overwrite=True, inputs={"network": network_folder})
    if len(set(compare_on)) < 2:
        raise InputError("an export is compared with its network on at least 2 different inputs")
    scorer = TorchScorer(network_folder, pair_text, eos=eos)
    inputs = list(dict.fromkeys(compare_on))
    with replaced_folder(folder) as new:
        new.mkdir()
        _write_network(scorer.network, new, weights)
        scorer.tokenizer.save(str(new / "tokenizer.json"))
        Description(
            name=name,
            pair_text=scorer.pair_text,
            pad_token_id=scorer.pad_token_id,
            calibration=_UNCALIBRATED,
            sha256={file: sha256_of(new / file) for file in FILES},
            metadata=metadata or {},
        ).write(new)
        theirs, ours = scorer.rewards(inputs), ExportedRewardModel(new).rewards(inputs)
        agreement = order_agreement(theirs, ours)
        if agreement < MIN_ORDER_AGREEMENT:
            raise TrainingError(
                f"the {weights} export orders {agreement:.1%} of the pairs of {len(inputs)} inputs "
                f"as the network does, expected at least {MIN_ORDER_AGREEMENT:.0%}; store larger "
                "weights"
            )
    return Export(
        ExportedRewardModel(folder),
        weights,
        agreement,
        float(np.abs(theirs - ours).max()),
        len(inputs),
        sum(path.stat().st_size for path in folder.iterdir()),
    )


def export_trained(
    network_folder: Path,
    dataset: Dataset,
    folder: Path,
    *,
    name: str,
    pair_text: PairText,
    eos: bool = True,
) -> Export:
    """A reward model that was trained elsewhere, ready for ``--reward-model``.

    A bare network has no calibration, without which its rewards are no ratings: it is fitted to the
    dataset's ratings, each person of a round counting the same. Those should be by people, on
    questions, that it was not trained on.

    Args:
        network_folder: what TRL's ``RewardTrainer`` saved, whole or as PEFT's adapter.
        dataset: ratings to calibrate on, by people who have an opinion.
        folder: where the export goes; an export that is there is replaced once all went well.
        name: the model's.
        pair_text: what it was trained to read.
        eos: as for ``TorchScorer``: TRL's trainer ends every text so.

    Raises:
        InputError: there is no such network, nobody with an opinion rated anything, or something
            else is in the folder.
        ReverseRewardError: ratings fall as rewards rise.
        TrainingError: as ``export_smallest``.
    """
    check_export_folder(folder, overwrite=True, inputs={"network": network_folder})
    rounds = [
        rated.of_raters(MAX_PEOPLE, rng_of(SEED, "people", rated.round_id))
        for rated in rated_rounds(dataset)
    ]
    inputs = [
        RewardInput(rated.question, opinion, statement)
        for rated in rounds
        for opinion in rated.opinions
        for statement in rated.statements
    ]
    questions = sorted({rated.question for rated in rounds})
    with replaced_folder(folder) as new:
        export = export_smallest(
            network_folder,
            new,
            name=name,
            pair_text=pair_text,
            compare_on=inputs[:: -(-len(inputs) // _N_COMPARED)],
            eos=eos,
            metadata={"trained": "elsewhere", "questions_learned_from": questions},
        )
        fitted = fit_calibration(
            export.model.rewards,
            [rounds],
            fitted_to=f"ratings of {dataset.about.name} ({dataset.about.scale.as_seven_points})",
            by_person=True,
        )
        calibrate_export(new, fitted)
    return replace(export, model=ExportedRewardModel(folder))


def calibrate_export(folder: Path, calibration: LogisticCalibration) -> ExportedRewardModel:
    """The exported model with this calibration, stored with it."""
    replace(Description.read(folder), calibration=calibration).write(folder)
    return ExportedRewardModel(folder)


def order_agreement(first: FloatArray, second: FloatArray) -> float:
    """The share of pairs of inputs that two scorers put in the same order.

    A tie in both is the same order; a tie in one of them counts one half.

    Both are [n_inputs].
    """
    i, j = np.triu_indices(len(first), 1)
    one, two = np.sign(first[i] - first[j]), np.sign(second[i] - second[j])
    return float(np.mean(1 - 0.5 * np.abs(one - two)))


class TorchScorer:
    """A network's own rewards, by torch: on a GPU where there is one.

    Args:
        folder: a sequence classifier with one output, as transformers saves it, or PEFT's adapter
            of one.
        pair_text: what it reads.
        eos: whether the tokenizer's end-of-text token, where it has one, ends the text. A decoder
            gives its reward at the last token, so that one trained with it says nothing without.

    Raises:
        InputError: there is none in the folder, it has more outputs than one, or its tokenizer is
            missing, another network's, or without a token to pad with.
    """

    def __init__(self, folder: Path, pair_text: PairText, *, eos: bool = False) -> None:
        self.network: Any = _network(folder)
        n_tokens = self.network.get_input_embeddings().num_embeddings
        tokenizer = _tokenizer(folder, n_tokens)
        self.tokenizer: Any = tokenizer.backend_tokenizer
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        # A decoder finds the text's last token by it. TRL gives a network its tokenizer's, which an
        # adapter does not keep.
        config = self.network.config.get_text_config()
        if config.pad_token_id is None:
            config.pad_token_id = tokenizer.pad_token_id
        pad = config.pad_token_id
        if pad is None or not 0 <= pad < n_tokens:
            raise InputError(
                f"{folder}: the token to pad with is {pad}, expected one of the network's "
                f"{n_tokens:,}: set pad_token_id in config.json to the one that it was trained "
                "with, often that of the end of a text"
            )
        self.pad_token_id: int = pad
        end = tokenizer.eos_token if eos else None
        self.pair_text = pair_text.ended_by(end) if end else pair_text
        self._device = "cuda" if torch.cuda.is_available() else "cpu"

    def rewards(self, inputs: Sequence[RewardInput], *, batch_size: int = 32) -> FloatArray:
        """Returns one raw reward for each input, float64 [n_inputs]."""
        ids = self.pair_text.encode(self.tokenizer, inputs)
        order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
        rewards = np.zeros(len(ids))
        self.network.to(self._device)
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            batch = nn.utils.rnn.pad_sequence(
                [torch.tensor(ids[row]) for row in rows],
                batch_first=True,
                padding_value=self.pad_token_id,
            )
            mask = nn.utils.rnn.pad_sequence(
                [torch.ones(len(ids[row]), dtype=torch.long) for row in rows], batch_first=True
            )
            with torch.inference_mode():
                out = self.network(
                    input_ids=batch.to(self._device), attention_mask=mask.to(self._device)
                )
            rewards[rows] = out.logits.squeeze(-1).double().cpu().numpy()
        return rewards


def _network(folder: Path) -> Any:
    adapter = folder / "adapter_config.json"
    if not adapter.is_file() and not (folder / "config.json").is_file():
        raise InputError(
            f"{folder}: there is neither config.json nor adapter_config.json; expected what TRL's "
            "RewardTrainer saves: a sequence classifier with one output, or PEFT's adapter of one"
        )
    try:
        if adapter.is_file():
            from peft import AutoPeftModelForSequenceClassification as Tuned

            network = Tuned.from_pretrained(folder, num_labels=1, dtype=torch.float32)
            network = network.merge_and_unload()
        else:
            network = AutoModelForSequenceClassification.from_pretrained(
                folder, dtype=torch.float32
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:  # what transformers passes on
        reason = " ".join(str(error).split())[:400]
        raise InputError(f"{folder}: transformers cannot load it: {reason}") from error
    if network.config.num_labels != 1:
        raise InputError(
            f"{folder}: a classifier with {network.config.num_labels} outputs, expected one, the "
            "reward"
        )
    return network.eval()


def _tokenizer(folder: Path, n_tokens: int) -> Any:
    """The folder's tokenizer, which a network of ``n_tokens`` can have been trained with."""
    # Without a file AutoTokenizer makes a tokenizer of special tokens alone.
    if not any(any(folder.glob(each)) for each in _TOKENIZERS):
        raise InputError(
            f"{folder}: there is no tokenizer ({', '.join(_TOKENIZERS)}); save the one that the "
            "network was trained with beside it: tokenizer.save_pretrained(FOLDER)"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        n_known = len(tokenizer.backend_tokenizer.get_vocab())
    except Exception as error:  # tokenizers raises no class of its own
        reason = " ".join(str(error).split())[:400]
        raise InputError(
            f"{folder}: transformers cannot load its tokenizer: {reason}; save the one that the "
            "network was trained with: tokenizer.save_pretrained(FOLDER)"
        ) from error
    if n_known < _LEAST_KNOWN * n_tokens:
        raise InputError(
            f"{folder}: the tokenizer knows {n_known:,} tokens and the network {n_tokens:,}; "
            "expected the tokenizer that the network was trained with"
        )
    return tokenizer


class _Logits(nn.Module):  # type: ignore[misc]
    """The network with tensors alone going in and coming out, which is what can be traced."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        # A decoder would hand out its cache, which is no tensor.
        self.options = {"use_cache": False} if hasattr(network.config, "use_cache") else {}

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        return self.network(
            input_ids=input_ids, attention_mask=attention_mask, **self.options
        ).logits


def _write_network(network: Any, folder: Path, weights: Weights) -> None:
    import openvino as ov

    ids = torch.ones((2, 8), dtype=torch.long)
    traced = ov.convert_model(
        _Logits(network.cpu()), example_input={"input_ids": ids, "attention_mask": ids.clone()}
    )
    if weights == "int8":
        import nncf

        nncf.set_log_level(logging.ERROR)
        traced = nncf.compress_weights(traced, mode=nncf.CompressWeightsMode.INT8_SYM)
    ov.save_model(traced, folder / "model.xml", compress_to_fp16=weights == "float16")
