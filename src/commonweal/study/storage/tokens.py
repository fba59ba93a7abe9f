"""Secrets and public names, both random; of secrets only hashes are stored."""

from __future__ import annotations

import hashlib
import secrets


def new_token() -> str:
    """256 random bits for a link or a cookie."""
    return secrets.token_urlsafe(32)


def hashed(token: str) -> str:
    """What is stored of a token. It is random, so a plain sha256 cannot be turned round."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def new_public_id(prefix: str) -> str:
    """A random name of 80 bits that says nothing of when or in which order it was made."""
    return f"{prefix}-{secrets.token_hex(10)}"
