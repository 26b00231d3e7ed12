"""A secret key that the site makes for itself, once, so that nobody commits one."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def kept_secret(path: Path) -> str:
    """The secret in the file, which is made with a new one if it is not there."""
    try:
        return path.read_text()
    except FileNotFoundError:
        pass
    # Linked when it is complete: two processes that start at once end with the same key.
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    return path.read_text()
