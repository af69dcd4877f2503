"""What tests build once and keep, outside the source tree: images of guests, trees of Debian, wheels."""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

__all__ = ["UNUSED_SECONDS", "WHEELS", "built", "cache_directory"]

WHEELS: Final = "wheels"
"""A directory that is used without being built here."""
UNUSED_SECONDS: Final = 30 * 86400
"""What nothing has asked for in this time goes when something else is built: each new set of packages is another name."""
_UNFINISHED: Final = "building-"


def cache_directory() -> Path:
    """Where it is kept: isthmus-vm in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "isthmus-vm"


def built(name: str, build: Callable[[Path], None]) -> Path:
    """The directory of that name in the cache, filled by `build` if it is not there; raises what that raises.

    Who comes while somebody else builds waits. A directory gets its name when everything is in it.
    """
    cache = cache_directory()
    directory = cache / name
    if not directory.exists():
        with _only_one(cache):
            if not directory.exists():  # nobody has built it meanwhile
                _discard_unused(cache)
                _make(directory, build)
    os.utime(directory)
    return directory


def _make(directory: Path, build: Callable[[Path], None]) -> None:
    work = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=directory.parent))
    try:
        build(work)
        work.chmod(0o755)
        work.rename(directory)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _discard_unused(cache: Path) -> None:
    """Who builds holds the lock, so what is unfinished now was left by somebody who was killed."""
    oldest = time.time() - UNUSED_SECONDS
    for path in cache.iterdir():
        is_unfinished = path.name.startswith(_UNFINISHED)
        if path.is_dir() and path.name != WHEELS and (is_unfinished or path.stat().st_mtime < oldest):
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _only_one(cache: Path) -> Iterator[None]:
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
