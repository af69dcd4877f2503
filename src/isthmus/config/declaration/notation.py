"""Documents as text: TOML, YAML and JSON, read to the same plain values (objects, lists, texts, numbers, booleans).

A key that is there twice is refused in each of them: which one counts would be a guess.
"""

import json
import re
import tomllib
from collections.abc import Callable, Hashable, Mapping
from enum import StrEnum
from typing import Any, Final

import tomli_w
import yaml
from typing_extensions import override

from isthmus.config.declaration.errors import DocumentError, DocumentPath, Position

__all__ = ["Notation", "locate", "parse", "write"]


class Notation(StrEnum):
    """How a document is written."""

    TOML = "toml"
    YAML = "yaml"
    JSON = "json"

    @classmethod
    def of(cls, file_name: str) -> "Notation | None":
        """The one that the end of a file's name stands for; None: it does not say."""
        ending = file_name.rpartition(".")[2].lower()
        return cls.YAML if ending == "yml" else next((notation for notation in cls if notation == ending), None)


def parse(text: str, notation: Notation) -> Any:
    """The values in `text`; raises `DocumentError` with the position where it stops to make sense."""
    try:
        return _PARSERS[notation](text)
    except RecursionError:
        raise DocumentError("the document is nested too deeply") from None


def write(values: Mapping[str, Any], notation: Notation) -> str:
    """`values` as text that `parse` reads; raises `DocumentError` for what the notation cannot say."""
    if notation is Notation.JSON:
        return json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    if notation is Notation.YAML:
        return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    _refuse_null(values, ())
    return tomli_w.dumps(values)


def locate(text: str, notation: Notation, path: DocumentPath) -> Position | None:
    """Where the value at `path` (or the nearest around it) begins, if the notation's parser can tell: YAML's can."""
    if notation is not Notation.YAML:
        return None
    node = yaml.compose(text, Loader=_Loader)
    for step in path:
        child = _child(node, step)
        if child is None:
            break
        node = child
    return None if node is None else _position(node.start_mark)


# -- TOML --------------------------------------------------------------------------------------------------------------

_AT_LINE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def _parse_toml(text: str) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _AT_LINE.search(message)
        position = Position(int(place[1]), int(place[2])) if place and place[1] else None
        problem = _AT_LINE.sub("" if position else " at the end", message)
        raise DocumentError(f"this is not TOML: {problem}", position=position) from None


def _refuse_null(value: Any, path: DocumentPath) -> None:
    if value is None:
        raise DocumentError("TOML has no null", "choose YAML or JSON", path=path)
    if isinstance(value, Mapping):
        for key, item in value.items():
            _refuse_null(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_null(item, (*path, index))


# -- JSON --------------------------------------------------------------------------------------------------------------


def _parse_json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        position = Position(error.lineno, error.colno)
        raise DocumentError(f"this is not JSON: {error.msg}", position=position) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DocumentError(f"the key {twice!r} is there twice in one object", "remove one")
    return values


# -- YAML --------------------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """Reads plain values only, and refuses a key that is there twice or is no text."""

    @override
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag not in {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}:
                raise yaml.MarkedYAMLError(
                    problem="this key is not a text: put it in quotes", problem_mark=key.start_mark
                )
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} is there twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Writes texts with special characters in the one style that can say them all."""

    def text(self, value: str) -> yaml.ScalarNode:
        """The node of a text."""
        return self.represent_scalar("tag:yaml.org,2002:str", value, style=None if value.isprintable() else '"')


_Dumper.add_representer(str, _Dumper.text)


def _parse_yaml(text: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  it is a SafeLoader
    except yaml.MarkedYAMLError as error:
        position = None if error.problem_mark is None else _position(error.problem_mark)
        raise DocumentError(f"this is not YAML: {error.problem}", position=position) from None
    except (yaml.YAMLError, ValueError) as error:
        raise DocumentError(f"this is not YAML: {' '.join(str(error).split())}") from None


def _child(node: yaml.Node | None, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        child: yaml.Node = node.value[step]
        return child
    return None


def _position(mark: yaml.Mark) -> Position:
    return Position(mark.line + 1, mark.column + 1)


_PARSERS: Final[Mapping[Notation, Callable[[str], Any]]] = {
    Notation.TOML: _parse_toml,
    Notation.YAML: _parse_yaml,
    Notation.JSON: _parse_json,
}
