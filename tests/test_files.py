"""A file is written whole or not at all, and what was there stays until then."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from commonweal.errors import InputError
from commonweal.files import (
    check_outputs,
    check_writable,
    content_hash,
    is_begun,
    read_text,
    write_whole,
)


def test_it_is_written_as_utf_8_over_what_was_there(tmp_path):
    path = tmp_path / "page.html"
    write_whole(path, "old")
    write_whole(path, "Grüße 💚\n")
    assert path.read_bytes() == "Grüße 💚\n".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_it_is_as_readable_as_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("x")
    write_whole(tmp_path / "whole", "x")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_was_there_stays_when_it_fails_at_the_end(tmp_path, monkeypatch, error):
    path = tmp_path / "page.html"
    path.write_text("old")

    def fail(self, target):
        raise error

    monkeypatch.setattr(Path, "replace", fail)
    expected = InputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        write_whole(path, "new")
    if expected is InputError:
        assert str(caught.value) == f"cannot write {path}: No space left on device"
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_there_stays_when_the_disk_is_full(tmp_path):
    """In a process that may write files of 1,000 bytes only."""
    path = tmp_path / "page.html"
    path.write_text("old")
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from commonweal.errors import InputError\n"
        "from commonweal.files import write_whole\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    write_whole(Path(sys.argv[1]), 'x' * 100_000)\n"
        "except InputError as error:\n"
        "    print(error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-B", "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert ran.stdout == f"cannot write {path}: File too large\n"
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_told_before(tmp_path):
    with pytest.raises(InputError, match=r"it is a folder"):
        check_writable(tmp_path)
    with pytest.raises(InputError, match=r"there is no folder .*else; make it first"):
        check_writable(tmp_path / "nowhere" / "else" / "page.html")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"there is no folder"):
        write_whole(tmp_path / "file" / "page.html", "x")
    check_writable(tmp_path / "page.html")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="you may not write to the folder"):
        check_writable(tmp_path / "page.html")


# ----------------------------------------------------------------------- links, devices and pipes


def test_a_symlink_stays_and_what_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "page.html", tmp_path / "link.html"
    link.symlink_to(target)
    for text in ("new", "newer"):  # the link leads to nothing the first time
        write_whole(link, text)
        assert link.is_symlink()
        assert target.read_text() == text
    assert list(target.parent.iterdir()) == [target]
    (tmp_path / "lost").symlink_to(tmp_path / "no" / "where" / "page.html")
    with pytest.raises(InputError, match=r"there is no folder .*where; make it first"):
        check_writable(tmp_path / "lost")


def test_a_device_stays_a_device():
    check_writable(Path(os.devnull))
    write_whole(Path(os.devnull), "gone")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_device_is_told():
    with pytest.raises(InputError, match=r"cannot write /dev/full: No space left on device"):
        write_whole(Path("/dev/full"), "x")


def test_a_pipe_is_written_to():
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as reader:
        write_whole(Path(f"/dev/fd/{write_end}"), "Grüße")
        os.close(write_end)
        assert reader.read() == "Grüße".encode()


def test_two_outputs_on_one_file_or_one_on_an_input_are_told(tmp_path):
    group, one = tmp_path / "group.toml", tmp_path / "r"
    group.write_text("x")
    (tmp_path / "link").symlink_to(one)
    (tmp_path / "hard").hardlink_to(group)
    read = {"the group's file": group}
    for other in (one, tmp_path / "." / "r", tmp_path / "link"):
        with pytest.raises(InputError, match=r"--report .* is the same file as --json"):
            check_outputs({"--json": one, "--report": other}, inputs=read)
    for other in (group, tmp_path / "hard"):
        with pytest.raises(InputError, match=r"--json .* is the same file as the group's file"):
            check_outputs({"--json": other, "--report": None}, inputs=read)
    check_outputs({"--json": one, "--report": tmp_path / "s"}, inputs=read)
    null = Path(os.devnull)
    check_outputs({"--json": null, "--report": null}, inputs=read)
    with pytest.raises(InputError, match="there is no folder"):
        check_outputs({"--json": tmp_path / "no" / "where" / "r"}, inputs=read)


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_nothing_is_written_into_a_folder_that_is_read(tmp_path):
    folder, below = tmp_path / "rounds", tmp_path / "rounds" / "below"
    below.mkdir(parents=True)
    (folder / "dataset.json").write_text("{}")
    (tmp_path / "alias").symlink_to(folder)
    (tmp_path / "leads-in").symlink_to(folder / "dataset.json")
    for inside in (
        folder / "dataset.json",
        folder / "new.html",
        below / "new.html",
        tmp_path / "alias" / "new.html",
        tmp_path / "leads-in",
        below / ".." / "new.html",
    ):
        with pytest.raises(InputError, match=r"--report .* lies in ROUNDS, the folder .*rounds"):
            check_outputs({"--report": inside}, inputs={"ROUNDS": folder})
    for outside in (tmp_path / "rounds.html", folder / ".." / "new.html"):
        check_outputs({"--report": outside}, inputs={"ROUNDS": tmp_path / "alias"})


# ------------------------------------------------------------- folders made, names nearly right


def test_a_folder_is_made_where_the_one_above_is_there_and_only_when_something_is_written(tmp_path):
    page = tmp_path / "out" / "page.html"
    check_writable(page)
    assert not page.parent.exists()
    write_whole(page, "x")
    assert page.read_text() == "x"
    with pytest.raises(InputError, match="there is no folder"):
        write_whole(tmp_path / "a" / "b" / "page.html", "x")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "desktop.ini", "._run.json"])
def test_what_a_system_leaves_in_a_folder_changes_nothing(tmp_path, name):
    def begun():
        return is_begun(tmp_path, "run.json", what="a batch's", option="--out")

    (tmp_path / name).write_bytes(b"where its icons stand")
    assert not begun()
    (tmp_path / "part").mkdir()
    with pytest.raises(InputError, match="holds part and is not a batch's"):
        begun()
    (tmp_path / "part" / "a.txt").write_text("a")
    (tmp_path / "run.json").write_text("{}")
    assert begun()
    before = content_hash(tmp_path)
    (tmp_path / "part" / name).write_bytes(b"where its icons stand")
    (tmp_path / name).unlink()
    assert content_hash(tmp_path) == before
    (tmp_path / "part" / "a.txt").write_text("b")
    assert content_hash(tmp_path) != before


@pytest.mark.parametrize(
    ("there", "asked", "meant"),
    [
        ("buses.toml", "busses.toml", "buses.toml"),
        ("Buses.TOML", "buses.toml", "Buses.TOML"),
        ("buses.csv", "buses.toml", "buses.csv"),
        ("buses.toml", "trains.csv", None),
    ],
)
def test_a_wrong_name_brings_the_near_one(tmp_path, there, asked, meant):
    (tmp_path / there).write_text("x")
    with pytest.raises(InputError) as caught:
        read_text(tmp_path / asked, expected="a group", max_bytes=10)
    hint = f"; did you mean {tmp_path / str(meant)}?"
    assert (hint in str(caught.value)) == (meant is not None)
    assert "; expected a group" in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_unicode_is_read_however_it_is_saved(tmp_path, encoding, end):
    text = end.join(['question = "Für alle, 永久 💚?"', 'id = "x"'])
    (tmp_path / "g").write_bytes(text.encode(encoding))
    assert read_text(tmp_path / "g", expected="a text", max_bytes=999) == text


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "mac-roman"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_an_older_encoding_is_refused_with_the_line_and_how_to_save(tmp_path, encoding, end):
    (tmp_path / "g").write_bytes(f"a{end}caf\u00e9{end}".encode(encoding))
    with pytest.raises(InputError, match=r'g, line 2: byte 0x.. is not UTF-8.*"CSV UTF-8"'):
        read_text(tmp_path / "g", expected="a text", max_bytes=999)
