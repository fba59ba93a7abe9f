"""What a training run leaves behind when it fails: nothing that refuses its own fix."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from commonweal.errors import InputError
from commonweal.training import run_folder


class Config(BaseModel):
    steps: int = 1


def failing(out, error, *, config=None, checkpoint=False):
    """A run that writes something, and fails."""
    with run_folder.opened(out, config or Config()):
        (out / run_folder.ROWS).write_text("half")
        if checkpoint:
            whole = out / run_folder.CHECKPOINTS / "checkpoint-10"
            whole.mkdir(parents=True)
            run_folder.mark_whole(whole)
        raise error


def test_a_refused_run_leaves_nothing_behind(tmp_path):
    out = tmp_path / "runs" / "mine"
    with pytest.raises(InputError, match="no such data"):
        failing(out, InputError("no such data"), config=Config(steps=0))
    assert not out.exists()
    with run_folder.opened(out, Config(steps=5)):  # mended
        pass
    assert (out / run_folder.RUN).is_file()


def test_what_is_somebody_elses_stays_where_a_run_is_refused(tmp_path):
    out = tmp_path / "mine"
    with run_folder.opened(out, Config()):
        (out / "notes.txt").write_text("years of work")
    with pytest.raises(InputError, match="refused"):
        failing(out, InputError("refused"))
    assert {path.name for path in out.iterdir()} == {".lock", "notes.txt"}


@pytest.mark.parametrize("error", [InputError("late"), KeyboardInterrupt()])
def test_a_run_with_a_whole_checkpoint_is_gone_on_with(tmp_path, error):
    out = tmp_path / "mine"
    with pytest.raises(type(error)):
        failing(out, error, checkpoint=True)
    assert run_folder.last_checkpoint(out) is not None
    with pytest.raises(InputError, match="begun with another config"):
        failing(out, InputError("never reached"), config=Config(steps=2))
    with run_folder.opened(out, Config()):
        pass


def test_a_run_of_before_goes_on_where_its_version_noted_fewer_files(tmp_path):
    out, noted, unnoted = (tmp_path / name for name in ("mine", "rounds.csv", "split.csv"))
    noted.write_text("1")
    unnoted.write_text("2")
    with run_folder.opened(out, Config(), data=[noted]):
        pass
    with run_folder.opened(out, Config(), data=[noted, unnoted]):
        pass
    unnoted.write_text("3")  # noted by now
    with (
        pytest.raises(InputError, match=r"begun with other data, .*split\.csv"),
        run_folder.opened(out, Config(), data=[noted, unnoted]),
    ):
        pass
