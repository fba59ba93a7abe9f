"""Where the files of a Polis export are: a folder or a zip, under the names of any download."""

from __future__ import annotations

import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from commonweal.errors import InputError
from commonweal.files import near_path

EXPORT = "a Polis export: comments.csv, votes.csv or participants-votes.csv, summary.csv"

_KINDS = ("comments", "participants-votes", "votes", "summary")
_NAME = re.compile(
    r"(?P<prefix>.*?)(?:^|[-_. ])(?P<kind>comments|participants?-votes|votes|summary)"
    r"(?:[-_. ]*(?:copy|kopie|copie|copia))?(?: ?\(\d+\))?\.csv(?:\.txt)?",
    re.IGNORECASE,
)
_MOST_UNPACKED_BYTES = 4_000_000_000


@dataclass(frozen=True, slots=True)
class PolisExport:
    """The files of one conversation.

    Attributes:
        folder: what was given.
        comments: the comments; where there is none, the name that it should have.
        votes: one row a vote; None where there is none.
        wide: one row a participant; None where there is none.
        summary: topic and description; None where there is none.
    """

    folder: Path
    comments: Path
    votes: Path | None
    wide: Path | None
    summary: Path | None


@contextmanager
def opened(path: Path) -> Iterator[PolisExport]:
    """The export in a folder or a zip, which is unpacked for as long as the context lasts.

    Names may have a prefix, as the report page downloads them (DATE-TIME-ID-votes.csv).

    Raises:
        InputError: there is no such folder, or it holds the files of several conversations.
    """
    if path.is_dir():
        packed = [each for each in path.iterdir() if each.suffix.lower() == ".zip"]
        export = _export_in(path)
        if len(packed) == 1 and not export.comments.exists():
            with opened(packed[0]) as inner:
                yield inner
            return
        yield export
        return
    if not path.exists():
        raise InputError(f"no folder {path}{near_path(path)}; expected {EXPORT}")
    if not zipfile.is_zipfile(path):
        hint = f": {path.parent}" if _NAME.fullmatch(path.name) else ""
        raise InputError(
            f"{path} is neither a folder nor a zip; expected the folder of {EXPORT}{hint}"
        )
    with tempfile.TemporaryDirectory(prefix="polis-") as name:
        unpacked = Path(name)
        try:
            _unpack(path, unpacked)
            yield _export_in(unpacked)
        except InputError as error:
            # The reader knows the zip, not where it was unpacked.
            raise InputError(str(error).replace(str(unpacked), str(path))) from None
        except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
            raise InputError(f"cannot read {path}: {error}; expected {EXPORT}, zipped") from None


def _unpack(path: Path, folder: Path) -> None:
    """The files of an export out of a zip, in whatever folder they lie there, by their names."""
    with zipfile.ZipFile(path) as packed:
        wanted = [
            each
            for each in packed.infolist()
            if not each.is_dir()
            and "__MACOSX" not in each.filename
            and _NAME.fullmatch(PurePosixPath(each.filename.replace("\\", "/")).name)
        ]
        if sum(each.file_size for each in wanted) > _MOST_UNPACKED_BYTES:
            raise InputError(f"{path} unpacks to more than {_MOST_UNPACKED_BYTES:,} bytes")
        for each in wanted:
            # Only the name: a path in a zip may lead anywhere.
            target = folder / PurePosixPath(each.filename.replace("\\", "/")).name
            if target.exists():
                raise InputError(
                    f"{path} holds {target.name} twice; expected one conversation a zip"
                )
            with packed.open(each) as source, target.open("wb") as written:
                shutil.copyfileobj(source, written)


def _export_in(folder: Path) -> PolisExport:
    files: dict[str, list[Path]] = {kind: [] for kind in _KINDS}
    for file in sorted(folder.iterdir()):
        if named := _NAME.fullmatch(file.name):
            kind = named["kind"].lower().replace("participant-", "participants-")
            files[kind].append(file)
    inner = [each for each in folder.iterdir() if each.is_dir() and each.name[:1] not in "._"]
    if not any(files.values()) and len(inner) == 1:
        return _export_in(inner[0])  # unpacked into a folder of its own
    for kind, there in files.items():
        plain = [file for file in there if file.name.lower() == f"{kind}.csv"]
        if len(there) > 1 and not plain:
            raise InputError(
                f"{folder} holds {len(there)} files of {kind} ({there[0].name}, {there[1].name}); "
                "expected one conversation a folder"
            )
        files[kind] = plain or there
    one = {kind: there[0] if there else None for kind, there in files.items()}
    return PolisExport(
        folder,
        one["comments"] or folder / "comments.csv",
        one["votes"],
        one["participants-votes"],
        one["summary"],
    )
