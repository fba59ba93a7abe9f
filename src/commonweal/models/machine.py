"""What this machine has: memory."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_LIMITS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)
"""Where Linux says how much a container may have, in both versions of its control groups."""


def memory_bytes() -> int | None:
    """All memory that this process may have, free or not; None where the system does not say."""
    sizes = []
    with suppress(AttributeError, OSError, ValueError):  # not on Windows
        sizes.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with suppress(AttributeError, OSError):
        sizes.append(_windows_memory_bytes())
    for path in _LIMITS:
        with suppress(OSError, ValueError):  # "max" where there is no limit
            sizes.append(int(Path(path).read_text(encoding="ascii")))
    return min((n for n in sizes if n > 0), default=None)


def _windows_memory_bytes() -> int:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            ("total", ctypes.c_ulonglong),
            ("rest", ctypes.c_ulonglong * 6),
        )

    status = Status(length=ctypes.sizeof(Status))
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined]
    return int(status.total)
