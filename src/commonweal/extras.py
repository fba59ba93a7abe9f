"""What the slim install leaves out, and one sentence that says how to get it.

Who brings their own models needs neither OpenVINO nor polars nor matplotlib. Whatever needs one of
them imports it inside ``needs``; at the command line ``missing`` finds the words.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from commonweal.errors import MissingExtraError

EXTRAS = {
    "app": "what the README does: embedded, data and plots",
    "embedded": "models on this machine, without torch: the embedded engine, our reward models",
    "data": "rounds on disk, imports, evaluation, batches, groups of more than 100 people",
    "plots": "figures in evaluations and measurements",
    "study": "studies and quick sessions in the browser",
    "scale": "batches with several workers (commonweal batch --workers, --ray)",
    "train": "training, and the hf: engine",
    "stats": "mixed-effects models (commonweal evaluate --regression)",
    "questions": "splitting debate questions",
    "warm": "predictions that learn from a conversation's own ratings",
}
"""What each extra of the package is for; all of them."""

_MODULES = {
    "embedded": (
        *("gguf", "huggingface_hub", "openvino", "openvino_genai", "openvino_tokenizers"),
        *("safetensors", "tokenizers"),
    ),
    "data": ("polars", "scipy", "threadpoolctl"),
    "plots": ("matplotlib",),
    "study": (
        *("alembic", "argon2", "limits", "psycopg", "segno", "sqlalchemy", "starlette"),
        *("uvicorn", "xlsxwriter"),
    ),
    "scale": ("ray",),
    "train": ("accelerate", "datasets", "nncf", "peft", "torch", "transformers", "trl"),
    "stats": ("arviz", "bambi"),
    "questions": ("sklearn",),
}
"""The modules that each extra brings, by the names under which they are imported."""


@contextmanager
def needs(extra: str, what: str) -> Iterator[None]:
    """A block that imports what an extra brings.

    Args:
        extra: one of ``EXTRAS``.
        what: what cannot be done without, as the beginning of a sentence: "the embedded engine".

    Raises:
        MissingExtraError: an import in the block failed.
    """
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(_sentence(extra, what, error)) from error


def require(extra: str, what: str, *modules: str) -> None:
    """Returns where these modules of an extra are installed. Nothing is imported.

    Raises:
        MissingExtraError: one is not there.
    """
    with needs(extra, what):
        for name in modules:
            if find_spec(name) is None:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def missing(error: ModuleNotFoundError) -> MissingExtraError | None:
    """The same of an import that failed somewhere; None where no extra brings that module."""
    top = (error.name or "").partition(".")[0].replace("-", "_")  # a distribution's
    for extra, modules in _MODULES.items():
        if top in modules:
            return MissingExtraError(_sentence(extra, "this", error))
    return None


def _sentence(extra: str, what: str, error: ImportError) -> str:
    why = f"{error.name} is not installed" if isinstance(error, ModuleNotFoundError) else error
    return f'{what} needs the extra "{extra}" ({why}): pip install "commonweal[{extra}]"'
