"""What every test may ask for: the real weights, which `make test` pulls first."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from commonweal.errors import WeightsError
from commonweal.models import store
from commonweal.models.embedded_engine import EmbeddedModel
from commonweal.models.packaged import SMALL_LANGUAGE_MODEL

# A job that a shell started in the background inherits an ignored Ctrl-C, and so do its children;
# the tests that press it need it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Examples of a property: few while somebody waits, more in CI, where every run draws the same, and
# most in `make test-slow`. No deadline: the first example of a test may load a library.
settings.register_profile("quick", deadline=None, max_examples=15)
settings.register_profile("ci", deadline=None, max_examples=100, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=500)
settings.load_profile("ci" if "CI" in os.environ else "quick")


def _pulled(name: str) -> Path:
    try:
        return store.require(name)
    except WeightsError as error:
        pytest.fail(f"{error} (or run `make test`, which does it first)")


@pytest.fixture(scope="session")
def smollm2_gguf() -> Path:
    """SmolLM2-135M-Instruct as Q8_0, the language model of the tests."""
    return _pulled(SMALL_LANGUAGE_MODEL) / (store.known(SMALL_LANGUAGE_MODEL).gguf or "")


@pytest.fixture(scope="session")
def encoder_folder() -> Path:
    """The folder of all-MiniLM-L6-v2, the packaged sentence encoder."""
    return _pulled("all-minilm-l6-v2")


@pytest.fixture(scope="session")
def embedded_model(smollm2_gguf: Path) -> EmbeddedModel:
    """The language model of the tests, loaded once."""
    return EmbeddedModel.from_spec("small")
