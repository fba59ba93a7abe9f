"""A compiled graph that several threads may ask at once.

An OpenVINO infer request holds the tensors of one inference. Shared between threads it refuses
("Infer Request is busy") or, worse, answers one thread with another's numbers. So each call here
has a request of its own while it runs.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRECISION = {"INFERENCE_PRECISION_HINT": "f32"}
"""Of everything that OpenVINO computes here. Where a processor has units for bfloat16 (AMX) it
would take that by itself, with eight bits of precision: one seed would write other texts there than
on every other machine, and what was fitted to rewards would no longer be right."""


def compiled(model: Any) -> Any:
    """The graph (a model, or the path of one) ready to run, in ``PRECISION``."""
    import openvino as ov

    return ov.Core().compile_model(model, "CPU", PRECISION | {"PERFORMANCE_HINT": "LATENCY"})


class Inference:
    """Inferences with one compiled graph; safe to share between threads.

    Requests are kept for later calls: there are as many as calls that ran at once, whichever
    threads they came from.

    Args:
        compiled: what OpenVINO's ``compile_model`` gave.
    """

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._idle: deque[Any] = deque()  # its pop and append are atomic

    def __call__(self, inputs: Any) -> NDArray[Any]:
        """The first output for these inputs: an array that no later call writes to."""
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        output: NDArray[Any] = np.array(request.infer(inputs)[0])
        # One that failed is not kept.
        self._idle.append(request)
        return output
