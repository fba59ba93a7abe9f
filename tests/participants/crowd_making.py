"""A made-up question and a reader that needs no weights: what is expressed is in the text."""

from __future__ import annotations

import numpy as np

from commonweal.participants import Asked
from commonweal.participants.considerations import BankQuestion, Consideration
from commonweal.participants.latent import LatentCrowd, LatentSettings
from commonweal.types import Question

QUESTION = Question("Should we do it?", "it")
OTHER = Question("Should we do that?", "that")
N_CONSIDERATIONS = 5


def made_question(question: Question = QUESTION, split: str = "train") -> BankQuestion:
    considerations = tuple(
        Consideration(f"c{n}", ((f"For {n}, one.", f"For {n}, two."), (f"Against {n}.",)))
        for n in range(N_CONSIDERATIONS)
    )
    return BankQuestion(Asked(question, "We should do it.", "doing", split), considerations)


class MarkReader:
    """Reads marks such as "+2 -0": for consideration 2, against the verdict."""

    def read(self, question, text):
        expressed = np.zeros((len(question.considerations), 2), dtype=bool)
        for mark in text.split():
            if mark[0] in "+-" and mark[1:].isdigit():
                expressed[int(mark[1:]), int(mark[0] == "-")] = True
        return expressed

    def read_all(self, wanted):
        return [self.read(question, text) for question, text in wanted]


def made_crowd(seed: int = 0, n_questions: int = 2, **settings: float) -> LatentCrowd:
    bank = [made_question(), made_question(OTHER, "ood_test")][:n_questions]
    return LatentCrowd(seed, LatentSettings(**settings), bank=bank, reader=MarkReader())


def names(n: int) -> list[str]:
    return [f"latent-{i:010x}" for i in range(n)]
