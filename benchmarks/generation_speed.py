"""Tokens per second of the embedded engine, llama.cpp and transformers: one file, the same prompts.

    python benchmarks/generation_speed.py [--model 1.5b|small] [--candidates 16] [--repeats 2]
        [--peers llama.cpp,transformers]

Each writes 16 completions for one example group of five opinions, from the prompts that `few_shot`
makes (four orders of the opinions), with the same sampling. llama.cpp is its own server on loopback
with 16 slots and two threads; transformers runs `generate` on the whole batch, padded, in bfloat16.
Tokens up to the end of each completion are counted on either side. The first pass of each, which
compiles and fills caches, is shown but not counted; the embedded engine and llama.cpp begin every
pass with a fresh cache of prompts. Printed: tokens per second, seconds for all 16, and ratios.
Aims: 4 times transformers, 1.5 times llama.cpp.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from commonweal.groups import read_group
from commonweal.models import load_language_model, store
from commonweal.models.embedded_engine import NAMES, EmbeddedModel
from commonweal.policies.kinds import kind_of
from commonweal.policies.templates import load_template
from commonweal.policies.writers import FEW_SHOT
from commonweal.types import Prompt, Sampling

GROUP = Path(__file__).parents[1] / "examples" / "groups" / "bus-fares.toml"
SERVER = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.port, params.n_parallel, params.n_ctx = 0, int(sys.argv[2]), 1536 * int(sys.argv[2])
params.cpuparams.n_threads, params.verbosity, params.ui = 2, 0, False
server = xllamacpp.Server(params)
print("listening on", server.listening_address, flush=True)
sys.stdin.read()
"""

Pass = Callable[[], int]
"""Writes all completions once, and gives the number of tokens."""


def main() -> None:
    """Prints tokens per second of each side and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="", choices=tuple(NAMES), nargs="?")
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--peers", default="llama.cpp,transformers")
    args = parser.parse_args()

    weights = store.known(NAMES[args.model])
    path = store.require(NAMES[args.model]) / (weights.gguf or "")
    model = EmbeddedModel.from_spec(args.model)
    template = load_template(FEW_SHOT[kind_of(model)])
    sampling = replace(template.sampling, stop=())  # the same end for all: the model's own
    group, rng = read_group(GROUP), np.random.default_rng(0)
    texts = [opinion.text for opinion in group.opinions]
    orders = [rng.permutation(len(texts)) for _ in range(4)]
    rendered = [template.render(group.question.text, [texts[i] for i in order]) for order in orders]
    prompts = [rendered[i % 4] for i in range(args.candidates)]
    print(f"{NAMES[args.model]}, prompts of {model.count_tokens(str(rendered[0]))} tokens or so")

    def embedded() -> int:
        model._pipeline = None  # with it goes what is cached of the prompts
        answers = model.generate(prompts, seeds=range(args.candidates), sampling=sampling)
        return sum(completion.n_completion_tokens or 0 for [completion] in answers)

    ours = rate("embedded", embedded, args.repeats)
    for peer in filter(None, args.peers.split(",")):
        if peer == "llama.cpp":
            theirs = llama_cpp(path, prompts, sampling, args.repeats)
        else:
            theirs = transformers(path, prompts, sampling, args.repeats)
        print(f"embedded: {ours / theirs:.1f} times the tokens per second of {peer}")


def rate(name: str, write: Pass, repeats: int) -> float:
    """The median tokens per second, without the first pass."""
    rates = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        n_tokens = write()
        seconds = time.perf_counter() - start
        rates.append(n_tokens / seconds)
        print(f"{name}: {n_tokens} tokens in {seconds:.1f} s, {rates[-1]:.0f} a second", flush=True)
    return statistics.median(rates[1:])


def llama_cpp(path: Path, prompts: Sequence[Prompt], sampling: Sampling, repeats: int) -> float:
    """Its server, as our engine for servers asks it: all completions at once."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(path), str(len(prompts))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        lines = iter(process.stdout.readline, "")
        url = next(line.split()[-1] for line in lines if line.startswith("listening on"))
        n_passes = 0

        def write() -> int:
            nonlocal n_passes
            n_passes += 1
            # Another first word: nothing of the prompts is cached from the pass before.
            fresh = [
                tuple(
                    m._replace(content=f"{n_passes}. {m.content}") if not i else m
                    for i, m in enumerate(p)
                )
                for p in prompts
            ]
            asked = load_language_model(f"openai:{url}/v1#{path.stem}?concurrency={len(prompts)}")
            answers = asked.generate(fresh, seeds=range(len(fresh)), sampling=sampling)
            return sum(completion.n_completion_tokens or 0 for [completion] in answers)

        try:
            return rate("llama.cpp", write, repeats)
        finally:
            process.kill()


def transformers(path: Path, prompts: Sequence[Prompt], sampling: Sampling, repeats: int) -> float:
    """Its own `generate` on the same GGUF file, in bfloat16."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = str(path.parent)
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=path.name, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=path.name, dtype=torch.bfloat16
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
    end = tokenizer.eos_token_id

    def write() -> int:
        torch.manual_seed(0)
        with torch.inference_mode():
            output = model.generate(
                **inputs,
                max_new_tokens=sampling.max_tokens,
                do_sample=True,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                top_k=0,
                eos_token_id=end,
                pad_token_id=tokenizer.pad_token_id,
            )
        n_tokens = 0
        for row in output[:, inputs["input_ids"].shape[1] :]:
            found = (row == end).nonzero()
            n_tokens += int(found[0]) + 1 if len(found) else len(row)
        return n_tokens

    return rate("transformers", write, repeats)


if __name__ == "__main__":
    main()
