"""What is built once and kept (tests/support/build_cache.py)."""

import os
import time
from pathlib import Path

import pytest

from tests.support.build_cache import UNUSED_SECONDS, WHEELS, built, cache_directory


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return cache_directory()


def fill(directory: Path) -> None:
    """Build something."""
    (directory / "content").write_text("built")


def refuse(directory: Path) -> None:
    """Fail half-way."""
    (directory / "content").touch()
    raise RuntimeError("no room")


def test_it_is_built_once(cache: Path) -> None:
    """Whoever asks next gets the same."""
    assert built("image", fill) == cache / "image"
    (cache / "image" / "content").write_text("kept")
    built("image", refuse)
    assert (cache / "image" / "content").read_text() == "kept"


def test_what_fails_leaves_nothing(cache: Path) -> None:
    """And the next one tries again."""
    with pytest.raises(RuntimeError, match="no room"):
        built("image", refuse)
    assert [path.name for path in cache.iterdir()] == ["lock"]
    assert (built("image", fill) / "content").exists()


def test_what_nobody_uses_goes(cache: Path) -> None:
    """When something is built: what was not asked for in a month, and what somebody left who was killed."""
    for name in ("old", "used", WHEELS):
        (cache / name).mkdir(parents=True, exist_ok=True)
        os.utime(cache / name, times=(0, time.time() - UNUSED_SECONDS - 60))
    (cache / "building-abc").mkdir()
    built("used", refuse)
    built("new", fill)
    assert {path.name for path in cache.iterdir()} == {"lock", "used", "new", WHEELS}
