"""Each module of src/isthmus has its unit test at the mirrored place, and each unit test its module.

    src/isthmus/iscsi/codec.py    tests/unit/iscsi/test_codec.py

A module with many tests may have several files, each with its subject: test_codec_digests.py. What is tested elsewhere stands in pyproject.toml under [tool.isthmus.tested-elsewhere], each with its reason.
"""

import ast
import sys
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import TypeGuard

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "src" / "isthmus"
TESTS = ROOT / "tests" / "unit"


def has_code(path: Path) -> bool:
    """Whether a module does something: a function with a body. Interfaces, values and tables alone have none."""
    functions = (node for node in ast.walk(ast.parse(path.read_text())) if is_function(node))
    return any(not is_empty(statement) for function in functions for statement in function.body)


def is_function(node: ast.AST) -> TypeGuard[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Whether it is one."""
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def is_empty(node: ast.stmt) -> bool:
    """Whether a statement is a docstring, `...` or `pass`."""
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


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
    everything = {path.relative_to(SOURCES) for path in SOURCES.rglob("*.py")}
    modules = {module for module in everything if has_code(SOURCES / module)}
    tests = {path.relative_to(TESTS) for path in TESTS.rglob("test_*.py")}
    expected = {expected_test(module): module for module in modules}
    places = {expected_test(module) for module in everything}
    breaches = [
        f"src/isthmus/{module} has no tests/unit/{test}"
        for test, module in expected.items()
        if test not in tests and str(module) not in elsewhere
    ]
    breaches += [f"tests/unit/{test} tests no module" for test in tests if not tests_any(test, places)]
    breaches += [f"{path}: excepted, but there is no such module" for path in elsewhere if Path(path) not in modules]
    breaches += [f"{path}: excepted without a reason" for path, reason in elsewhere.items() if not reason.strip()]
    breaches += [f"{path}: excepted, but it has its test" for path in elsewhere if expected_test(Path(path)) in tests]
    print("\n".join(sorted(breaches)) or f"{len(modules)} modules, {len(tests)} unit test files: each has the other")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
