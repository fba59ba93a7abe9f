"""Files of fitted numbers that come with the package, read with the fault named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from commonweal.errors import WeightsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray32 = NDArray[np.float32]

_STEPS = "step/"


@contextmanager
def fitted_arrays(
    path: Path, *, what: str, schema: int, recipe: str
) -> Iterator[dict[str, NDArray[Any]]]:
    """The arrays of an .npz file, by name. What is wrong with them inside the block is told too.

    Args:
        path: of the file.
        what: it holds, for messages: "probe".
        schema: the version that can be read; the file says its own as ``schema_version``.
        recipe: what makes the file, for messages.

    Raises:
        WeightsError: the file is missing, damaged or of another schema, holds numbers that are not
            finite, or the block raised.
    """
    again = f"install commonweal again, or make it with {recipe}"
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if (found := int(arrays["schema_version"])) != schema:
            raise ValueError(f"it has schema {found}")
        for name, array in arrays.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise ValueError(f"{name} holds numbers that are not finite")
        yield arrays
    except FileNotFoundError as error:
        raise WeightsError(
            f"no {what} at {path}: expected the file that comes with the package; {again}"
        ) from error
    except Exception as error:  # zip, npy and json each raise their own kinds
        raise WeightsError(
            f"{path} is not a readable {what} of schema {schema} ({error}); {again}"
        ) from error


def in_steps(name: str, values: FloatArray32) -> dict[str, NDArray[Any]]:
    """The arrays to store for this one [..., n] in a quarter of its bytes: whole numbers from -127
    to 127, and how much one is in each row.
    """
    step = np.abs(values).max(axis=-1, keepdims=True) / 127
    step = np.where(step > 0, step, 1).astype(np.float32)
    return {name: np.rint(values / step).astype(np.int8), _STEPS + name: step}


def from_steps(name: str, arrays: Mapping[str, NDArray[Any]]) -> FloatArray32:
    """What ``in_steps`` stored under this name, to half a step.

    Raises:
        KeyError: it is not among the arrays.
    """
    values: FloatArray32 = arrays[name].astype(np.float32) * arrays[_STEPS + name]
    return values
