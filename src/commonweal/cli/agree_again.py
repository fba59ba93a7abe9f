"""A stored result taken up again: read, revised, and shown beside what it was before."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commonweal.errors import InputError
from commonweal.files import decoded
from commonweal.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from commonweal.policies.prompts import WorkedExample
    from commonweal.result import Agreement
    from commonweal.types import Candidate, Policy

_MOVED = 0.05
"""Points below which a predicted change is none: what is shown has one decimal."""


def read_result(path: Path) -> Agreement | None:
    """The result that ``commonweal agree --json`` wrote; None where the file is something else.

    Raises:
        InputError: it is such a result, and damaged.
    """
    from commonweal.result import Agreement

    if path.suffix.lower() != ".json":
        return None
    try:
        fields: Any = json.loads(decoded(path, path.read_bytes()))
    except (OSError, ValueError, RecursionError, InputError):
        return None  # whoever reads groups says what is wrong
    if not isinstance(fields, dict) or not str(fields.get("schema")).startswith(
        "commonweal/agreement"
    ):
        return None
    try:
        return Agreement.from_dict(fields)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def check_stored(path: Path, given: dict[str, Any]) -> None:
    """Refuses options that write anew beside a result that is stored.

    Raises:
        InputError: one of them has a value.
    """
    for name, value in given.items():
        if value:
            raise InputError(
                f"{path} is a stored result and is not written again, so {name} has no effect; "
                "leave it out, or give the group's file"
            )


def check_names(given: Mapping[str, Sequence[str] | None], people: Iterable[str]) -> None:
    """Refuses options that name somebody who is not in the group, before the work.

    Raises:
        InputError: so one of them does.
    """
    from commonweal.reading.explaining import nearest

    if not any(given.values()):  # there may be very many people
        return
    names = list(people)
    known = set(names)
    for option, wanted in given.items():
        for name in wanted or ():
            if name not in known:
                raise InputError(f"{option}: {name!r} is not in the group{nearest(name, names)}")


def writing_as_before(
    result: Agreement,
    *,
    model: str,
    examples: Sequence[WorkedExample],
    n_candidates: int | None,
    seed: int,
) -> tuple[Policy, int, int]:
    """What wrote a result the first time, how many candidates and with which seed, so that texts
    compare; a model, a number or a seed that is given and not the default goes before.

    Raises:
        CommonwealError: as ``load_policy``; or many candidates of a policy that is one sample.
    """
    from commonweal.policies import load_policy, read_policy_name
    from commonweal.policies.names import TEMPLATE_ENDING
    from commonweal.selection import N_CANDIDATES

    told = result.first_round.provenance  # a revision is taken as if it were first
    named = read_policy_name(_known_policy(str(told.get("policy")), str(told.get("model"))))
    wanted = n_candidates or told.get("n_candidates_requested") or N_CANDIDATES
    named.check_count(wanted)
    known = str(told.get("model"))
    # A fine-tuned policy brings its weights; what wrote is then no name of a model but on a server.
    is_folder = named.is_path and not named.writer.lower().endswith(TEMPLATE_ENDING)
    brings_weights = named.writer == "sft" or is_folder
    if model == DEFAULT_MODEL and (not brings_weights or known.startswith("openai:")):
        model = known
    policy = load_policy(named.name, model, examples=examples)
    return policy, wanted, seed or told.get("seed") or 0


def _known_policy(name: str, model: str) -> str:
    """The policy of this name, or for one of a caller's own the default of the model."""
    from commonweal.policies import check_policy, default_policy

    try:
        check_policy(name)
    except InputError:
        return default_policy(model)
    return name


def print_revision(console: Console, result: Agreement) -> None:
    """What the critiques changed, word by word, and whom that is predicted to suit."""
    before = result.before
    if before is None or before.closest is None or result.closest is None:
        return
    console.print()
    n_said, n_people = len(result.critiques), len(result.opinions)
    if not result.is_revised:
        n_revisions = sum(not each.author for each in result.candidates[result.n_standing :])
        console.print(
            f"{n_said} of {n_people} said what they would change. The old text stands: none of "
            f"{n_revisions} revisions is predicted to be {result.better} and is as good a text.",
            style="bold",
        )
        return
    console.print(
        f"What changed ({n_said} of {n_people} said what they would change)", style="bold"
    )
    from rich.padding import Padding

    console.print(Padding(differences(before.closest.text, result.closest.text), (0, 0, 0, 2)))
    critics = {each.participant_id for each in result.critiques}
    for who, ids in (
        ("who criticised", [n for n in result.gains if n in critics]),
        ("who did not", [n for n in result.gains if n not in critics]),
    ):
        if ids:
            changes = [result.gains[name] for name in ids]
            up = sum(change > _MOVED for change in changes)
            down = sum(change < -_MOVED for change in changes)
            console.print(
                f"  Of {len(ids)} {who}, {up} are predicted to agree more and {down} less "
                f"({sum(changes) / len(changes):+.1f} of 7 on average)."
            )


def print_edited(
    console: Console, result: Agreement, before: Candidate | None, *, is_taken: bool
) -> None:
    """A text of people's own beside what was closest before: what changed, what is predicted."""
    from rich.padding import Padding

    column = len(result.candidates) - 1
    if is_taken and result.closest_index is not None:
        column = result.closest_index  # it may have been there before
    own = result.candidates[column]
    by = f", by {own.author}" if own.author else ""
    console.print(f"{own.id}{by}", style="bold")
    if before is not None:
        console.print(Padding(differences(before.text, own.text), (0, 0, 0, 2)))
    ratings = result.utilities[:, column]
    quality = "" if result.qualities is None else f", quality {result.qualities[column]:.1f}"
    console.print(
        f"  Predicted: mean {ratings.mean():.1f}, lowest {ratings.min():.1f} of 7{quality}; rank "
        f"{result.ranking.ranks[column]} of {len(result.candidates)} by {result.welfare_name} "
        "welfare."
    )
    if before is not None:
        old = next(n for n, each in enumerate(result.candidates) if each.id == before.id)
        ratings = result.utilities[:, old]
        console.print(
            f"  Before ({before.id}): mean {ratings.mean():.1f}, lowest {ratings.min():.1f} of 7."
        )
    taken = "It is the text above." if result.closest == own else "The text above stands."
    console.print(f"  {taken}")
    console.print()


def differences(before: str, after: str) -> Text:
    """The later text with what went struck out and what came underlined."""
    from rich.text import Text

    from commonweal.reading.differences import word_differences

    styles = {"same": "", "out": "strike dim", "in": "bold underline"}
    marks = {"same": ("", ""), "out": ("[-", "-]"), "in": ("{+", "+}")}
    shown = Text()
    for part in word_differences(before, after):
        left, right = marks[part.kind]
        shown.append(f"{left}{part.text}{right}", style=styles[part.kind])
        shown.append(" ")
    return shown
