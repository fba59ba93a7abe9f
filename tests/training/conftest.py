"""One thread: on networks this small more threads only wait for each other."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def one_thread(request: pytest.FixtureRequest) -> None:
    if any(item.get_closest_marker("train") for item in request.session.items):
        torch = pytest.importorskip("torch")
        torch.set_num_threads(1)
