"""A reward model and a welfare rule for commonweal, to learn from: not to choose by."""

import hashlib
import re
from pathlib import Path

import numpy as np

from commonweal.rewards import LogisticCalibration


def words(text):
    """The different words of a text that are longer than three letters."""
    return set(re.findall(r"\w{4,}", text.lower()))


class SharedWords:
    """Predicts agreement with a statement from the words that it shares with a person's opinion."""

    name = "shared_words"
    # What a reward depends on is this file alone: its hash stands in for weights.
    weights_hash = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    # Made up. A model to choose by has one that was fitted to people's ratings.
    calibration = LogisticCalibration(slope=4.0, intercept=-1.0, fitted_to="nothing: made up")

    def rewards(self, inputs, *, on_done=None):
        """The share of the statement's words that the opinion has too, 0 to 1: [n_inputs]."""
        found = np.zeros(len(inputs))
        for index, (_question, opinion, statement) in enumerate(inputs):
            said = words(statement)
            found[index] = len(said & words(opinion)) / max(1, len(said))
        if on_done is not None:
            on_done(len(inputs))
        return found


def median(utilities):
    """The person in the middle to agree as much as possible.

    Args:
        utilities: [n_participants, n_candidates], expected ratings from 1 to 7.

    Returns:
        [n_candidates], higher is better, in the unit of the utilities.
    """
    return np.median(utilities, axis=0)
