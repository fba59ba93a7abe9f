"""Chance that hangs on names alone: the same whoever is asked first, and in another process."""

from __future__ import annotations

import hashlib

import numpy as np


def seed_of(*names: str | int) -> int:
    """A seed below 2**31 made from names and numbers."""
    return int.from_bytes(_digest(names)[:4], "big") >> 1


def generator_of(*names: str | int) -> np.random.Generator:
    """A generator made from names and numbers."""
    return np.random.default_rng(int.from_bytes(_digest(names), "big"))


def _digest(names: tuple[str | int, ...]) -> bytes:
    # The lengths keep ("ab", "c") and ("a", "bc") apart.
    parts = [str(name).encode("utf-8", errors="surrogatepass") for name in names]
    joined = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return hashlib.blake2b(joined, digest_size=16).digest()
