"""``commonweal study``: groups write opinions and rate statements in their browsers (paper 3.2)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from commonweal.cli.study_asking import (
    ask_models,
    counted,
    in_address,
    needs_extra,
    ready_writer,
    say_where_nobody_repeats,
    scheme_of,
)
from commonweal.cli.study_options import (
    BaseUrl,
    Database,
    Folder,
    FolderOrFile,
    Host,
    Port,
    TlsCertificate,
    TlsKey,
    TrustedProxy,
)
from commonweal.cli.study_quick import quick, sessions
from commonweal.cli.study_simulate import EXAMPLE as SIMULATE
from commonweal.cli.study_simulate import simulate

if TYPE_CHECKING:
    from commonweal.study.config import StudyConfig
    from commonweal.study.storage.folder import Opened

app = typer.Typer(
    name="study",
    help="Run a study or a quick session: people write opinions and rate statements in the "
    "browser.",
    epilog='Example: commonweal study quick "Should local buses be free?"',
    no_args_is_help=True,
    rich_markup_mode="rich",
)

app.command("simulate", epilog=SIMULATE)(simulate)

Role = Literal["owner", "researcher", "moderator"]


@app.command(epilog="Example: commonweal study new buses")
def new(name: Annotated[Path, typer.Argument(help="The folder to make for the study.")]) -> None:
    """Write a study file to start from, in a new folder."""
    needs_extra()
    from commonweal.study.storage.folder import new_study

    path = new_study(name)
    typer.echo(f"Wrote {path}. Edit it, then: commonweal study serve {name}")


@app.command(epilog="Example: commonweal study validate buses")
def validate(name: Folder) -> None:
    """Check a study's file, and ask each of its models for one line.

    Names the line that is wrong, or the reason why a model does not answer.
    """
    needs_extra()
    from commonweal.study.config import read_study
    from commonweal.study.storage.folder import FILE
    from commonweal.study.writing.writer import ProcessWriter

    config = read_study(name / FILE)
    _check_texts(name, config)
    typer.echo(
        f"{name / FILE}: {len(config.arms)} arm{'s' if len(config.arms) != 1 else ''}, "
        f"{len(config.questions)} questions, groups of {config.group.minimum} to "
        f"{config.group.size}"
    )
    say_where_nobody_repeats(config)
    writer = ProcessWriter()
    try:
        ask_models(writer, config)
    finally:
        writer.close()
    typer.echo(f"Ready: commonweal study serve {name}")


@app.command(epilog="Example: commonweal study serve buses --port 8000")
def serve(
    name: Folder,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    database: Database = "",
    base_url: BaseUrl = "",
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    trusted_proxy: TrustedProxy = "",
    no_writing: Annotated[
        bool,
        typer.Option("--no-writing", help="Leave all writing to commonweal study work."),
    ] = False,
) -> None:
    """Serve a study until Ctrl-C. People join at /join; researchers log in at /researcher."""
    opened = _opened(name, database)
    from commonweal.errors import InputError
    from commonweal.study.web import server
    from commonweal.study.web.app import App

    scheme = scheme_of(tls_certificate, tls_key)
    if trusted_proxy and not base_url:
        raise InputError(
            "--trusted-proxy needs --base-url, the address that people see: links must not depend "
            "on what a request says"
        )
    listening = server.bound(host, port)
    writer = None if no_writing else ready_writer(opened)
    seen_as = server.address_in_the_network() if host in ("0.0.0.0", "::") else host  # noqa: S104
    shown = base_url.rstrip("/") or f"{scheme}://{in_address(seen_as)}:{port}"
    study_app = App(
        opened.store, opened.study_id, writer=writer, base_url=shown, writes=not no_writing
    )
    if not server.is_local(host) and scheme == "http" and not trusted_proxy:
        typer.echo(
            "Warning: this is not encrypted. Use --tls-certificate and --tls-key, or a proxy "
            "with TLS and --trusted-proxy.",
            err=True,
        )

    def ready() -> None:
        typer.echo(f"{opened.config.title}\nPeople join:  {shown}/join")
        typer.echo(f"Researchers:  {shown}/researcher   (Ctrl-C stops; everything is kept)")
        if no_writing:
            typer.echo(f"Nothing is written here. Groups wait for: commonweal study work {name}")

    server.serve(
        study_app,
        listening,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
        trusted_proxy=trusted_proxy,
        on_ready=ready,
    )


@app.command(epilog="Example: commonweal study work buses")
def work(name: Folder, database: Database = "") -> None:
    """Write for a study that is served, until Ctrl-C or SIGTERM.

    Any number of workers may run, on any machine that reaches the database, beside servers that
    write too or that leave it to them (--no-writing). A worker that is told to end gives its job
    back; the job of one that dies is taken up by another.
    """
    opened = _opened(name, database)
    from commonweal.study.writing.working import work as worked

    writer = ready_writer(opened)
    worked(
        opened.store,
        opened.study_id,
        writer,
        on_ready=lambda: typer.echo(f"Writing for {opened.config.title} (Ctrl-C stops)"),
    )


app.command(epilog='Example: commonweal study quick "Should local buses be free?"')(quick)
app.command(epilog="Example: commonweal study sessions --delete quick-1a2b3c4d")(sessions)


@app.command(epilog="Example: commonweal study invite buses --n 20 --base-url https://example.org")
def invite(
    name: Folder,
    n: Annotated[int, typer.Option(min=1, max=10_000, help="How many links to print.")] = 1,
    base_url: BaseUrl = "http://127.0.0.1:8000",
    database: Database = "",
) -> None:
    """Print private links, one for each person. Each works once."""
    opened = _opened(name, database)
    from commonweal.study.domain import people

    for _ in range(n):
        with opened.store.transaction(opened.study_id) as tx:
            token = people.invite(tx)
        typer.echo(f"{base_url.rstrip('/')}/i/{token}")


@app.command(epilog="Example: commonweal study researcher buses ada --role owner")
def researcher(
    name: Folder,
    user: Annotated[str, typer.Argument(help="The name to log in with.")],
    role: Annotated[
        Role,
        typer.Option(help="What the account may do. A moderator sees only the moderation queue."),
    ] = "owner",
    database: Database = "",
) -> None:
    """Create an account for the researcher pages, or change its password and role."""
    opened = _opened(name, database)
    from commonweal.study.domain.researchers import set_researcher

    password = typer.prompt("Password", hide_input=True, confirmation_prompt=sys.stdin.isatty())
    set_researcher(opened.store, user, password, role)
    typer.echo(f"{user} ({role}) can log in under /researcher")


@app.command(epilog="Example: commonweal study export buses --out buses-data")
def export(
    name: FolderOrFile,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The dataset to write.")],
    payments_file: Annotated[
        Path | None,
        typer.Option(
            "--payments",
            metavar="FILE",
            help="Also write the payment list as CSV. It holds personal data.",
        ),
    ] = None,
    database: Database = "",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the dataset if it exists.")
    ] = False,
) -> None:
    """Export a study in the record format, with random names in place of people's ids."""
    needs_extra()
    from commonweal.files import write_whole
    from commonweal.study.export.dataset import LEFT_OUT, export_study
    from commonweal.study.export.payments import payments
    from commonweal.study.storage.folder import open_kept, open_served

    opened = open_kept(name) if name.is_file() else open_served(name, database)
    dataset = export_study(opened.store, opened.study_id, out, overwrite=overwrite)
    typer.echo(f"Wrote {out}: {counted(dataset)} ({dataset.about.people})")
    if (last := dataset.about.steps[-1]).what == LEFT_OUT:
        lost = ", ".join(f"{n} of {name}" for name, n in last.counts.items())
        typer.echo(f"Warning: {last.what}: {lost}", err=True)
    if payments_file is not None:
        write_whole(payments_file, payments(opened.store, opened.study_id), private=True)
        typer.echo(f"Wrote {payments_file}: it names people; keep it apart from the data")


