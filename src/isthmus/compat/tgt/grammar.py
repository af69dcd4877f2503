"""The grammar of targets.conf, which is that of Perl's Config::General as tgt-admin uses it.

A line is a directive (a name, and a value behind blanks or =), or begins or ends a block (`<target NAME>`, `</target>`). # begins
a comment, a backslash at its end continues a line, `include` brings in other files. A value in double quotes may hold anything,
even #, which Config::General cannot do; a backslash before ", #, $ or another one stands for the character alone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from isthmus.compat.importer import ImportSyntaxError, Surroundings
from isthmus.errors import ConfigurationError

__all__ = ["Block", "Directive", "Note", "Place", "Tree", "parse", "quoted", "unescaped", "words"]

_BLANK: Final = " \t\r\f\v"
_QUOTED: Final = re.compile(r'(?:(?<=[ \t=])|^)"(?:[^"\\]|\\.)*"(?=[ \t\r\f\v#]|$)')
_C_COMMENT: Final = re.compile(r"(?:^|(?<=[ \t]))/\*.*?\*/")
_C_COMMENT_BEGINS: Final = re.compile(r"^[ \t]*/\*")
_INCLUDE: Final = re.compile(r"""(include|includeoptional)(?:[ \t]*(["'])(.*?)(?<!\\)\2|[ \t]+(.+?))""", re.IGNORECASE)
_HERE_DOCUMENT: Final = re.compile(r"([^\s=]+?)(?:[ \t]*=[ \t]*|[ \t]+)<<[ \t]*(\S.*?)")
_EMPTY_BLOCK: Final = re.compile(r"<([^/].*?)/>")
_BEGINS: Final = re.compile(r"<([^/].*?)>")
_ENDS: Final = re.compile(r"</(.+?)>")
_HEADER: Final = re.compile(r'(?:"([^"]+)"|(\S+))(?:\s+(?:"((?:[^"\\]|\\.)+)"|(.*)))?', re.DOTALL)
_SEPARATOR: Final = re.compile(r"[ \t\r\f\v]*=[ \t\r\f\v]*|[ \t\r\f\v]+")
_ESCAPED: Final = re.compile(r'\\([$\\"#])')
_WILD: Final = re.compile(r"[*?\[{\\]")
_BRACES: Final = re.compile(r"\{([^{}]*)\}")
_MOST_ALTERNATIVES: Final = 64
_DEEPEST: Final = 16
"""Blocks in blocks; targets.conf has two."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something begins; both count from 1."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Directive:
    """A name and a value."""

    name: str
    raw: str
    """The value as it stands there; empty: there is none."""
    place: Place

    @property
    def value(self) -> str:
        """Without the quotes around it, and with escaped characters as they are meant."""
        inner = self.raw[1:-1] if len(self.raw) > 1 and self.raw[0] == self.raw[-1] == '"' else self.raw
        return unescaped(inner)


@dataclass(slots=True)
class Block:
    """Directives and blocks under a heading."""

    name: str
    argument: str
    place: Place
    entries: "list[Directive | Block]" = field(default_factory=list)

    def directives(self, name: str) -> list[Directive]:
        """Those of that name."""
        return [entry for entry in self.entries if isinstance(entry, Directive) and entry.name == name]

    def blocks(self, name: str) -> "list[Block]":
        """Likewise."""
        return [entry for entry in self.entries if isinstance(entry, Block) and entry.name == name]


@dataclass(frozen=True, slots=True)
class Note:
    """Something odd that is no error."""

    place: Place
    meaning: str
    instead: str


@dataclass(slots=True)
class Tree:
    """A file with all that it includes."""

    root: Block
    notes: list[Note] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Line:
    """A line without comments, joined with those that it continues on."""

    text: str
    place: Place
    here: str | None = None
    """The value, if it is a here-document; then `text` is the name."""


def parse(text: str, name: str, surroundings: Surroundings) -> Tree:
    """What `text`, the content of the file `name`, and the files that it includes say. Raises `ImportSyntaxError`."""
    reader = _Reader(surroundings)
    return _tree(list(reader.lines(text, name)), name, reader.notes)


def unescaped(text: str) -> str:
    """With escaped characters as they are meant."""
    return _ESCAPED.sub(r"\1", text)


def quoted(text: str) -> str:
    """`text` as a value that means just that; no line's end can be in it."""
    if text and re.fullmatch(r"[^\s\"'#\\$<>=]+", text) and not text.startswith("/*"):
        return text
    return '"' + re.sub(r'([$\\"#])', r"\\\1", text) + '"'


def words(raw: str) -> list[str]:
    """The words of a value, each of which may stand in quotes of its own."""
    found = []
    for match in re.finditer(r"""("(?:[^"\\]|\\.)*"|'[^']*')(?=\s|$)|\S+""", raw):
        inner = match[0][1:-1] if match[1] else match[0]
        found.append(inner if match[0][0] == "'" and match[1] else unescaped(inner))
    return found


# -- Lines -------------------------------------------------------------------------------------------------------------


class _Reader:
    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._read: set[str] = set()
        self.notes: list[Note] = []

    def lines(self, text: str, name: str) -> Iterator[_Line]:
        """The lines of a file, with those of other files where it includes them."""
        self._read.add(name)
        for line in _logical(text.removeprefix("\ufeff"), name):
            match = None if line.here is not None else _INCLUDE.fullmatch(line.text)
            if match is None:
                yield line
            else:
                yield from self._included(match[3] if match[3] is not None else match[4], line.place, match[1])

    def _included(self, path: str, place: Place, how: str) -> Iterator[_Line]:
        try:
            pattern = str(Path(path).absolute())
            files = [file for each in _alternatives(pattern) for file in self._surroundings.list_files(each)]
            absent = not files and not _WILD.search(path) and self._surroundings.kind_of(pattern) == "absent"
            if absent and "optional" not in how.lower():
                raise ImportSyntaxError(
                    place.file, place.line, place.column, f"the included file {path} does not exist"
                )
            for file in dict.fromkeys(files):
                if file in self._read:
                    self.notes.append(Note(place, f"{file} is included again", "it is read once"))
                else:
                    yield from self.lines(self._surroundings.read_text(file), file)
        except ImportSyntaxError:
            raise
        except (ConfigurationError, ValueError, OSError) as error:
            raise ImportSyntaxError(place.file, place.line, place.column, str(error)) from None


def _alternatives(pattern: str) -> list[str]:
    """`a{b,c}` as `ab` and `ac` (bsd_glob)."""
    found = [pattern]
    while len(found) < _MOST_ALTERNATIVES and (match := _BRACES.search(found[0])):
        before, after = found[0][: match.start()], found[0][match.end() :]
        found = [f"{before}{choice}{after}" for choice in match[1].split(",")] + found[1:]
        found.sort(key=lambda each: not _BRACES.search(each))
    return sorted(found)


def _logical(text: str, name: str) -> Iterator[_Line]:
    """The lines of a text: without comments and empty ones, continued ones joined."""
    pieces: list[str] = []
    begun: Place | None = None
    numbered = enumerate(text.split("\n"), start=1)
    in_comment = False
    for number, line in numbered:
        line, in_comment = _without_c_comments(line.removesuffix("\r"), in_comment=in_comment)
        line = _without_comment(line)
        place = Place(name, number, len(line) - len(line.lstrip(_BLANK)) + 1)
        if re.search(r"(?<!\\)\\$", line):
            pieces.append(line[:-1].lstrip(_BLANK))
            begun = begun or place
            continue
        whole = "".join([*pieces, line.lstrip(_BLANK)]).strip(_BLANK)
        pieces, place, begun = [], begun or place, None
        here = _HERE_DOCUMENT.fullmatch(whole)
        if here:
            yield _Line(here[1], place, _here_document(numbered, here[2], place))
        elif whole:
            yield _Line(whole, place)
    if pieces and begun:
        yield _Line("".join(pieces).strip(_BLANK), begun)


def _here_document(lines: Iterator[tuple[int, str]], marker: str, place: Place) -> str:
    collected: list[str] = []
    for _, line in lines:
        if line.strip(_BLANK) == marker:
            return "\n".join(collected)
        collected.append(line)
    raise ImportSyntaxError(place.file, place.line, place.column, f"the text up to {marker!r} does not end")


def _without_c_comments(line: str, *, in_comment: bool) -> tuple[str, bool]:
    if in_comment:
        _, end, line = line.partition("*/")
        if not end:
            return "", True
    line = _C_COMMENT.sub("", line)
    return ("", True) if _C_COMMENT_BEGINS.match(line) else (line, False)


def _without_comment(line: str) -> str:
    protected = [match.span() for match in _QUOTED.finditer(line)]
    for match in re.finditer(r"(?<!\\)#", line):
        if not any(start <= match.start() < end for start, end in protected):
            return line[: match.start()]
    return line


# -- Blocks ------------------------------------------------------------------------------------------------------------


def _tree(lines: list[_Line], name: str, notes: list[Note]) -> Tree:
    tree = Tree(Block("", "", Place(name, 1, 1)), notes)
    open_blocks = [tree.root]
    for line in lines:
        _add(line, open_blocks, tree)
    if len(open_blocks) > 1:
        block = open_blocks[-1]
        raise _error(block.place, f"the block <{block.name}> does not end", f"end it with </{block.name}>")
    return tree


def _add(line: _Line, open_blocks: list[Block], tree: Tree) -> None:
    within = open_blocks[-1]
    if line.here is not None:
        within.entries.append(Directive(line.text, line.here, line.place))
    elif match := _EMPTY_BLOCK.fullmatch(line.text):
        within.entries.append(_block(match[1], line.place))
    elif match := _BEGINS.fullmatch(line.text):
        if len(open_blocks) > _DEEPEST:
            raise _error(line.place, "blocks are nested too deeply", "a target has backing stores, and these have none")
        block = _block(match[1], line.place)
        within.entries.append(block)
        open_blocks.append(block)
    elif match := _ENDS.fullmatch(line.text):
        if len(open_blocks) == 1:
            raise _error(line.place, f"</{match[1]}> ends a block that has not begun", "remove it")
        if match[1].strip() != within.name:
            tree.notes.append(Note(line.place, f"</{match[1]}> ends <{within.name}>", "it ends it, as with tgt-admin"))
        open_blocks.pop()
    else:
        within.entries.append(_directive(line))


def _block(heading: str, place: Place) -> Block:
    match = _HEADER.fullmatch(heading.strip(_BLANK))
    if match is None:
        raise _error(place, "the block has no name", "write it as <target NAME>")
    argument = unescaped(match[3]) if match[3] else (match[4] or "").strip(_BLANK)
    return Block(match[1] or match[2], argument, place)


def _directive(line: _Line) -> Directive:
    name, *value = _SEPARATOR.split(line.text, maxsplit=1)
    if not name or name.startswith("<"):
        raise _error(line.place, f"{line.text[:40]!r} is neither a directive nor a block", "write it as NAME VALUE")
    return Directive(name, value[0] if value else "", line.place)


def _error(place: Place, problem: str, remedy: str) -> ImportSyntaxError:
    return ImportSyntaxError(place.file, place.line, place.column, problem, remedy)
