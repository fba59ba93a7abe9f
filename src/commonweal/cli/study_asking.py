"""What several commands of ``commonweal study`` ask: the extra, the models; and how they count."""

from __future__ import annotations

from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset
    from commonweal.study.config import ArmConfig, StudyConfig
    from commonweal.study.storage.folder import Opened
    from commonweal.study.writing.writer import ProcessWriter


def ask_models(writer: ProcessWriter, config: StudyConfig) -> None:
    """Asks each model one line, and shows what it answers.

    Raises:
        EngineError: one does not answer.
    """
    from commonweal.study.writing.trying import try_arms

    def say(arm: ArmConfig) -> None:
        typer.echo(f"Asking {arm.model} for one line (a large model loads first) …")

    for tried in try_arms(writer, config, on_begin=say):
        typer.echo(f"  it answers in {tried.seconds:.1f} s: {shorten(tried.line, 80)}")


def say_where_nobody_repeats(config: StudyConfig) -> None:
    """Says where a study cannot tell how steady a person's ratings are."""
    from commonweal.datasets.reliability import MIN_REPEATED

    n = config.n_rated_twice
    if config.rounds.passes < 2:
        typer.echo(
            "Each statement is rated once, so nothing will show how steady a person's ratings are "
            "(with rounds.passes = 2, each is rated twice)."
        )
    elif n < MIN_REPEATED:
        typer.echo(
            f"In {config.rounds.count} round{'s' * (config.rounds.count != 1)} a person rates "
            f"{n} statement{'s' * (n != 1)} twice, and telling how steady their ratings are takes "
            f"{MIN_REPEATED}: nobody will be left out as unreliable. For that raise rounds.count, "
            "or shown of an arm."
        )


def counted(dataset: Dataset) -> str:
    """What a study's export holds, in words. Who was shown a statement and gave none gave no
    rating.
    """
    given = dataset.ratings["agreement"].count()
    missing = dataset.ratings.height - given
    n_rounds, n_opinions = dataset.rounds.height, dataset.opinions.height
    return (
        f"{n_rounds} round{'s' * (n_rounds != 1)}, {n_opinions} opinion{'s' * (n_opinions != 1)}, "
        f"{given} ratings of statements{f' ({missing} more are missing)' if missing else ''}, "
        f"{dataset.position_ratings['agreement'].count()} of position statements"
    )


def in_address(host: str) -> str:
    """The host as it stands in an address."""
    return f"[{host}]" if ":" in host else host


def scheme_of(tls_certificate: Path | None, tls_key: Path | None) -> str:
    """How addresses begin."""
    from commonweal.errors import InputError

    if (tls_certificate is None) != (tls_key is None):
        raise InputError("--tls-certificate and --tls-key go together; one of them is missing")
    return "https" if tls_key else "http"


def ready_writer(opened: Opened) -> ProcessWriter:
    """A writer whose models have answered. Where people have joined already, a model that does not
    is a warning: they must come to their pages.

    Raises:
        EngineError: a model does not answer, and nobody has joined.
    """
    from commonweal.errors import EngineError
    from commonweal.study.writing.trying import has_people
    from commonweal.study.writing.writer import ProcessWriter

    writer = ProcessWriter()
    try:
        ask_models(writer, opened.config)
    except EngineError as error:
        writer.close()
        if not has_people(opened.store, opened.study_id):
            raise
        typer.echo(f"Warning: {error}. People have joined, so it is served all the same.", err=True)
    return writer


def needs_extra() -> None:
    """Says how to get the web framework, where it is not installed."""
    from commonweal.extras import require

    require("study", "a study", "sqlalchemy", "starlette", "uvicorn")
