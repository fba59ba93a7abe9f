"""Sixty simulated people through a real server: nobody is stuck, nothing is lost."""

from __future__ import annotations

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

from study_making import small_study

from commonweal.errors import EngineError
from commonweal.study.export.dataset import export_study
from commonweal.study.simulation.simulate import PROFILES, simulate
from commonweal.study.simulation.stock import StockWriter
from commonweal.study.storage.clock import ManualClock
from commonweal.study.storage.store import Store
from commonweal.study.web.app import App


class OneDeadArm(StockWriter):
    """The arm "first" writes nothing for a group; the minority's sentence is written."""

    def write(self, task, *, timeout_seconds):
        if task.arm.name == "first" and not task.for_minority:
            raise EngineError("it is not there")
        return super().write(task, timeout_seconds=timeout_seconds)


def run(url, n_people, profile, seed=0, out=None, writer=None, **changes):
    clock = ManualClock()
    store = Store(url, clock=clock)
    study_id = store.open_study(small_study(**changes))
    app = App(store, study_id, writer=writer or StockWriter(), in_background=False, simulated=True)
    report = simulate(app, clock, n_people=n_people, profile=PROFILES[profile], seed=seed)
    if out is not None:
        export_study(store, study_id, out)
    store.close()
    assert report.stuck == []
    assert report.lost == []
    return report


def test_steady_people_all_finish(database_url):
    report = run(database_url, 8, "steady", rounds={"count": 1})
    assert report.outcomes == {"complete": 8}
    assert report.n_opinions == 8
    assert report.n_ratings == 8 * (1 + 3 * 2)


@pytest.mark.parametrize("minority", [False, True])
def test_rounds_in_which_an_arm_wrote_nothing_are_counted_once(tmp_path, minority):
    report = run(
        f"sqlite:///{tmp_path}/study.db",
        8,
        "steady",
        writer=OneDeadArm(),
        rounds={"count": 1, "passes": 1, "minority": minority},
        generation={"attempts": 3},
    )
    assert report.n_rounds == 2
    assert report.n_written == {"second": 2}
    assert len(report.failures) == 2
    assert all(each.startswith("first: ") for each in report.failures)


@pytest.mark.slow
def test_sixty_people_as_people_are(tmp_path):
    report = run(f"sqlite:///{tmp_path}/study.db", 60, "usual", rounds={"count": 1, "passes": 1})
    assert report.outcomes["complete"] > 30
    assert report.simulated_seconds > 600


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["usual", "bad line"])
def test_many_people_for_long(database_url, profile):
    report = run(database_url, 60, profile, seed=1)
    assert report.outcomes["complete"]
