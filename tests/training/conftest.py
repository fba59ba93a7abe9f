"""One thread: on networks this small more threads only wait for each other."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
