"""Makes the first reward model and its card, from data that is only read.

    python recipes/first_reward/train.py --data DATA --out src/commonweal/rewards/first.npz

Needs torch and transformers (extra `train`) and the pulled all-MiniLM-L6-v2. Some minutes on two
cores. Each step draws debate questions, with opposite opinions and opposite statements made by rule
(contrast.py), and a handful of people and statements of one Polis conversation (measure.py). The
loss is the cross-entropy of two kinds of comparison:

- within a person (paper 3.3): what they agreed with against what they disagreed with;
- crossed: A agreed with 1 and not 2, B the reverse, so score(A,1) - score(A,2) - score(B,1) +
  score(B,2) should be above 0. Popularity cancels here: only the opinion can help.

The encoder is fine-tuned with a LoRA adapter (Hu et al. 2021), which is stored in the head.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import time
from pathlib import Path

import card
import contrast
import measure
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

from commonweal.models.encoder import SentenceEncoder
from commonweal.questions.guard import refuse_test_questions
from commonweal.questions.records import SPLITS, QuestionRecord, content_id
from commonweal.rewards import FirstRewardModel, LogisticCalibration
from commonweal.rewards.baselines import fit_welcome
from commonweal.rewards.first import ENCODER_FILES, Head
from commonweal.rewards.scoring import RatedRound, fit_calibration, rated_rounds
from commonweal.training.backbones import backbone_source

OPPOSITES = ((1.0, -1.0), (-1.0, 1.0))
"""Opinion and statement of the same side agree, of opposite sides disagree."""

CALIBRATED_TO = (
    "votes in two Polis conversations (disagree counted as 2, pass as 4, agree as 6) and "
    "statements made by rule for and against debate questions (own side counted as 6, other side "
    "as 2), one half each; no 7-point ratings"
)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the fit depends on. Chosen on the tuning data, never on the test data."""

    seed: int = 0
    n_steps: int = 120
    n_debates: int = 10  # questions a step, four texts each
    n_people: int = 6  # people of one conversation a step
    n_statements: int = 10  # and statements of theirs
    max_tokens: int = 80  # in training only; the runtime cuts nothing
    update_rank: int = 8
    first_updated_layer: int = 2
    head_rank: int = 64
    encoder_rate: float = 6e-4
    head_rate: float = 3e-3
    polis_weight: float = 0.3
    welcome_weight: float = 3.0


