"""``commonweal study quick``: a group in the room; and the sessions that are kept."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from commonweal.cli.options import Model
from commonweal.cli.study_asking import in_address, needs_extra, ready_writer, scheme_of
from commonweal.cli.study_options import BaseUrl, Host, Port, TlsCertificate, TlsKey, TrustedProxy
from commonweal.models import DEFAULT_MODEL, check_language_model

if TYPE_CHECKING:
    from commonweal.study.config import StudyConfig
    from commonweal.study.storage.folder import Opened
    from commonweal.study.storage.sessions import KeptSession

Kept = Literal["days", "file", "nothing"]


def quick(
    questions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="QUESTION...",
            help="The question to ask. Several are asked one after the other.",
        ),
    ] = None,
    model: Model = DEFAULT_MODEL,
    spare_model: Annotated[
        list[str] | None,
        typer.Option(
            help="Another model that you can choose on your page if the first one fails. "
            "Repeatable. The embedded model is always offered."
        ),
    ] = None,
    language: Annotated[
        Literal["en", "de"], typer.Option(help="The language of the pages.")
    ] = "en",
    review: Annotated[
        bool,
        typer.Option("--review", help="Hold every statement until you have read and released it."),
    ] = False,
    revise: Annotated[
        bool,
        typer.Option(
            "--revise",
            help="Before each result, ask what people would change about the statement, and "
            "revise it. Without this option you can still do so from your page.",
        ),
    ] = False,
    minority: Annotated[
        bool,
        typer.Option(
            "--minority",
            help="Also write a short statement for those who disagree, from their opinions, and "
            "show it with the result.",
        ),
    ] = False,
    host: Host = "0.0.0.0",  # noqa: S104 - phones in the same network must reach it
    port: Port = 8000,
    base_url: BaseUrl = "",
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Keep the session's data in this file until you delete it."
        ),
    ] = None,
    keep_nothing: Annotated[
        bool,
        typer.Option("--keep-nothing", help="Delete the session's data when you stop it."),
    ] = False,
    new: Annotated[
        bool,
        typer.Option(
            "--new", help="Start a new session even if one on this question was interrupted."
        ),
    ] = False,
    reopen: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Serve this kept session again, instead of asking a QUESTION."
        ),
    ] = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    trusted_proxy: TrustedProxy = "",
) -> None:
    """Ask a group in a room: people join by phone, write opinions, rate statements, see the result.

    Prints a link and a QR code for the people and a private link for you. Your page shows a code
    that changes every minute; whoever sees it can join. For 2 to 50 people. Run the same command
    again to continue an interrupted session. The data is kept for 7 days in a private folder,
    unless --keep or --keep-nothing says otherwise.
    """
    needs_extra()
    import segno

    from commonweal.study.domain.door import link_code
    from commonweal.study.domain.quick import quick_study
    from commonweal.study.storage.sessions import delete_old
    from commonweal.study.web import server
    from commonweal.study.web.app import App

    _check_together(questions, keep, keep_nothing=keep_nothing, reopen=reopen)
    scheme = scheme_of(tls_certificate, tls_key)
    for each in spare_model or ():
        check_language_model(each)
    config = None
    if questions:
        config = quick_study(
            questions,
            model=model,
            language=language,
            review=review,
            revise=revise,
            minority=minority,
        )
    going_on = () if config is None or new else tuple(each.text for each in config.questions)
    for name in delete_old(going_on=going_on):
        typer.echo(f"Deleted the session {name}: its time was over.")
    listening = server.bound(host, port)
    with (
        server.ended_in_order(),
        _held(config, keep, reopen, is_new=new, keep_nothing=keep_nothing) as held,
    ):
        opened, token, path, keep_nothing = held
        writer = ready_writer(opened)
        seen_as = server.address_in_the_network() if host in ("0.0.0.0", "::") else host  # noqa: S104
        address = base_url.rstrip("/") or f"{scheme}://{in_address(seen_as)}:{port}"
        kept: Kept = "file" if keep else "nothing" if keep_nothing else "days"
        app = App(
            opened.store,
            opened.study_id,
            writer=writer,
            base_url=address,
            spare_models=[*(spare_model or ()), DEFAULT_MODEL],
            kept=kept,
            has_door=True,
        )

        def ready() -> None:
            with opened.store.transaction(opened.study_id) as tx:
                link = f"{address}/join?code={link_code(tx)}"
            segno.make(link, error="m").terminal(out=sys.stdout, compact=True)
            typer.echo(f"People join:       {link}")
            typer.echo(f"You (keep secret): {address}/f/{token}")
            typer.echo("Ctrl-C stops the session" + _until(opened.config.name, path, kept))

        server.serve(
            app,
            listening,
            tls_certificate=tls_certificate,
            tls_key=tls_key,
            trusted_proxy=trusted_proxy,
            on_ready=ready,
        )


def sessions(
    delete: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Delete this session's data. Repeatable."),
    ] = None,
    delete_all: Annotated[
        bool, typer.Option("--delete-all", help="Delete the data of all kept sessions.")
    ] = False,
) -> None:
    """List the quick sessions kept on this machine, or delete them."""
    needs_extra()
    from commonweal.study.storage.sessions import (
        KEPT_DAYS,
        delete_named,
        delete_old,
        kept_sessions,
        sessions_folder,
        unread_sessions,
    )

    gone = delete_old()
    wanted = [*(delete or ())]
    if delete_all:
        wanted += [path.stem for path in sessions_folder().glob("*.db")]
    for name in wanted:
        delete_named(name)
        gone.append(name)
    for name in gone:
        typer.echo(f"Deleted {name}")
    kept, unread = kept_sessions(), unread_sessions()
    if not kept and not unread:
        typer.echo("No session is kept on this machine.")
    for each in kept:
        typer.echo(_line(each))
        typer.echo(f"  {each.path}")
    for path in unread:
        typer.echo(f"{path.stem}  of another version of commonweal, or damaged\n  {path}")
    if kept or unread:
        typer.echo(
            f"Each is deleted {KEPT_DAYS} days after its last activity, the next time you begin or "
            "list a session."
        )
    if kept:
        typer.echo(
            "To serve one again: commonweal study quick --reopen NAME. As a dataset: commonweal "
            "study export PATH --out FOLDER"
        )


def _check_together(
    questions: list[str] | None, keep: Path | None, *, keep_nothing: bool, reopen: str | None
) -> None:
    from commonweal.errors import InputError

    if bool(questions) == bool(reopen):
        raise InputError(
            'expected a question, or --reopen NAME: commonweal study quick "Should buses be free?"'
        )
    if keep is not None and (keep_nothing or reopen):
        raise InputError("--keep FILE does not go with --keep-nothing or --reopen")


def _session(
    config: StudyConfig | None, keep: Path | None, reopen: str | None, *, is_new: bool
) -> tuple[Opened, str, Path]:
    """The session, the facilitator's token, its database: one that broke off, or a new one."""
    from commonweal.errors import InputError
    from commonweal.study.domain import quick
    from commonweal.study.storage import sessions as kept

    folder = kept.sessions_folder()
    if config is None:
        path = folder / f"{reopen}.db"
        if Path(reopen or "").name != reopen or not path.exists():
            known = ", ".join(each.name for each in kept.kept_sessions()) or "none"
            raise InputError(f"there is no session {reopen!r}; expected one that is kept: {known}")
        return *quick.go_on(path), path
    asked = tuple(each.text for each in config.questions)
    before = None
    if keep is None:
        before = None if is_new else kept.to_go_on_with(asked)
    elif keep.exists():
        before = kept.kept_session(keep)
        if is_new or before.is_over or before.questions != asked:
            raise InputError(
                f"{keep} already exists and holds no interrupted session on this question; "
                "expected a new file"
            )
    if before is not None:
        typer.echo(
            f"Continuing the session of {_date(before.began_at)} ({_people(before.n_people)}); "
            "--new begins another one."
        )
        return *quick.go_on(before.path, model=config.arms[0].model), before.path
    path = keep or folder / f"{config.name}.db"
    try:
        return *quick.begin_session(config, path), path
    except BaseException:  # ended meanwhile, by Ctrl-C or the system: nobody has joined it yet
        kept.delete_session(path)
        raise


