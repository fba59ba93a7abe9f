"""What each step writes into the provenance of a question set."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from commonweal.questions.flags import flags_of
from commonweal.questions.templates import load_template

if TYPE_CHECKING:
    from commonweal.questions.generate import GeneratedQuestions, GenerationConfig
    from commonweal.questions.records import QuestionRecord
    from commonweal.questions.screen import Decision
    from commonweal.questions.split import Split, SplitConfig
    from commonweal.types import LanguageModel

N_EXAMPLES_A_REASON = 3


def generation_step(
    result: GeneratedQuestions,
    seeds: Sequence[QuestionRecord],
    model: LanguageModel,
    config: GenerationConfig,
    *,
    seed_set: str,
    encoder: str,
) -> dict[str, Any]:
    """How a set was generated: what is needed to do it again, and what was rejected and why."""
    examples: dict[str, list[str]] = {}
    for rejected in result.rejected:
        shown = examples.setdefault(str(rejected.reason), [])
        if len(shown) < N_EXAMPLES_A_REASON:
            shown.append(f"{rejected.text.strip()[:200]} ({rejected.detail})")
    texts = "\n".join(seed.question for seed in seeds)
    return {
        "step": "generate",
        "seed_set": seed_set,
        "n_seeds": len(seeds),
        "seeds_sha256": hashlib.sha256(texts.encode()).hexdigest(),
        "model": model.model_id,
        "weights_hash": model.weights_hash,
        "encoder": encoder,
        "prompt_hash": load_template("writing").hash,
        "position_prompt_hash": load_template("position").hash,
        "config": asdict(config),
        "n_drawn": result.n_drawn,
        "n_new": len(result.records),
        "stopped": result.stopped,
        "rejected": result.reasons,
        "rejected_examples": examples,
        "positions": {
            "by_rule": result.positions.n_by_rule,
            "by_model": result.positions.n_by_model,
            "missing": result.positions.missing,
        },
    }


def screening_step(
    records: Sequence[QuestionRecord],
    held: Mapping[str, Decision],
    released: Sequence[QuestionRecord],
) -> dict[str, Any]:
    """How a set was screened: who decided on how many, and how many go on unread."""
    decided_by: dict[str, dict[str, int]] = {}
    for decision in held.values():
        counts = decided_by.setdefault(decision.by, {"keep": 0, "drop": 0})
        counts[decision.decision] += 1
    flagged = Counter(flag.name for record in records for flag in flags_of(record))
    return {
        "step": "screen",
        "n_before": len(records),
        "decided_by": decided_by,
        "n_unreviewed": sum(record.id not in held for record in released),
        "flagged": dict(flagged.most_common()),
    }


def split_step(result: Split, config: SplitConfig, *, encoder: str) -> dict[str, Any]:
    """How a set was split: sizes, topics held out, and how near the splits lie."""
    return {
        "step": "split",
        "encoder": encoder,
        "config": asdict(config),
        "counts": result.counts,
        "n_ood_wanted": result.n_ood_wanted,
        "held_out": [result.names[topic] for topic in result.held_out],
        "silhouette": result.clusters.silhouette,
        "near_duplicates_across": {
            f"{ours} / {theirs}": leak.n_near for (ours, theirs), leak in result.leaks.items()
        },
    }
