"""From opinions to picks: candidates, rewards, utilities, welfare. One record, made in one place.

``find_agreement`` makes one selection, the collection plan one for each number of opinions that it
leaves out; a study and the training loop store what these return.
"""

from commonweal.selection.making import (
    MIN_QUALITY,
    N_CANDIDATES,
    SALAD_QUALITY,
    Wanted,
    check_min_quality,
    check_seed,
    included,
    scored,
    seed_of,
    select,
)
from commonweal.selection.record import (
    MIN_GAIN,
    OWN_WORDS,
    Pick,
    Ranked,
    Selection,
    pick,
    rank_under,
)
from commonweal.selection.stored import selection_from_dict, selection_to_dict

__all__ = [
    "MIN_GAIN",
    "MIN_QUALITY",
    "N_CANDIDATES",
    "OWN_WORDS",
    "SALAD_QUALITY",
    "Pick",
    "Ranked",
    "Selection",
    "Wanted",
    "check_min_quality",
    "check_seed",
    "included",
    "pick",
    "rank_under",
    "scored",
    "seed_of",
    "select",
    "selection_from_dict",
    "selection_to_dict",
]
