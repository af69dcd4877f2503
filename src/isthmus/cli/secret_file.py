"""CHAP secrets come from files: arguments and environments are there for every user of the machine to see."""

import os
import stat
from pathlib import Path
from typing import Final

from isthmus.errors import ConfigurationError
from isthmus.server.options import Secret

__all__ = ["RECOMMENDED_LENGTH", "read_secret"]

RECOMMENDED_LENGTH: Final = 12
"""Bytes: 96 random bits, below which RFC 7143 §9.2.1 asks for more protection than CHAP."""
_MAX_LENGTH: Final = 255
"""Bytes; a file with more holds something else."""


def read_secret(path: Path) -> Secret:
    """The secret in `path` without the line's end; raises `ConfigurationError`, also if others may read the file.

    A pipe is taken as well (`<(pass show san)`): no one else can read it.
    """
    try:
        with path.open("rb") as file:
            _check_private(path, os.fstat(file.fileno()))
            content = file.read(_MAX_LENGTH + 3)
    except OSError as error:
        raise ConfigurationError(
            f"the secret file {path} cannot be read", f"{os.strerror(error.errno or 0)}; check its path and permissions"
        ) from error
    return _secret_in(path, content)


def _check_private(path: Path, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode) and status.st_mode & stat.S_IRWXO:
        raise ConfigurationError(f"the secret file {path} is open to every user", f"close it (chmod o= {path})")


def _secret_in(path: Path, content: bytes) -> Secret:
    secret = content.removesuffix(b"\n").removesuffix(b"\r")
    if not secret:
        raise ConfigurationError(f"the secret file {path} is empty", "write the secret into it, as one line")
    if len(secret) > _MAX_LENGTH or b"\n" in secret or b"\0" in secret:
        raise ConfigurationError(
            f"the secret file {path} does not hold one line of at most {_MAX_LENGTH} bytes",
            "write nothing but the secret into it",
        )
    return Secret(secret)
