"""docs/clients.md names tests for what it says of clients; they are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLIENTS = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
FUNCTIONS = sorted(set(re.findall(r"`(test_\w+)::(test_\w+)`", CLIENTS)))
PLACES = sorted(set(re.findall(r"`(tests/[^`*]+)`", CLIENTS)))


def places(text: str) -> list[Path]:
    """The files, or the directory, that such a place stands for: `a/test_{b,c}.py` is two files."""
    several = re.fullmatch(r"(.*)\{(.*)\}(.*)", text)
    names = [f"{several[1]}{name}{several[3]}" for name in several[2].split(",")] if several else [text]
    return [ROOT / name for name in names]


@pytest.mark.parametrize(("module", "function"), FUNCTIONS)
def test_a_test_that_is_named_is_there(module: str, function: str) -> None:
    """In a file of that name."""
    files = [file for place in ("interop", "conformance") for file in (ROOT / "tests" / place).rglob(f"{module}.py")]
    definition = re.compile(rf"^(?:async )?def {function}\(", re.MULTILINE)
    assert any(definition.search(file.read_text(encoding="utf-8")) for file in files)


@pytest.mark.parametrize("text", PLACES)
def test_a_file_that_is_named_is_there(text: str) -> None:
    """Or the directory."""
    assert all(path.exists() for path in places(text))


def test_the_table_names_tests() -> None:
    """It was found."""
    assert len(FUNCTIONS) > 20
    assert len(PLACES) > 10