@contextmanager
def _held(
    config: StudyConfig | None,
    keep: Path | None,
    reopen: str | None,
    *,
    is_new: bool,
    keep_nothing: bool,
) -> Iterator[tuple[Opened, str, Path, bool]]:
    """The session, the facilitator's token, its database, and whether nothing is to be kept; ended
    in order, however and whenever what is done in it ends.
    """
    from commonweal.errors import CommonwealError
    from commonweal.study.storage.sessions import keeps_nothing
    from commonweal.study.writing.trying import has_people

    opened, token, path = _session(config, keep, reopen, is_new=is_new)
    is_to_go = keeps_nothing(opened, asked=keep_nothing)
    try:
        yield opened, token, path, is_to_go
    except CommonwealError:
        # Of one that could not begin nothing is left; one that was to go on still can.
        keep, is_to_go = None, False
        raise
    finally:
        is_empty = keep is None and not has_people(opened.store, opened.study_id)
        _stop(opened, path, delete=is_to_go or is_empty)


def _stop(opened: Opened, path: Path, *, delete: bool) -> None:
    """Closes the session's database; deletes it where nothing is to be kept or nobody joined."""
    from commonweal.study.storage.sessions import delete_session

    opened.store.close()
    if delete:
        delete_session(path)


def _until(name: str, path: Path, kept: Kept) -> str:
    """What becomes of the data, as the end of a sentence."""
    from commonweal.study.storage.sessions import KEPT_DAYS

    if kept == "nothing":
        return " and deletes its data."
    if kept == "file":
        return f"; the same command continues it. Its data is kept in {path}."
    return (
        f"; the same command continues it. Its data is kept for {KEPT_DAYS} days "
        f"(delete it before: commonweal study sessions --delete {name})."
    )


def _line(each: KeptSession) -> str:
    state = "over" if each.is_over else "not over"
    more = f" (+{len(each.questions) - 1})" if len(each.questions) > 1 else ""
    return (
        f"{each.name}  {_date(each.began_at)}  {_people(each.n_people)}, {state}: "
        f"{each.questions[0]}{more}"
    )


def _people(n: int) -> str:
    return "one person" if n == 1 else f"{n} people"


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
