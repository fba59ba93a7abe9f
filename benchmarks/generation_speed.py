"""Tokens per second of the embedded engine and of transformers on the same weights and prompts.

    python benchmarks/generation_speed.py [--candidates 16] [--max-tokens 120] [--repeats 3]

Both sides write 16 completions from the few-shot prompts of one example group of five opinions
(each with its own order of opinions), with the same sampling. transformers reads the same GGUF and
runs `generate` on the whole batch, padded, in float32 and in bfloat16. Tokens up to the end of each
completion are counted on either side. The first pass of each side, which compiles and fills caches,
is shown but not counted; the embedded engine starts every counted pass on a fresh pipeline, so that
nothing of the prompts is cached from the pass before. Target: 4 times.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from commonweal.groups import read_group
from commonweal.models import store
from commonweal.models.embedded_engine import EmbeddedModel
from commonweal.models.packaged import SMALL_LANGUAGE_MODEL
from commonweal.policies.templates import load_template
from commonweal.types import Prompt

GROUP = Path(__file__).parents[1] / "examples" / "groups" / "bus-fares.toml"


def main() -> None:
    """Prints tokens per second of each side and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--max-tokens", type=int, default=120)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()

    template = load_template("few_shot")
    sampling = replace(template.sampling, max_tokens=args.max_tokens)
    group, rng = read_group(GROUP), np.random.default_rng(0)
    texts = [opinion.text for opinion in group.opinions]
    prompts = [
        template.render(group.question.text, [texts[i] for i in rng.permutation(len(texts))])
        for _ in range(args.candidates)
    ]

    embedded = []
    for _ in range(args.repeats + 1):
        model = EmbeddedModel.from_spec("small")
        start = time.perf_counter()
        answers = model.generate(prompts, seeds=range(args.candidates), sampling=sampling)
        seconds = time.perf_counter() - start
        n_tokens = sum(completion.n_completion_tokens or 0 for [completion] in answers)
        embedded.append(n_tokens / seconds)
        n_prompt = answers[0][0].n_prompt_tokens
        print(f"embedded: {n_tokens} tokens in {seconds:.1f} s, {embedded[-1]:.0f} tokens/s")
    print(f"prompts of about {n_prompt} tokens")

    best_peer = 0.0
    for dtype in ("float32", "bfloat16"):
        rates = transformers_rates(prompts, args.max_tokens, dtype, args.repeats)
        best_peer = max(best_peer, statistics.median(rates[1:]))
    ratio = statistics.median(embedded[1:]) / best_peer
    print(f"{ratio:.1f} times the tokens per second of transformers at its better dtype (target 4)")


def transformers_rates(
    prompts: list[Prompt], max_tokens: int, dtype: str, repeats: int
) -> list[float]:
    """Tokens per second of each pass of transformers' own `generate`, the first one cold."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = str(store.require(SMALL_LANGUAGE_MODEL))
    name = store.known(SMALL_LANGUAGE_MODEL).gguf
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=name, dtype=getattr(torch, dtype)
    ).eval()
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    texts = [
        tokenizer.apply_chat_template(
            [message._asdict() for message in prompt], tokenize=False, add_generation_prompt=True
        )
        for prompt in prompts
    ]
    inputs = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
    ends = torch.tensor([tokenizer.eos_token_id, *tokenizer.encode("\n", add_special_tokens=False)])
    rates = []
    for _ in range(repeats + 1):
        torch.manual_seed(0)
        start = time.perf_counter()
        with torch.inference_mode():
            output = model.generate(
                **inputs,
                max_new_tokens=max_tokens,
                do_sample=True,
                temperature=0.6,
                top_p=0.95,
                top_k=0,
                eos_token_id=ends.tolist(),
                pad_token_id=tokenizer.pad_token_id,
            )
        seconds = time.perf_counter() - start
        new = output[:, inputs["input_ids"].shape[1] :]
        n_tokens = 0
        for row in new:
            found = torch.isin(row, ends).nonzero()
            n_tokens += int(found[0]) + 1 if len(found) else len(row)
        rates.append(n_tokens / seconds)
        print(
            f"transformers, {dtype}: {n_tokens} tokens in {seconds:.1f} s, {rates[-1]:.0f} tokens/s"
        )
    return rates


if __name__ == "__main__":
    main()
