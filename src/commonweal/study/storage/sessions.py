"""Quick sessions that are kept: one that was killed goes on, and none is kept longer than promised.

Each is a database in a private folder of the user's, deleted on request or ``KEPT_DAYS`` after the
last thing that happened in it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from commonweal.errors import InputError
from commonweal.files import data_folder
from commonweal.study.storage.folder import Opened, copies_of, open_kept
from commonweal.study.storage.tables import EventRow, ParticipantRow, StudyRow

KEPT_DAYS = 7
"""How long a session is kept after the last thing that happened in it."""
GOES_ON_HOURS = 12
"""The same command goes on with a session in which something happened no longer ago than this."""
_NAME = re.compile(r"quick-[0-9a-f]{8}")
_SIDE_FILES = ("", "-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True)
class KeptSession:
    """A session that lies on this machine.

    Attributes:
        name: what it is called by, such as "quick-1a2b3c4d".
        path: its database.
        questions: what is asked, in order.
        began_at, last_at: when it was made, and when something last happened in it; seconds since
            1970.
        n_people: how many have joined.
        is_over: whether it has ended.
        keeps_nothing: whether it was to be deleted when it was stopped: it was killed, or runs.
    """

    name: str
    path: Path
    questions: tuple[str, ...]
    began_at: float
    last_at: float
    n_people: int
    is_over: bool
    keeps_nothing: bool = False


def sessions_folder() -> Path:
    """Where sessions are kept: for their owner alone.

    Raises:
        InputError: the folder cannot be made.
    """
    folder = data_folder() / "sessions"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise InputError(
            f"cannot make {folder} ({error.strerror or error}); set COMMONWEAL_DATA to a folder "
            "that you may write to"
        ) from None
    return folder


def kept_sessions() -> list[KeptSession]:
    """All sessions that are kept, the one in which something happened last first."""
    return _found()[0]


def unread_sessions() -> list[Path]:
    """The databases of sessions that cannot be read: of another version of the tables, or half
    made. They can be deleted by their names.
    """
    return _found()[1]


def _found() -> tuple[list[KeptSession], list[Path]]:
    sessions, unread = [], []
    for path in sorted(sessions_folder().glob("*.db")):
        try:
            sessions.append(kept_session(path))
        except InputError:
            if _NAME.fullmatch(path.stem):  # else it may be anybody's
                unread.append(path)
    return sorted(sessions, key=lambda each: -each.last_at), unread


def kept_session(path: Path) -> KeptSession:
    """What a session's database holds.

    Raises:
        InputError: it is no session's database.
    """
    opened = open_kept(path)
    try:
        with opened.store.read() as db:
            study = db.get_one(StudyRow, opened.study_id)
            if study.kind != "quick":
                raise InputError(f"{path} holds a study; expected a quick session")
            last = db.scalar(select(func.max(EventRow.at)).where(EventRow.study_id == study.id))
            n_people = db.scalar(
                select(func.count(ParticipantRow.id)).where(ParticipantRow.study_id == study.id)
            )
            return KeptSession(
                name=study.name,
                path=path,
                questions=tuple(each.text for each in opened.config.questions),
                began_at=study.created_at,
                last_at=max(last or 0.0, study.created_at),
                n_people=n_people or 0,
                is_over=study.closed_at is not None,
                keeps_nothing=study.keeps_nothing,
            )
    finally:
        opened.store.close()


def to_go_on_with(questions: Sequence[str], *, now: float | None = None) -> KeptSession | None:
    """The session on these questions that broke off lately, if there is one."""
    now = time.time() if now is None else now
    asked = tuple(" ".join(each.split()) for each in questions)
    for each in kept_sessions():
        if each.questions == asked and not each.is_over:
            return each if each.last_at > now - 3600 * GOES_ON_HOURS else None
    return None


def delete_session(path: Path) -> None:
    """Deletes a session's files, and the copies from before its tables changed."""
    for end in _SIDE_FILES:
        path.with_name(path.name + end).unlink(missing_ok=True)
    for copy in copies_of(path):
        copy.unlink(missing_ok=True)


def delete_named(name: str) -> None:
    """Deletes the session of this name.

    Raises:
        InputError: there is none.
    """
    path = sessions_folder() / f"{name}.db"
    if Path(name).name != name or not path.exists():
        sessions, unread = _found()
        names = [*(each.name for each in sessions), *(each.stem for each in unread)]
        known = ", ".join(names) or "none"
        raise InputError(f"there is no session {name!r}; expected one that is kept: {known}")
    delete_session(path)


def delete_old(*, now: float | None = None, going_on: Sequence[str] = ()) -> list[str]:
    """The names of the sessions whose time was over: they are deleted.

    That is so after ``KEPT_DAYS``, and at once where nothing was to be kept and the session was
    killed before it could see to that, unless it is to go on now. Of a session that cannot be read
    the files say when something last happened.

    Args:
        now: seconds since 1970; by default the time now.
        going_on: the questions of the session that is about to go on.
    """
    now = time.time() if now is None else now
    sessions, unread = _found()
    gone = []
    for path in unread:
        if _changed_at(path) <= now - 86_400 * KEPT_DAYS and not _is_open(path):
            delete_session(path)
            gone.append(path.stem)
    for each in sessions:
        goes_on = each.questions == tuple(going_on) and each.last_at > now - 3600 * GOES_ON_HOURS
        is_left = each.keeps_nothing and not goes_on and not _is_open(each.path)
        if is_left or each.last_at <= now - 86_400 * KEPT_DAYS:
            delete_session(each.path)
            gone.append(each.name)
    return gone


def _changed_at(path: Path) -> float:
    """When the database was last written to; what is new may stand in its log alone."""
    files = (path, path.with_name(f"{path.name}-wal"))
    return max(file.stat().st_mtime for file in files if file.exists())


def _is_open(path: Path) -> bool:
    """Whether a process has the database open: it cannot be taken out of its journal then."""
    try:
        with closing(sqlite3.connect(path, timeout=0.2)) as db:
            return str(db.execute("PRAGMA journal_mode=DELETE").fetchone()[0]) != "delete"
    except sqlite3.OperationalError:  # locked
        return True
    except sqlite3.DatabaseError:  # no database
        return False


def keeps_nothing(opened: Opened, *, asked: bool) -> bool:
    """Whether the session's data go when it is stopped: as is asked for now, or as people were told
    when it began.
    """
    with opened.store.transaction(opened.study_id) as tx:
        tx.study.keeps_nothing = tx.study.keeps_nothing or asked
        return tx.study.keeps_nothing


def facilitator_token(name: str) -> str:
    """The secret of a session's private link: the same whenever it is asked for on this machine.

    So a session that was killed goes on in the facilitator's open browser, and only a hash of the
    secret lies with the session's data.
    """
    path = sessions_folder() / "key"
    try:
        with path.open("x", encoding="ascii") as file:
            path.chmod(0o600)
            file.write(secrets.token_hex(32))
    except FileExistsError:
        pass
    key = path.read_text(encoding="ascii")
    return hmac.new(key.encode(), name.encode(), hashlib.sha256).hexdigest()
