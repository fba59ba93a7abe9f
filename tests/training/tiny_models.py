"""Random networks of a few thousand weights, and rated rounds that they can learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from commonweal.datasets.dataset import About, Dataset, frame, write_dataset
from commonweal.datasets.schema import VOTE

WORDS = ("apples", "bridges", "clouds", "drums")
_OTHERS = ("we", "want", "more", "need", "question", "opinion", "statement", ":", "which", "?")


def write_tokenizer(folder: Path) -> Any:
    """A tokenizer that knows each word of the made rounds, as transformers saves it."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {
        word: place for place, word in enumerate(("[PAD]", "[UNK]", "[EOS]", *WORDS, *_OTHERS))
    }
    plain = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    plain.normalizer = normalizers.Lowercase()
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="[PAD]", unk_token="[UNK]", eos_token="[EOS]"
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def write_encoder(folder: Path) -> Path:
    """A random BERT."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    tokenizer = write_tokenizer(folder)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=64,
        num_labels=1,
        pad_token_id=0,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def write_decoder(folder: Path) -> Path:
    """A random Llama that writes text; the head that scores is drawn when it is trained."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    tokenizer = write_tokenizer(folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def made_rounds(
    n_rounds: int = 6, n_people: int = 12, split: str = "train", *, all_want: str | None = None
) -> Dataset:
    """Everybody wants one of four things (or all the same), and agrees with who wants it too."""
    rng = np.random.default_rng(0)
    tables: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("rounds", "opinions", "candidates", "ratings")
    }
    for number in range(n_rounds):
        name = f"{split}{number}"
        tables["rounds"].append(
            {
                "round_id": name,
                "group_id": name,
                "question_id": name,
                "question": f"Which {name}?",
                "split": split,
            }
        )
        for column, word in enumerate(WORDS):
            tables["candidates"].append(
                {
                    "round_id": name,
                    "candidate_id": f"c{column}",
                    "text": f"We need {word}",
                    "policy": "human",
                    "shown": True,
                }
            )
        for person in range(n_people):
            wanted = WORDS.index(all_want) if all_want else int(rng.integers(len(WORDS)))
            who = {"round_id": name, "participant_id": f"{name}-p{person}"}
            tables["opinions"].append(
                {
                    **who,
                    "opinion_id": f"o{person}",
                    "text": f"We want more {WORDS[wanted]}",
                    "source": "written",
                }
            )
            for column in range(len(WORDS)):
                tables["ratings"].append(
                    {
                        **who,
                        "candidate_id": f"c{column}",
                        "pass_index": 0,
                        "agreement": 1 if column == wanted else -1,
                    }
                )
    about = About("made", "simulated", VOTE, "made by rule for the tests")
    return Dataset(about, **{name: frame(name, rows) for name, rows in tables.items()})


def write_rounds(folder: Path, *, all_want: str | None = None) -> Path:
    """The made rounds as a dataset: six to train on and two to test on."""
    train = made_rounds(all_want=all_want)
    test = made_rounds(2, split="ood_test", all_want=all_want)
    both = {name: pl.concat([table, getattr(test, name)]) for name, table in train.tables().items()}
    write_dataset(Dataset(train.about, **both), folder)
    return folder
