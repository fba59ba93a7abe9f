"""A batch: many groups in, a dataset out; broken off at any moment, it goes on where it stopped.

The folder holds ``batch.json`` (what was asked for), ``results`` (a file for each finished group,
named by its content), and at the end ``dataset`` and ``set_aside.jsonl``. Nothing in it depends on
how many workers there were, or on which of them did what.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from commonweal.batch.finding import finder
from commonweal.batch.kept import Kept, as_text, asked_for, content_of
from commonweal.batch.reading import Given
from commonweal.batch.working import Result, Task, Workers
from commonweal.errors import CommonwealError, EngineError, InputError, StoppedError
from commonweal.files import is_begun, locked, write_whole
from commonweal.groups import Group
from commonweal.models import DEFAULT_MODEL, check_language_model
from commonweal.policies import check_policy, default_policy
from commonweal.result import Agreement
from commonweal.rewards import DEFAULT_REWARD_MODEL, check_reward_model
from commonweal.rules import resolve_rule
from commonweal.selection import N_CANDIDATES, check_min_quality, check_seed, seed_of

ASKED, RESULTS, DATASET, SET_ASIDE = "batch.json", "results", "dataset", "set_aside.jsonl"

FAILED_IN_A_ROW = 20
"""So many groups one after another that an engine failed on, and the batch ends: the server is
gone, and the others would be set aside for nothing."""

_ALONE = Workers()


@dataclass(frozen=True, slots=True)
class FindingAgreement:
    """The job of a batch: a group's result.

    Attributes:
        options: of ``find_agreement``, models by name.
        n_tries: how often a group is tried that an engine fails on.
    """

    options: Mapping[str, Any]
    n_tries: int
    what = "group"

    def loaded(self) -> Callable[[Group], Result]:
        """What makes of a group its result, as it is kept, or the error that ended it.

        Raises:
            CommonwealError: the models cannot be loaded.
        """
        given = dict(self.options)
        one = finder(given.pop("policy"), given.pop("model"), given.pop("reward"))

        def find(group: Group) -> Result:
            seed = seed_of(given["seed"], json.dumps(content_of(group)))
            for left in reversed(range(self.n_tries)):
                try:
                    result = one(group, **{**given, "seed": seed})
                except Exception as error:
                    result = CommonwealError(f"{type(error).__name__}: {error}")
                # What the same call would say again is not asked again.
                if not left or not isinstance(result, (EngineError, StoppedError)):
                    break
            # How long it took is no part of a result: twice the same must be the same.
            return (
                as_text(replace(result, timings_seconds={}))
                if isinstance(result, Agreement)
                else result
            )

        return find


@dataclass(frozen=True, slots=True)
class Finished:
    """What a batch came to.

    Attributes:
        counts: of groups, by what came of them.
        n_found_now: results that this call found; the others were kept from before.
        dataset: its folder.
        set_aside: each group without a result, by name, and why.
    """

    counts: Mapping[str, int]
    n_found_now: int
    dataset: Path
    set_aside: Mapping[str, str]


def run_batch(
    groups: Sequence[Given],
    out: str | Path,
    *,
    source: str = "groups",
    workers: Workers = _ALONE,
    on_done: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Finished:
    """What came of all groups, each found once; what an earlier call found is taken from ``out``.

    Args:
        groups: of ``read_groups``.
        out: the batch's folder, made where it is missing.
        source: where the groups come from, in words, for the dataset.
        workers: who does the work.
        on_done: called with (groups done, groups), in this thread.
        options: of ``find_agreement``, models by name; ``timeout_seconds`` is each group's.

    Raises:
        InputError: the options, the folder or the cluster cannot be used; there is a file in the
            dataset of an earlier call that would go with it; the disk is full.
        EngineError: an engine failed on many groups one after another.
        CommonwealError: the models cannot be loaded.
    """
    from commonweal.datasets.dataset import check_output_folder

    out = Path(out)
    given = {"policy": None, "model": DEFAULT_MODEL, "reward": DEFAULT_REWARD_MODEL, "seed": 0}
    given |= options
    asked = asked_for({**given, "threads": workers.threads})
    workers.check()
    _check(given)
    with locked(out):
        _check_ours(out, asked)
        check_output_folder(out / DATASET, overwrite=True)
        kept = Kept(out / RESULTS, asked)
        tasks = {
            kept.key(each.group): each.group for each in groups if isinstance(each.group, Group)
        }
        before = {key for key in tasks if kept.get(key) is not None}
        missing = [(key, group) for key, group in tasks.items() if key not in before]
        n_done, why = len(before), dict[str, CommonwealError]()
        if on_done is not None:
            on_done(n_done, len(tasks))
        for key, result in _fresh(given, missing, workers):
            n_done += 1
            if isinstance(result, str):
                _claim(out, asked)
                kept.put_text(key, result)
            else:
                why[key] = result
            if on_done is not None:
                on_done(n_done, len(tasks))
        _claim(out, asked)
        return _finish(groups, kept, why, out, asked, source, len(missing) - len(why))


def _fresh(
    given: Mapping[str, Any], missing: Sequence[Task], workers: Workers
) -> Generator[tuple[str, Result], None, None]:
    """The name of each task and its result, as it comes; ends where an engine fails on and on."""
    if not missing:
        return
    n_failed = 0
    by_workers = workers.results(
        FindingAgreement(given, workers.n_tries),
        missing,
        models=(given["model"], given["reward"]),
        n_calls=given.get("n_candidates") or N_CANDIDATES,
    )
    with closing(by_workers) as results:
        for (key, _), result in results:
            n_failed = n_failed + 1 if isinstance(result, EngineError) else 0
            if n_failed >= FAILED_IN_A_ROW:
                raise EngineError(
                    f"the last {n_failed} groups all failed, so the batch ended here; what is done "
                    f"is kept, and the same command continues. The last error: {result}"
                )
            yield key, result


def _check(given: Mapping[str, Any]) -> None:
    """Refuses before the work what would fail on each group alike."""
    n_candidates = given.get("n_candidates")
    if n_candidates is not None and n_candidates < 1:
        raise InputError(f"n_candidates is {n_candidates}, expected at least 1")
    check_seed(given["seed"])
    if (min_quality := given.get("min_quality")) != "auto":
        check_min_quality(min_quality)
    check_language_model(given["model"])
    check_policy(given["policy"] or default_policy(given["model"]))
    check_reward_model(given["reward"])
    resolve_rule(given.get("welfare"), given.get("alpha"))


def _check_ours(out: Path, asked: Mapping[str, Any]) -> None:
    """Returns where the folder is new, or was begun with the same version and options."""
    if not is_begun(out, ASKED, what="a batch's", option="--out"):
        return
    file = out / ASKED
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {file}: {error}") from None
    if not isinstance(before, dict):
        raise InputError(
            f"{file} holds no options, so it is not a batch's; expected a new or empty folder as "
            "--out"
        )
    now = json.loads(_as_file(asked))
    if before.get("version") != now["version"]:  # first: another version has other options, too
        raise InputError(
            f"{out} was begun with commonweal {before.get('version')}, and this is "
            f"{now['version']}, which may find other results; continue it with that version, or "
            "give another --out to find all groups anew"
        )
    if before != now:
        name = next(name for name in sorted({*before, *now}) if before.get(name) != now.get(name))
        what = name.removesuffix("_sha256")
        if what != name:
            raise InputError(
                f"what {what} {now[what]!r} names has changed since {out} was begun (a file, or a "
                "server's options); restore its content to continue, or give another --out"
            )
        raise InputError(
            f"{out} was begun with {name} {before.get(name)!r}, and now it is {now.get(name)!r}; "
            "give the same options to continue, or another --out"
        )


def _claim(out: Path, asked: Mapping[str, Any]) -> None:
    """Keeps what was asked for, before the first thing that the folder gets.

    Not earlier: options with which nothing could be found must not hold the folder.
    """
    if not (out / ASKED).is_file():
        write_whole(out / ASKED, _as_file(asked))


def _as_file(asked: Mapping[str, Any]) -> str:
    return json.dumps(asked, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _finish(
    groups: Sequence[Given],
    kept: Kept,
    why: Mapping[str, CommonwealError],
    out: Path,
    asked: Mapping[str, Any],
    source: str,
    n_found_now: int,
) -> Finished:
    """Writes the dataset and what was set aside, in the order of the groups."""
    from commonweal.batch.rounds import write_rounds

    set_aside: dict[str, str] = {}
    lines = []

    def results() -> Iterator[tuple[Given, Group, Agreement]]:
        for each in groups:
            error: CommonwealError | None = None
            if isinstance(each.group, InputError):
                error = each.group
            else:
                key = kept.key(each.group)
                result = None if key in why else kept.get(key)
                if result is not None:
                    yield each, each.group, result
                    continue
                error = why.get(key) or InputError("its result was changed after it was kept")
            set_aside[each.name] = str(error)
            line = {"group": each.name, "place": each.place, "reason": str(error)}
            lines.append(json.dumps(line, ensure_ascii=False) + "\n")

    counts: Counter[str] = Counter()
    write_rounds(results(), out / DATASET, asked=asked, source=source, counts=counts)
    counts["set aside"] = len(set_aside)
    write_whole(out / SET_ASIDE, "".join(lines))
    return Finished(dict(counts), n_found_now, out / DATASET, set_aside)