@app.command(epilog="Example: commonweal study backup buses --out buses-friday.db")
def backup(
    name: FolderOrFile,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The new file to write.")],
) -> None:
    """Copy a study's database while it runs, into one file that only its owner can read.

    Do not copy study.db by hand while the study runs. The database may be up to three files
    (study.db, study.db-wal, study.db-shm), and the first alone lacks the newest answers.
    """
    needs_extra()
    from commonweal.study.storage.folder import DATABASE, back_up

    back_up(name if name.is_file() else name / DATABASE, out)
    typer.echo(f"Wrote {out}. Look into it: commonweal study export {out} --out FOLDER")


@app.command(epilog="Example: commonweal study migrate buses")
def migrate(
    name: FolderOrFile,
    database: Database = "",
    dumped: Annotated[
        bool, typer.Option("--dumped", help="There is a dump of the PostgreSQL database.")
    ] = False,
) -> None:
    """Bring the database of an older version of commonweal up to this one.

    Stop its servers and workers first. An SQLite database is copied first, to a file beside it.
    """
    needs_extra()
    from commonweal.study.storage.folder import DATABASE
    from commonweal.study.storage.migrating import migrate as migrated

    path = name if name.is_file() else name / DATABASE
    done = migrated(database or f"sqlite:///{path}", has_dump=dumped)
    if done.before == done.after:
        typer.echo(f"The database has version {done.after} of the tables: nothing to do.")
        return
    typer.echo(f"The database had version {done.before} of the tables and now has {done.after}.")
    if done.copy is not None:
        typer.echo(
            f"{done.copy} is the database from before. It keeps what people delete later: "
            "remove it once all is well."
        )


def _opened(name: Path, database: str) -> Opened:
    needs_extra()
    from commonweal.study.storage.folder import open_folder

    opened = open_folder(name, database)
    _check_texts(name, opened.config)
    return opened


def _check_texts(name: Path, config: StudyConfig) -> None:
    """Returns where every text that the study replaces is one that there is: before models load.

    Raises:
        InputError: one is not.
    """
    from commonweal.errors import InputError
    from commonweal.study.storage.folder import FILE
    from commonweal.study.web.translation import check_texts

    try:
        check_texts(config)
    except InputError as error:
        raise InputError(f"{name / FILE}: {error}") from None
