"""The size budget: small functions in files that a reader can hold in the head.

Lines of a function count from `def` to its end, without its docstring. What may be longer stands in
pyproject.toml under [tool.isthmus.longer], each with its reason: `FILE`, or `FILE:FUNCTION`.
"""

import ast
import statistics
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MEDIAN_FUNCTION = 8
LONGEST_FUNCTION = 60
LONGEST_FILE = 600
WANTED_FILE = 450


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Each function of a file as (where, lines)."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{path.relative_to(ROOT)}:{node.name}", length(node)


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function without its docstring."""
    end = node.end_lineno or node.lineno
    lines = end - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is not None and first.end_lineno:
        lines -= first.end_lineno - first.lineno + 1
    return lines


def spread(name: str, sizes: Sequence[int]) -> str:
    """Median, 90th percentile and longest."""
    if len(sizes) < 2:
        return f"{name}: {len(sizes)} in all"
    ninetieth = statistics.quantiles(sizes, n=10)[-1]
    return f"{name}: median {statistics.median(sizes):.0f}, 90 % up to {ninetieth:.0f}, longest {max(sizes)} lines"


def main() -> int:
    """Print the report and each breach; the exit status is 1 if there is one."""
    paths = sorted((ROOT / "src").rglob("*.py"))
    sizes = [entry for path in paths for entry in functions(path)]
    files = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in paths}
    excepted: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["isthmus"]["longer"]
    lengths = [lines for _, lines in sizes]
    print(spread("functions", lengths))
    print(spread("files", list(files.values())))
    for name, lines in files.items():
        if WANTED_FILE < lines <= LONGEST_FILE:
            print(f"note: {name} has {lines} lines; {WANTED_FILE} are aimed at")
    breaches = [f"{name} has {lines} lines" for name, lines in sizes if lines > LONGEST_FUNCTION]
    breaches += [f"{name} has {lines} lines" for name, lines in files.items() if lines > LONGEST_FILE]
    breaches = [breach for breach in breaches if breach.split()[0] not in excepted]
    if statistics.median(lengths) > MEDIAN_FUNCTION:
        breaches.append(f"half of the functions have more than {MEDIAN_FUNCTION} lines")
    print("\n".join(breaches) or "within the budget")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