class LowRankUpdate(nn.Module):
    """A frozen linear layer plus a product of two small matrices, which starts at zero."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base
        self.down = nn.Parameter(torch.randn(rank, base.in_features) / base.in_features**0.5)
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        update: Tensor = 2 * functional.linear(functional.linear(x, self.down), self.up)
        return update + self.base(x)


class Trainee(nn.Module):
    """The encoder with its LoRA adapter, and the head: torch twin of ``FirstRewardModel``."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        # The pulled weights have no config.json: transformers reads the same numbers from beside.
        has_config = (folder / "config.json").is_file()
        source = str(folder) if has_config else backbone_source(folder.name)
        self.tokenizer = AutoTokenizer.from_pretrained(source)
        self.bert = AutoModel.from_pretrained(source).eval().requires_grad_(False)
        self.updates: dict[str, LowRankUpdate] = {}
        for name, module in list(self.bert.named_modules()):
            is_layer = name.startswith("encoder.layer.") and isinstance(module, nn.Linear)
            if is_layer and int(name.split(".")[2]) >= settings.first_updated_layer:
                parent, _, child = name.rpartition(".")
                self.updates[name] = LowRankUpdate(module, settings.update_rank)
                setattr(self.bert.get_submodule(parent), child, self.updates[name])
        width, rank = self.bert.config.hidden_size, settings.head_rank
        self.opinion = nn.Parameter(0.5 * torch.randn(width, rank))
        self.statement = nn.Parameter(torch.zeros(width, rank))
        self.welcome = nn.Parameter(torch.zeros(width))
        self.similarity = nn.Parameter(torch.tensor(5.0))

    def groups(self) -> list[dict[str, object]]:
        """The optimiser's parameter groups: the encoder's adapter, the head."""
        updates = [p for u in self.updates.values() for p in (u.down, u.up)]
        head = [self.opinion, self.statement, self.welcome, self.similarity]
        rates = (self.settings.encoder_rate, self.settings.head_rate)
        return [{"params": p, "lr": r} for p, r in zip((updates, head), rates, strict=True)]

    def embed(self, texts: list[str]) -> Tensor:
        """Unit vectors [n_texts, 384]. Short and long texts apart, so that little is padding."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        vectors: list[Tensor] = []
        for part in (order[: len(order) // 2], order[len(order) // 2 :]):
            batch = self.tokenizer(
                [texts[i] for i in part],
                padding=True,
                truncation=True,
                max_length=self.settings.max_tokens,
                return_tensors="pt",
            )
            # bfloat16 is three times faster here; the runtime's float32 agrees to its rounding.
            with torch.autocast("cpu", dtype=torch.bfloat16):
                hidden = self.bert(**batch).last_hidden_state
            mask = batch["attention_mask"][..., None].float()
            pooled = (hidden.float() * mask).sum(1) / mask.sum(1)
            vectors.append(functional.normalize(pooled, dim=-1))
        return torch.cat(vectors)[torch.tensor(np.argsort(order))]

    def score(self, opinions: Tensor, statements: Tensor) -> Tensor:
        """Rewards [..., n_opinions, n_statements]."""
        learned = (opinions @ self.opinion) @ (statements @ self.statement).mT
        cosine = opinions @ statements.mT
        return self.similarity * cosine + learned + 5 * (statements @ self.welcome)[..., None, :]


def comparison_loss(scores: Tensor, answers: Tensor) -> Tensor:
    """Cross-entropy within people plus crossed, over all comparisons [n_people, n_statements]."""
    lean = scores[:, :, None] - scores[:, None, :]
    prefers = (answers == 1)[:, :, None] & (answers == -1)[:, None, :]
    opposed = prefers[:, None] & prefers.transpose(1, 2)[None, :]
    within = functional.softplus(-lean[prefers])
    crossed = functional.softplus(-(lean[:, None] - lean[None, :])[opposed])
    return sum((part.mean() for part in (within, crossed) if len(part)), torch.tensor(0.0))


def published_split(data: Path) -> list[QuestionRecord]:
    """All debate questions with the split that they were published in."""
    path = data / "debate_questions" / "questions.json"
    return [
        QuestionRecord(content_id(debate.question), debate.question, split=split)
        for split in SPLITS
        for debate in contrast.read_debates(path, split)
    ]


def train(data: Path, folder: Path, settings: Settings) -> Trainee:
    """The fitted model."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    model = Trainee(folder, settings)
    debates = contrast.read_debates(data / "debate_questions" / "questions.json", "train")
    refuse_test_questions([debate.question for debate in debates], published_split(data))
    conversations = measure.conversation_rounds(data, measure.TRAIN)
    share = np.sqrt([len(c.opinions) for c in conversations])
    share /= share.sum()  # or one conversation would be nearly all
    optimizer = torch.optim.AdamW(model.groups(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda n: min(1.0, (n + 1) / 20) * (1 - 0.9 * n / settings.n_steps)
    )
    opposites = torch.tensor(OPPOSITES, dtype=torch.float64)
    start = time.perf_counter()
    for step in range(1, settings.n_steps + 1):
        texts = []
        for i in rng.choice(len(debates), settings.n_debates, replace=False):
            texts += [contrast.draw_opinion(debates[i], side, rng) for side in (1, -1)]
            texts += [contrast.draw_statement(debates[i], side, rng) for side in (1, -1)]
        n_made = len(texts)
        people, statements, answers = _draw_votes(
            conversations[rng.choice(len(conversations), p=share)], settings, rng
        )
        vectors = model.embed([*texts, *people, *statements])
        made = vectors[:n_made].view(-1, 4, vectors.shape[1])
        loss_made = torch.stack(
            [comparison_loss(scores, opposites) for scores in model.score(made[:, :2], made[:, 2:])]
        ).mean()
        voted = vectors[n_made:]
        loss_voted = comparison_loss(
            model.score(voted[: len(people)], voted[len(people) :]), torch.tensor(answers)
        )
        optimizer.zero_grad()
        (loss_made + settings.polis_weight * loss_voted).backward()
        nn.utils.clip_grad_norm_([p for group in model.groups() for p in group["params"]], 1.0)
        optimizer.step()
        schedule.step()
        if step % 10 == 0:
            print(
                f"step {step}/{settings.n_steps}: loss {loss_made:.3f} on contrasts, "
                f"{loss_voted:.3f} on votes, {time.perf_counter() - start:.0f} s",
                flush=True,
            )
    return model


def _draw_votes(
    conversation: RatedRound, settings: Settings, rng: np.random.Generator
) -> tuple[list[str], list[str], np.ndarray]:
    """A few opinions and statements of a conversation, and the votes between them."""
    cast = conversation.ratings
    both = np.flatnonzero((cast == 1).any(axis=1) & (cast == -1).any(axis=1))
    rows = rng.choice(both, min(settings.n_people, len(both)), replace=False)
    n_votes = np.isfinite(cast[rows]).sum(axis=0) + 1e-3
    size = min(settings.n_statements, cast.shape[1])
    columns = rng.choice(cast.shape[1], size, replace=False, p=n_votes / n_votes.sum())
    return (
        [conversation.opinions[i] for i in rows],
        [conversation.statements[j] for j in columns],
        cast[np.ix_(rows, columns)],
    )


def finish(
    head: Head, data: Path, folder: Path, welcome_weight: float, out: Path
) -> FirstRewardModel:
    """Fits what comes after the gradient steps, stores the head, and returns the model.

    First what makes a statement welcome to anybody, on the fine-tuned vectors: the steps see too
    few statements to learn that well, and a closed form sees all. Then the calibration.
    """
    encoder = SentenceEncoder(folder, updates=head.updates())
    rounds = measure.conversation_rounds(data, measure.TRAIN)
    head = dataclasses.replace(head, welcome=welcome_weight * fit_welcome(rounds, encoder))
    head.save(out)
    calibration = calibrate(FirstRewardModel(folder, head_path=out), data)
    dataclasses.replace(head, calibration=calibration).save(out)
    return FirstRewardModel(folder, head_path=out)


def to_head(model: Trainee, folder: Path) -> Head:
    """The fitted numbers as the runtime stores them, not yet calibrated."""
    with torch.no_grad():
        return Head(
            opinion_projection=model.opinion.double().numpy(),
            statement_projection=model.statement.double().numpy(),
            welcome=model.welcome.double().numpy(),  # replaced in finish()
            similarity=float(model.similarity),
            encoder_updates={
                f"{name}.weight": (2 * update.up.numpy(), update.down.numpy())
                for name, update in model.updates.items()
            },
            calibration=LogisticCalibration(1.0, 0.0, "nothing yet"),
            metadata={
                "name": "first",
                "encoder": "all-MiniLM-L6-v2",
                "encoder_sha256": {
                    name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
                    for name in ENCODER_FILES
                },
                "settings": dataclasses.asdict(model.settings),
                "train": measure.TRAIN,
                "tune_and_calibrate": measure.TUNE,
                "test": measure.TEST,
            },
        )


def calibrate(model: FirstRewardModel, data: Path) -> LogisticCalibration:
    """The calibration to what the tuning data say; each of the two kinds weighs one half."""
    made = measure.debates(data, "iid_test", name="made")
    return fit_calibration(
        model.rewards,
        (measure.conversation_rounds(data, measure.TUNE), rated_rounds(made)),
        fitted_to=CALIBRATED_TO,
    )


def main() -> None:
    """Fits, calibrates, stores, measures, writes the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of public data")
    parser.add_argument(
        "--out", type=Path, required=True, help="first.npz; the card goes beside it"
    )
    parser.add_argument("--encoder", type=Path, help="all-MiniLM-L6-v2; default: the pulled one")
    parser.add_argument(
        "--tuning",
        action="store_true",
        help="print figures on the tuning data and leave the test data and the card alone",
    )
    for field in dataclasses.fields(Settings):
        flag = "--" + field.name.replace("_", "-")
        parser.add_argument(flag, type=type(field.default), default=field.default)
    args = vars(parser.parse_args())
    data, out, folder = args.pop("data"), args.pop("out"), args.pop("encoder")
    tuning = args.pop("tuning")
    if folder is None:
        from commonweal.models import store

        folder = store.require("all-minilm-l6-v2")
    out.parent.mkdir(parents=True, exist_ok=True)
    model = train(data, folder, Settings(**args))

    head = to_head(model, folder)
    fitted = finish(head, data, folder, model.settings.welcome_weight, out)
    if tuning:
        card.show(measure.measure_all(measure.tuning(data), [fitted]))
        return
    measured = measure.measure_all(
        measure.held_out(data), [*measure.baselines(data, folder), fitted]
    )
    card.write(out.with_name("first_card.md"), measured, fitted)
    card.show(measured)


if __name__ == "__main__":
    main()
