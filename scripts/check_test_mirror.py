"""Each module of src/isthmus has its unit test at the mirrored place, and each unit test its module.

    src/isthmus/iscsi/codec.py    tests/unit/iscsi/test_codec.py

A module with many tests may have several files, each with its subject: test_codec_digests.py. What is tested elsewhere stands in pyproject.toml under [tool.isthmus.tested-elsewhere], each with its reason.
"""

import ast
import sys
import tomllib
from collections.abc import Collection
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "src" / "isthmus"
TESTS = ROOT / "tests" / "unit"


def has_code(path: Path) -> bool:
    """Whether a module does more than describe itself and list its names."""
    return any(not is_description(node) for node in ast.parse(path.read_text()).body)


def is_description(node: ast.stmt) -> bool:
    """Whether a statement is a docstring, or an assignment of a constant such as `__version__` or `__all__`."""
    if isinstance(node, ast.Assign):
        return isinstance(node.value, ast.Constant | ast.List)
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def expected_test(module: Path) -> Path:
    """Where the unit test of `module` (relative to SOURCES) belongs."""
    name = module.parent.name or "package" if module.stem == "__init__" else module.stem
    return module.with_name(f"test_{name.strip('_')}.py")


def tests_any(test: Path, expected: Collection[Path]) -> bool:
    """Whether `test` is an expected file, or one with its name and a subject."""
    return any(test.parent == other.parent and f"{test.stem}_".startswith(f"{other.stem}_") for other in expected)


def main() -> int:
    """Print each breach; the exit status is 1 if there is one."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["isthmus"]
    elsewhere: dict[str, str] = settings["tested-elsewhere"]
    modules = {path.relative_to(SOURCES) for path in SOURCES.rglob("*.py") if has_code(path)}
    tests = {path.relative_to(TESTS) for path in TESTS.rglob("test_*.py")}
    expected = {expected_test(module): module for module in modules}
    breaches = [
        f"src/isthmus/{module} has no tests/unit/{test}"
        for test, module in expected.items()
        if test not in tests and str(module) not in elsewhere
    ]
    breaches += [f"tests/unit/{test} tests no module" for test in tests if not tests_any(test, expected)]
    breaches += [f"{path}: excepted, but there is no such module" for path in elsewhere if Path(path) not in modules]
    breaches += [f"{path}: excepted without a reason" for path, reason in elsewhere.items() if not reason.strip()]
    breaches += [f"{path}: excepted, but it has its test" for path in elsewhere if expected_test(Path(path)) in tests]
    print("\n".join(sorted(breaches)) or f"{len(modules)} modules, {len(tests)} unit test files: each has the other")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
